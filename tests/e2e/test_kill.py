"""kill -9 of the server and its children at random points of the loop loses nothing that was acknowledged."""

import contextlib
import hashlib
import itertools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from monailabel.client.client import MONAILabelClientException
from running_server import RunningServer
from slowed_down import slowed_down

from activelabel.names import ScoreKind
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

pytestmark = pytest.mark.e2e
logger = logging.getLogger(__name__)

TARGETS = ("train", "scoring", "server", "train", "server", "scoring")
"""`benchmarks/faults/run.py` kills many more, with ten annotators at work."""
LOOKS_A_QUESTION = 25
CASES = len(TARGETS) + 4


class Witness:
    """Remembers all that the ledger and the server acknowledged, and checks that all of it is still there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
        self._labels: set[str] = set()
        self._models: dict[int, str] = {}
        self._scored: set[tuple[int, str]] = set()

    def saw_label(self, image_id: str) -> None:
        """Remember a label that the server acknowledged."""
        self._labels.add(image_id)

    def look(self) -> None:
        """Check that all remembered rows and files are still there unchanged, and remember new ones."""
        annotations, models = self._ledger.annotations(), self._ledger.models()
        assert self._labels <= {annotation.image_id for annotation in annotations}
        for annotation in annotations:
            assert sha256_of(self._folder / "labels" / annotation.file) == annotation.sha256
        for model in models:
            assert sha256_of(self._folder / "models" / model.file) == model.sha256
        hashes = {model.version: model.sha256 for model in models}
        scored = {
            (version, image_id)
            for version in hashes
            for image_id in self._ledger.scored_images(version, ScoreKind("variance"))
        }
        assert self._models.items() <= hashes.items()
        assert self._scored <= scored
        self._models, self._scored = hashes, scored


def sha256_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.timeout(1200)
def test_nothing_acknowledged_is_lost(make_server: Callable[..., RunningServer], blobs: Any) -> None:
    cases = blobs(CASES)
    recipe = Path(__file__).parents[1] / "support" / "tiny.toml"
    server = make_server(cases.studies, recipe=recipe, labels="ball", start=1, retrain_after=1).start()
    witness = Witness(cases.studies / "activelabel")
    random = np.random.default_rng(7)
    hit = set[str]()

    for target in TARGETS:
        while annotate_one(server, cases, witness) == "validation":
            witness.look()  # these come first, and do not make a training due
        if kill_amid(server, target, random.uniform(0, 6)):
            hit.add(target)
        witness.look()
    # A fast machine may have scored, or even trained, between two looks: not each kind is always met at work.
    assert hit > {"server"}, "children were killed amid their work too"
    while annotate_one(server, cases, witness):
        witness.look()

    def ended() -> bool:
        witness.look()
        progress = server.progress()
        return bool(progress["annotated"] == CASES and progress["new_annotations"] == 0)

    server.wait_for(ended, "the last training")
    shown = {path.name for path in (cases.studies / "labels" / "final").iterdir()}
    assert shown == {path.name for path in cases.studies.glob("*.nii.gz")}
    check_no_second_server(server, make_server)
    check_ledger_that_goes_is_noticed(server, cases, witness)
    assert server.stop() == 0


def check_no_second_server(server: RunningServer, make_server: Callable[..., RunningServer]) -> None:
    """Check that a second server on the project ends, and names the process and port of the first."""
    code, printed = make_server(server.studies, **server.conf).start_in_vain()
    assert code == 2
    assert f"is in use by process {server.pid}, which serves it at port {server.port}" in printed
    assert server.progress()["images"] == CASES


def check_ledger_that_goes_is_noticed(server: RunningServer, cases: Any, witness: Witness) -> None:
    """Check that nothing is acknowledged while the ledger's file is gone, from the very next request on."""
    ledger = Path(server.studies) / "activelabel" / "ledger.sqlite"
    aside = ledger.with_name("aside.sqlite")
    ledger.rename(aside)
    with pytest.raises(MONAILabelClientException) as refused:
        server.save_label("blob_00", cases.label_of("blob_01"))
    assert "Status: 503" in str(refused.value)
    assert not ledger.exists()
    aside.rename(ledger)
    server.wait_for(lambda: "progress" in server.info(), "the ledger to be served again", 60)
    witness.look()


def annotate_one(server: RunningServer, cases: Any, witness: Witness) -> str:
    """Annotate the next case, and return its role, or an empty text if there is none."""
    sample = server.next_sample()
    if sample:
        server.save_label(sample["id"], cases.label_of(sample["id"]))
        witness.saw_label(sample["id"])
    return str(sample.get("role", ""))


def kill_amid(server: RunningServer, target: str, seconds: float) -> bool:
    """Kill a process so long after it began, and return whether it was still at work.

    Children are slowed down until then, so that a fast machine is not done with their work.
    """
    if target == "server":
        time.sleep(seconds)
        kill_server(server)
        return True
    processes = running(server, target)
    with contextlib.ExitStack() as slow:
        for process in processes:
            slow.enter_context(slowed_down(process))
        time.sleep(seconds)
        logger.info("killing %s", target)
        return sum(map(is_killed, processes)) > 0


def running(server: RunningServer, target: str) -> list[psutil.Process]:
    """Wait for children, or until everything is done: a fast machine may have scored between two looks."""
    found = list[psutil.Process]()
    looks = itertools.count(1)

    def runs_or_ended() -> bool:
        found[:] = server.children(target)
        # To ask the server takes longer than to look, and a child may have come and gone meanwhile.
        return bool(found) or (next(looks) % LOOKS_A_QUESTION == 0 and is_idle(server))

    server.wait_for(runs_or_ended, f"{target} to run", every=0.02)
    return found


def is_idle(server: RunningServer) -> bool:
    """Whether nothing is to be learnt from, and all that is left is scored with the model in use.

    If that is not the newest, it has scored the case that was annotated last as well.
    """
    progress = server.progress()
    left = progress["images"] - progress["annotated"]
    return bool(progress["new_annotations"] == 0 and progress["scored"] >= left and not server.children("scoring"))


def is_killed(process: psutil.Process) -> bool:
    """Kill a process at this moment, and return whether it had not ended before."""
    try:
        ended = process.status() == psutil.STATUS_ZOMBIE
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return not ended


def kill_server(server: RunningServer) -> None:
    """Kill the server at this moment, wait until its children have ended, and start it again."""
    logger.info("killing server")
    children = server.children()
    server.kill()
    # A child that was just starting notices the kill once it has started.
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive, "children outlived their server"
    server.start()
