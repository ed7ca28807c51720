"""Counts that are not counted one by one are those that reading every image gives, after any order of events."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from recorded import record_annotation

from activelabel.acquisition.score import Score
from activelabel.names import ScoreKind
from activelabel.store.cases.skips import CANNOT
from activelabel.store.ledger import Ledger
from activelabel.store.schema.base import Base

KIND = ScoreKind("variance")
OTHER = ScoreKind("entropy")
NAMES = tuple("abcdef")
images = st.sampled_from(NAMES)


class Study(RuleBasedStateMachine):
    """Images that come, go, are damaged, scored, annotated and set aside; two ledger objects see the same."""

    def __init__(self, ledger: Ledger, other: Ledger) -> None:
        super().__init__()
        self.ledger, self.other = ledger, other
        with ledger._writing() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())
        ledger.sync_images(NAMES, 2)
        for _ in range(2):
            ledger.publish_model("m", "0" * 64, "quick", ["liver"], {}, [])

    @rule(present=st.sets(images, min_size=1), which=st.booleans())
    def sync(self, present: set[str], which: bool) -> None:
        (self.ledger if which else self.other).sync_images(present, 2)

    @rule(image_id=images, damaged=st.booleans())
    def damage_or_mend(self, image_id: str, damaged: bool) -> None:
        if damaged:
            self.other.mark_unreadable(image_id, "damaged")
        else:
            self.other.mark_readable(image_id)

    @rule(image_id=images, version=st.sampled_from([1, 2]), kind=st.sampled_from([KIND, OTHER]))
    def score(self, image_id: str, version: int, kind: ScoreKind) -> None:
        self.ledger.record_scores(version, image_id, [Score.of_kind(kind, 1.0)], 5, 0)

    @rule(image_id=images, slices=st.sampled_from([None, [1]]))
    def annotate(self, image_id: str, slices: list[int] | None) -> None:
        record_annotation(self.ledger, image_id, "label", "0", "ann", slices=slices)

    @rule(image_id=images)
    def take_back(self, image_id: str) -> None:
        if self.ledger.current_annotation(image_id) is not None:
            self.ledger.delete_annotation(image_id)

    @rule(image_id=images)
    def ask_and_set_aside(self, image_id: str) -> None:
        if self.ledger.grant_lease("bob", image_id, 10, "random") is not None:
            self.ledger.skip_case("bob", CANNOT, "no liver")

    @invariant()
    def counts_are_those_of_the_images(self) -> None:
        ledger = self.ledger
        for version in (1, 2):
            for kind in (KIND, OTHER):
                assert ledger.count_unscored(version, kind) == len(ledger.unscored(version, kind))
        present = [image for image in ledger.images() if image.present]
        scored = ledger.scored_images(2, KIND) | ledger.scored_images(2, OTHER)
        progress = ledger.progress()
        assert progress.images == len(present)
        assert progress.training == sum(image.role == "training" for image in present)
        assert progress.unreadable == sum(not image.usable for image in present)
        assert progress.scored == sum(image.id in scored for image in present)
        assert progress.annotated == sum(
            label.slices is None for label in ledger.annotations() if label.image_id in {one.id for one in present}
        )
        asked = ledger.asked_so_far()
        assert (asked.validation, asked.leased) == (progress.validation, progress.leased)
        assert asked.labelled == progress.annotated + progress.partly_annotated
        assert asked.has_model == (progress.latest_model is not None)
        usable = [image for image in present if image.usable]
        assert ledger.count_usable() == len(usable)
        assert list(ledger.usable_images()) == usable
        assert list(ledger.usable_images("c")) == [image for image in usable if image.id > "c"]
        assert ledger.usable(NAMES) == {image.id for image in usable}
        assert ledger.roles(["a", "nobody"]) == {"a": ledger.image("a").role}
        for role in ("training", "validation"):
            assert ledger.has_pool(role) == bool(ledger.pool(role))  # type: ignore[arg-type]


def test_counts_are_right_after_any_order_of_events(ledger: Ledger, empty_url: str, clock: Any) -> None:
    other = Ledger(empty_url, clock)
    run_state_machine_as_test(
        lambda: Study(ledger, other),
        settings=settings(max_examples=3, stateful_step_count=12, deadline=None, derandomize=True,
                          suppress_health_check=list(HealthCheck)),
    )  # fmt: skip
    other.close()


def test_the_first_measured_images_are_read_without_the_others(study: Ledger) -> None:
    for image_id in "fbd":
        study.record_file(image_id, "0" * 64, 1, 1, [1.0, 2.0, 3.0, 0.0])
    assert list(study.measured_intensities(2)) == ["b", "d"]
