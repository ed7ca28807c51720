"""What one process holds: its heart, what it gives up, and what it takes over from processes that died."""

import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from activelabel.acquisition.score import ImageScores, Score
from activelabel.loop import holding, written_behind
from activelabel.loop.holding import Holding
from activelabel.loop.written_behind import ScoresBehind
from activelabel.names import ScoreKind
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.work import worker_names
from activelabel.store.work.claims import Job
from activelabel.store.work.worker_names import release_of_dead, this_machine

KIND = ScoreKind("variance")
JOB = Job("score", 1, KIND)


def scores_of(image_id: str) -> list[ImageScores]:
    return [ImageScores(image_id, (Score.of_kind(KIND, 1.0),), 5)]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    ledger.sync_images("abc", 0)
    ledger.publish_model("m", "0" * 64, "quick", ["liver"], {}, [])
    return ledger


def test_a_heart_keeps_what_is_held_beyond_its_lease(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the ledger is moved on after each beat, so that a machine may stand still in between."""
    monkeypatch.setattr(holding, "BEATS_PER_LEASE", 600)  # each tenth of a second
    now, extend, beats = [datetime.now(timezone.utc)], ledger.extend_claims, list[datetime]()
    monkeypatch.setattr(ledger, "_clock", lambda: now[0])

    def beat(*rest: Any) -> Any:
        began = now[0]
        extended = extend(*rest)
        beats.append(began)
        return extended

    monkeypatch.setattr(ledger, "extend_claims", beat)
    with Holding(ledger, lease_seconds=60) as held:
        image_id = next(held.images(JOB))
        for _ in range(3):
            now[0] += timedelta(seconds=40)
            until = time.monotonic() + 60
            while not beats or beats[-1] < now[0]:
                assert time.monotonic() < until, "no beat"
                time.sleep(0.01)
        assert held.record(1, scores_of(image_id), 0) == []
    assert ledger.scored_images(1, KIND) == {image_id}


def test_a_process_that_stood_still_writes_nothing_and_goes_on_with_others(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(holding, "BEATS_PER_LEASE", 0.01)  # its heart stands still
    now = [datetime.now(timezone.utc)]
    monkeypatch.setattr(ledger, "_clock", lambda: now[0])
    with Holding(ledger, lease_seconds=60) as held:
        images = held.images(JOB)
        assert next(images) == "a"
        now[0] += timedelta(seconds=61)
        assert ledger.claim_images(JOB, "another", 60) == ["a"]
        assert held.record(1, scores_of("a"), 0) == ["a"]
        assert next(images) == "b"
        assert held.record(1, scores_of("b"), 0) == []
    assert ledger.scored_images(1, KIND) == {"b"}
    assert "a was lost to another worker" in caplog.text


def test_what_is_held_is_given_back_when_the_work_ends_with_an_error(ledger: Ledger) -> None:
    def fail() -> None:
        with Holding(ledger) as held:
            next(held.images(JOB))
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        fail()
    assert ledger.claims() == []


def test_a_stopped_process_claims_nothing_more(ledger: Ledger) -> None:
    asked: list[bool] = []
    with Holding(ledger, stopped=lambda: bool(asked)) as held:
        images = held.images(JOB)
        assert held.record(1, scores_of(next(images)), 0) == []
        asked.append(True)
        assert list(images) == []


def test_it_waits_while_another_holds_the_last_image_and_takes_it_over_when_that_is_lost(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, looks, claim = [datetime.now(timezone.utc)], [0], ledger.claim_images
    monkeypatch.setattr(ledger, "_clock", lambda: now[0])
    done: list[str] = []

    def claim_until_it_is_lost(*rest: Any) -> list[str]:
        """Lose the other one's claim after this process has looked for it in vain some times."""
        looks[0] += len(done) == 2
        if looks[0] == 3:
            now[0] += timedelta(seconds=61)
        return claim(*rest)

    assert claim(JOB, "another", 60) == ["a"]
    monkeypatch.setattr(ledger, "claim_images", claim_until_it_is_lost)
    monkeypatch.setattr(holding, "LOOK_AGAIN_SECONDS", 0.05)
    with Holding(ledger, lease_seconds=600) as held:
        for image_id in held.images(JOB):
            assert held.record(1, scores_of(image_id), 0) == []
            done.append(image_id)
    assert done == ["b", "c", "a"]


def test_images_are_claimed_ahead_and_told_of_before_they_come(ledger: Ledger) -> None:
    told: list[str] = []
    with Holding(ledger) as held:
        images = held.images(JOB, told.extend, ahead=1)
        assert next(images) == "a"
        assert (told, len(ledger.claims())) == (["a", "b"], 2)
        assert next(images) == "b"
        assert (told, len(ledger.claims())) == (["a", "b", "c"], 3)
        for image_id in "abc":
            assert held.record(1, scores_of(image_id), 0) == []
        assert list(images) == ["c"]


def test_slow_work_is_claimed_one_at_a_time_and_quick_work_many_at_a_time(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.sync_images([f"case_{number:03}" for number in range(60)], 0)
    claimed: list[int] = []
    claim = ledger.claim_images

    def noted(*rest: Any) -> list[str]:
        new = claim(*rest)
        claimed.append(len(new))
        return new

    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(holding, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(ledger, "claim_images", noted)
    with Holding(ledger) as held:
        for number, image_id in enumerate(held.images(JOB)):
            clock.now += 3.0 if number < 3 else 0.05
            assert held.record(1, scores_of(image_id), 0) == []
    # Each image counts half: 2.5, 2.75, 2.88, 1.46, 0.76, 0.40, 0.23, and after eight more 0.0507 of two seconds.
    assert claimed[:8] == [1, 1, 1, 1, 1, 2, 8, 39]
    assert held.recorded == 60


def test_slow_work_comes_one_by_one_and_quick_work_in_groups(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.sync_images([f"case_{number:03}" for number in range(40)], 0)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(holding, "time", SimpleNamespace(monotonic=lambda: clock.now))
    told: list[str] = []
    done: list[list[str]] = []
    waiting: list[int] = []
    with Holding(ledger) as held:
        for group in held.groups(JOB, told.extend, ahead=1, most=4):
            done.append(group)
            waiting.append(len(told) - sum(map(len, done)))
            clock.now += 3.0 if len(done) <= 3 else 0.05 * len(group)
            for image_id in group:
                assert held.record(1, scores_of(image_id), 0) == []
    # Seconds of an image: 2.5, 2.75, 2.88, 1.46, 0.76, and then less than a half of one, by which more than four do.
    assert [len(group) for group in done] == [1, 1, 1, 1, 1, 2, *[4] * 8, 1]
    assert waiting[:10] == [1, 1, 1, 1, 1, 2, 4, 4, 4, 4]
    assert [image_id for group in done for image_id in group] == told == sorted(told)


def test_what_was_lost_before_it_was_begun_is_not_begun(ledger: Ledger) -> None:
    ledger.sync_images([f"case_{number:02}" for number in range(20)], 0)
    with Holding(ledger, lease_seconds=6) as held:
        images = held.images(JOB)
        begun = [next(images) for _ in range(4)]
        mine = {claim.item for claim in ledger.claims()}
        assert len(mine) > len(begun)  # some are claimed and not begun
        ledger.release_claims(held.worker)
        ledger.claim_images(JOB, "another", 60, len(mine))
        until = time.monotonic() + 60
        while held._held and time.monotonic() < until:  # the heart finds out
            time.sleep(0.05)
        assert next(images) not in mine


def test_scores_that_are_written_behind_are_waited_for_and_not_claimed_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_behind, "WAIT_SECONDS", 3600.0)  # they are written once nothing else is to do
    done = []
    with Holding(ledger) as held, ScoresBehind(ledger, 1, 0, held) as written:
        for image_id in held.images(JOB):
            written.add(image_id, [Score.of_kind(KIND, 1.0)], 5)
            done.append(image_id)
    assert done == ["a", "b", "c"]
    assert held.recorded == 3


def test_who_is_asked_whether_to_stop_holds_up_nobody(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written_behind, "WAIT_SECONDS", 3600.0)
    free: list[bool] = []

    def look() -> None:
        free.append(held._lock.acquire(timeout=60))
        if free[-1]:
            held._lock.release()

    def stopped() -> bool:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return False

    with Holding(ledger, stopped=stopped) as held, ScoresBehind(ledger, 1, 0, held) as written:
        for image_id in held.images(JOB):
            written.add(image_id, [Score.of_kind(KIND, 1.0)], 5)
    assert held.recorded == 3
    assert all(free)


def test_who_waits_is_told_once_of_scores_that_are_written_together(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    with Holding(ledger, lease_seconds=3600) as held:  # its heart beats later
        images = held.images(JOB, ahead=2)
        assert next(images) == "a"
        monkeypatch.setattr(held._lock, "notify_all", lambda: told.append(len(held._held)))
        assert held.record(1, [scores for image_id in "abc" for scores in scores_of(image_id)], 0) == []
        assert told == [0]


def test_scores_that_cannot_be_written_are_not_waited_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> list[str]:
        raise OSError("the disk is full")

    def score() -> None:
        with Holding(ledger) as held, ScoresBehind(ledger, 1, 0, held) as written:
            for image_id in held.images(JOB):
                written.add(image_id, [Score.of_kind(KIND, 1.0)], 5)

    monkeypatch.setattr(ledger, "record_scores_of_images", fail)
    with pytest.raises(OSError, match="the disk is full"):
        score()


def test_what_a_dead_process_of_this_machine_held_is_free_at_once(ledger: Ledger) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lives = f"{this_machine()}:{sys.modules['os'].getpid()}:0a"
    for worker in (f"{this_machine()}:{ended.pid}:0b", lives, f"elsewhere:{ended.pid}:0c"):
        assert len(ledger.claim_images(JOB, worker, 3600)) == 1
    release_of_dead(ledger)
    assert {claim.worker for claim in ledger.claims()} == {lives, f"elsewhere:{ended.pid}:0c"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell one start of the system from another")
def test_a_copy_of_this_machine_with_the_same_name_is_another_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with monkeypatch.context() as copy:
        (tmp_path / "boot").write_text("11111111-2222-3333-4444-555555555555\n", encoding="ascii")
        copy.setattr(worker_names, "_BOOT_ID", tmp_path / "boot")
        lives_there = f"{this_machine()}:{ended.pid}:0a"
    ledger.claim_images(JOB, lives_there, 3600)
    release_of_dead(ledger)
    assert [claim.worker for claim in ledger.claims()] == [lives_there]


def test_a_whole_job_is_done_by_one_and_another_may_wait_for_it(ledger: Ledger) -> None:
    with Holding(ledger) as first, Holding(ledger) as second:
        with first.whole("race", 1) as claim, second.whole("race", 1) as other:
            assert (claim is not None, other) == (True, None)
        with second.whole("race", 1, wait=True) as claim:
            assert claim is not None
        assert ledger.claims() == []


def test_what_is_passed_over_is_free_for_others_and_the_rest_is_done(ledger: Ledger) -> None:
    ledger.sync_images("abcdef", 0)
    assert ledger.claim_images(JOB, "another", 3600, 1, "e") == ["f"]
    done = []
    with Holding(ledger, passed_over={"a", "c", "d"}) as held:
        for image_id in held.images(JOB, ahead=1):
            done.append(image_id)
            assert held.record(1, scores_of(image_id), 0) == []
        assert {claim.item for claim in ledger.claims()} == {"f"}
    assert done == ["b", "e"]
