"""Claims of several workers in any order, on both databases: no image for two, each scored once, none lost."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from executed import executed
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from recorded import record_annotation

from activelabel.acquisition.score import ImageScores, Score
from activelabel.errors import InvalidInputError
from activelabel.names import ScoreKind
from activelabel.store.ledger import Ledger
from activelabel.store.records.work import Claim
from activelabel.store.schema.base import Base
from activelabel.store.work import claims as store_claims
from activelabel.store.work.claim_rows import LostClaimError
from activelabel.store.work.claims import Job

KIND = ScoreKind("variance")
JOB = Job("score", 1, KIND)
WORKERS, IMAGES = ("ann", "bob", "cid"), tuple("abcde")
workers = st.sampled_from(WORKERS)


@pytest.fixture
def scored_study(study: Ledger) -> Ledger:
    """The images a to f and a model that has scored none of them."""
    study.publish_model("m", "0" * 64, "quick", ["liver"], {}, [])
    return study


class Workers(RuleBasedStateMachine):
    """Workers that claim, beat, write, give back, die and are late, each checked against a dictionary."""

    def __init__(self, ledger: Ledger, clock: Any) -> None:
        super().__init__()
        self.ledger, self.clock = ledger, clock
        self.held: dict[str, tuple[str, float]] = {}  # image -> worker, and minutes until the claim expires
        self.believed: set[tuple[str, str]] = set()  # what workers think they hold, also what they have lost
        self.written: list[str] = []
        with ledger._writing() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())
        ledger.sync_images(IMAGES, 0)
        ledger.publish_model("m", "0" * 64, "quick", ["liver"], {}, [])

    @rule(worker=workers, limit=st.sampled_from([1, 2]), minutes=st.sampled_from([1, 5]))
    def claim(self, worker: str, limit: int, minutes: float) -> None:
        free = [one for one in IMAGES if one not in self.held and one not in self.written]
        claimed = self.ledger.claim_images(JOB, worker, 60 * minutes, limit)
        assert claimed == free[:limit]
        self.held |= dict.fromkeys(claimed, (worker, minutes))
        self.believed |= {(worker, one) for one in claimed}

    @rule(worker=workers)
    def beat(self, worker: str) -> None:
        mine = {one for one, (holder, _) in self.held.items() if holder == worker}
        assert self.ledger.extend_claims(worker, 300) == {Claim("score", 1, one, worker) for one in mine}
        self.held |= dict.fromkeys(mine, (worker, 5))

    @rule(worker=workers, image_id=st.sampled_from(IMAGES))
    def write(self, worker: str, image_id: str) -> None:
        if (worker, image_id) not in self.believed:
            return
        mine = self.held.get(image_id, ("", 0))[0] == worker
        claim = Claim("score", 1, image_id, worker)
        assert self.ledger.record_scores(1, image_id, [Score.of_kind(KIND, 1.0)], 5, 0, claim=claim) is mine
        if mine:
            assert image_id not in self.written
            self.written.append(image_id)
            del self.held[image_id]
        self.believed.discard((worker, image_id))

    @rule(worker=workers)
    def give_back(self, worker: str) -> None:
        self.ledger.release_claims(worker)
        self.held = {one: held for one, held in self.held.items() if held[0] != worker}

    @rule(minutes=st.sampled_from([0.5, 1, 4, 6]))
    def wait(self, minutes: float) -> None:
        self.clock.advance(minutes)
        left = {one: (holder, until - minutes) for one, (holder, until) in self.held.items()}
        self.held = {one: held for one, held in left.items() if held[1] > 0}

    @invariant()
    def each_image_is_free_or_held_by_one_or_written(self) -> None:
        held = {claim.item: claim.worker for claim in self.ledger.claims("score")}
        assert held == {one: holder for one, (holder, _) in self.held.items()}
        assert self.ledger.scored_images(1, KIND) == set(self.written)
        assert self.ledger.is_left(JOB) is (len(self.written) < len(IMAGES))


@pytest.mark.parametrize("page", [1, 32])
def test_workers_in_any_order_of_events_score_each_image_once(
    page: int, ledger: Ledger, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_claims, "_AT_FIRST", page)  # with small pages, what is left is counted
    run_state_machine_as_test(
        lambda: Workers(ledger, clock),
        settings=settings(max_examples=4, stateful_step_count=20, deadline=None, derandomize=True,
                          suppress_health_check=list(HealthCheck)),
    )  # fmt: skip


@pytest.mark.parametrize("held", [False, True])
def test_all_images_are_not_read_to_see_that_none_is_left_to_claim(
    held: bool, ledger: Ledger, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"case_{number:03}" for number in range(200)]
    ledger.sync_images(names, 0)
    ledger.publish_model("m", "0" * 64, "quick", ["liver"], {}, [])
    done = [ImageScores(name, (Score.of_kind(KIND, 1.0),), 5) for name in names[: -1 if held else None]]
    ledger.record_scores_of_images(1, done, 0)
    if held:
        assert ledger.claim_images(JOB, "other", 60, after=names[-3]) == names[-1:]
    for name in ("_AT_FIRST", "_AT_MOST"):
        monkeypatch.setattr(store_claims, name, 2)
    with executed() as statements:
        assert ledger.claim_images(JOB, "worker", 60) == []
        assert ledger.is_left(JOB) is held
    assert len(statements) < 25  # of 100 pages
    if held:
        ledger.release_claims("other")
        assert ledger.claim_images(JOB, "worker", 60) == names[-1:]


def test_workers_at_the_same_time_share_all_images_and_none_twice(ledger: Ledger) -> None:
    names = [f"case_{number:03}" for number in range(60)]
    ledger.sync_images(names, 0)
    ledger.publish_model("m", "0" * 64, "quick", ["liver"], {}, [])
    together = threading.Barrier(3)

    def work(worker: str) -> list[str]:
        done: list[str] = []
        together.wait()
        while not (claimed := ledger.claim_images(JOB, worker, 600)):
            pass  # all that were looked at are just being claimed by the others
        together.wait(600)  # none has done all before another one has begun
        while claimed:
            for image_id in claimed:
                time.sleep(0.01)  # scoring takes a moment, in which others can write
                claim = Claim("score", 1, image_id, worker)
                assert ledger.record_scores(1, image_id, [Score.of_kind(KIND, 1.0)], 5, 0, claim=claim)
                done.append(image_id)
            claimed = ledger.claim_images(JOB, worker, 600, after=done[-1])
        return done

    with ThreadPoolExecutor(3) as pool:
        shares = list(pool.map(work, (f"worker {number}" for number in range(3))))
    # Those that another worker had locked when the last one looked are left for the next look.
    shares.append(ledger.claim_images(JOB, "last", 60, limit=len(names)))
    assert sorted(image_id for share in shares for image_id in share) == names
    assert all(shares[:-1])


def test_an_annotated_absent_unreadable_or_validation_image_is_not_claimed(scored_study: Ledger) -> None:
    record_annotation(scored_study, "a", "label", "0", "ann")
    scored_study.mark_unreadable("b", "damaged")
    scored_study.sync_images("abcdef".replace("c", ""), validation_cases=0)
    assert scored_study.claim_images(JOB, "worker", 60, limit=9) == ["d", "e", "f"]


def test_images_to_prepare_are_those_that_were_never_read(scored_study: Ledger) -> None:
    for image_id in "abd":
        scored_study.record_file(image_id, "0" * 64, 1, 1, [0.0])
    assert scored_study.claim_images(Job("prepare"), "worker", 60, limit=9) == ["c", "e", "f"]
    assert scored_study.to_prepare() == ["c", "e", "f"]  # claimed or not
    assert scored_study.count_to_prepare() == 3
    assert scored_study.claim_images(JOB, "other", 60, limit=9) == list("abcdef")  # another kind of work


def test_a_claim_goes_on_after_the_last_image(scored_study: Ledger) -> None:
    assert scored_study.claim_images(JOB, "worker", 60, after="d") == ["e"]
    assert scored_study.claim_images(JOB, "worker", 60, after="f") == []


def test_a_job_has_one_holder_until_it_expires(scored_study: Ledger, clock: Any) -> None:
    assert scored_study.claim_job("train", "ann", 60)
    assert scored_study.claim_job("train", "ann", 60)
    assert not scored_study.claim_job("train", "bob", 60)
    clock.advance(2)
    assert scored_study.claims("train") == []
    assert scored_study.claim_job("train", "bob", 60)
    with pytest.raises(LostClaimError, match="not published"):
        scored_study.publish_model("n", "0" * 64, "quick", ["liver"], {}, [], claim=Claim("train", 0, "", "ann"))
    assert scored_study.latest_model().version == 1  # type: ignore[union-attr]
    scored_study.publish_model("n", "0" * 64, "quick", ["liver"], {}, [], claim=Claim("train", 0, "", "bob"))
    assert scored_study.latest_model().version == 2  # type: ignore[union-attr]


def test_a_worker_without_a_name_or_a_time_is_refused(scored_study: Ledger) -> None:
    with pytest.raises(InvalidInputError, match="worker"):
        scored_study.claim_images(JOB, "", 60)
    with pytest.raises(ValueError, match="seconds"):
        scored_study.claim_images(JOB, "ann", 0)
    with pytest.raises(ValueError, match="seconds"):
        scored_study.extend_claims("ann", -1)
