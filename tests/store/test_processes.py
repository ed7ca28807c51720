"""Several processes write at once, and some are killed: no acknowledged event is lost, no case given twice."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from recorded import record_annotation

from activelabel.names import ScoreKind
from activelabel.store.ledger import Ledger

LABELS = 40  # by each writer

SAVE_LABELS = """
import itertools, sys
from activelabel.store.ledger import Ledger
from activelabel.acquisition.score import Score
from activelabel.store.cases.new_annotation import NewAnnotation
url, annotator, count = sys.argv[1:]
ledger = Ledger(url)
ledger.open()
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(count)) if count != "endless" else itertools.count():
    image_id = f"case_{number % 10}"
    ledger.record_scores(1, image_id, [Score("entropy", annotator, "mean", number)], 5, 0)
    annotation, _ = ledger.keep_label(NewAnnotation(image_id, f"{annotator}.{number}", "0", annotator))
    print(annotation.id, image_id, annotation.version, annotation.file, flush=True)
"""

LEASE_ALL = """
import sys
from activelabel.store.ledger import Ledger
url, annotator = sys.argv[1:]
ledger = Ledger(url)
ledger.open()
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    for slices in (None, [0, 1], [1, 2], [3]):
        if ledger.grant_lease(annotator, f"case_{number}", 30, "random", slices=slices) is not None:
            print(f"case_{number}", slices, flush=True)
            annotator += "'"
"""


@pytest.fixture
def url(empty_url):
    ledger = Ledger(empty_url)
    ledger.sync_images([f"case_{number}" for number in range(10)], 0)
    ledger.publish_model("m.pt", "0", "quick", ["liver"], {}, [])
    ledger.close()
    return empty_url


def start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )


def all_at_once(processes):
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def kept(ledger):
    """Return every annotation as a line in the form that the writers print."""
    rows = [row for number in range(10) for row in ledger.history(f"case_{number}")]
    return {f"{row.id} {row.image_id} {row.version} {row.file}" for row in rows}


def test_three_processes_that_write_at_once_lose_nothing(url):
    writers = [start(SAVE_LABELS, url, annotator, str(LABELS)) for annotator in ("ann", "bob", "eve")]
    all_at_once(writers)
    acknowledged = [line for writer in writers for line in writer.communicate(timeout=600)[0].splitlines()]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    ledger = Ledger(url)
    assert len(acknowledged) == 3 * LABELS
    assert kept(ledger) == set(acknowledged)
    for number in range(10):
        history = ledger.history(f"case_{number}")
        assert [label.version for label in history] == list(range(1, 3 * LABELS // 10 + 1))
        assert [label.superseded_at is None for label in history] == [False] * (len(history) - 1) + [True]
    for annotator in ("ann", "bob", "eve"):
        ranking = ledger.ranking(1, ScoreKind("entropy", annotator, "mean"), limit=99)
        assert ranking == {}, "annotated images are not asked for"
        assert len(ledger.scored_images(1, ScoreKind("entropy", annotator, "mean"))) == 10
    ledger.close()


@pytest.mark.parametrize("acknowledgements", [1, 7, 23])
def test_a_writer_that_is_killed_loses_nothing_that_it_acknowledged(url, acknowledgements):
    writer = start(SAVE_LABELS, url, "ann", "endless")
    all_at_once([writer])
    acknowledged = [writer.stdout.readline().strip() for _ in range(acknowledgements)]
    writer.kill()
    acknowledged += writer.communicate(timeout=60)[0].splitlines()
    if acknowledged[-1].count(" ") < 3:
        acknowledged.pop()  # the writer was killed while it wrote the line
    ledger = Ledger(url)
    assert len(acknowledged) >= acknowledgements
    assert kept(ledger) >= set(acknowledged)
    assert len(kept(ledger)) <= len(acknowledged) + 1, "at most the one that was written but not yet acknowledged"
    assert record_annotation(ledger, "case_0", "after", "0", "bob").file == "after"
    ledger.close()


def test_nothing_is_leased_to_two_processes(url):
    askers = [start(LEASE_ALL, url, annotator) for annotator in ("ann", "bob", "eve")]
    all_at_once(askers)
    granted = [line for asker in askers for line in asker.communicate(timeout=600)[0].splitlines()]
    assert [asker.returncode for asker in askers] == [0, 0, 0]
    check_that_nothing_is_leased_twice(Ledger(url), expected=len(granted))


def test_nothing_is_leased_to_two_threads(url):
    ledger = Ledger(url)

    def ask(annotator):
        leases = [
            ledger.grant_lease(f"{annotator} {number} {slices}", f"case_{number}", 30, "random", slices=slices)
            for number in range(10)
            for slices in (None, [0, 1], [1, 2], [3])
        ]
        return [lease for lease in leases if lease is not None]

    with ThreadPoolExecutor(4) as pool:
        granted = [lease for leases in pool.map(ask, ("ann", "bob", "eve", "joe")) for lease in leases]
    check_that_nothing_is_leased_twice(ledger, expected=len(granted))


def check_that_nothing_is_leased_twice(ledger, expected):
    leases = ledger.leases()
    assert len(leases) == expected
    for number in range(10):
        held = [lease.slices for lease in leases if lease.image_id == f"case_{number}"]
        assert held == [None] or sorted(held) in ([(0, 1), (3,)], [(1, 2), (3,)])
    assert ledger.progress().leased == 10
    ledger.close()


def test_a_request_sent_twice_at_once_has_one_answer(url):
    ledger = Ledger(url)
    with ThreadPoolExecutor(4) as pool:
        images = [f"case_{number}" for number in range(8)]
        leases = list(pool.map(lambda image_id: ledger.grant_lease("ann", image_id, 30, "random"), images))
    assert len(set(leases)) == 1
    assert ledger.leases() == leases[:1]
    ledger.close()
