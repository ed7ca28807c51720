"""What a reviewer has returned counts for nothing until somebody sends it again; cases worked out by hand."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from small_archive import GRID, MANY, SLICES, Archive

from activelabel.annotation import archive as archive_module
from activelabel.annotation.merging import merged
from activelabel.errors import InvalidInputError
from activelabel.store.case_states import CaseState, Verdict
from activelabel.store.coverage_case import CoverageCase
from activelabel.store.records.labels import Annotation


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Slices 0, 1 and 3 were asked of Ann, and what she has drawn was returned to her."""
    return returned(Archive(tmp_path))


def returned(archive: Archive) -> Archive:
    archive.ask("ann", [0, 1, 3])
    archive.send("ann", 1, 2, 0, 1, 0)
    archive.ledger.decide("a", "rev", Verdict.RETURNED, "the tip is missing", shown_as="original")
    return archive


def learnt(archive: Archive) -> tuple[int, ...]:
    """The slices of the image that a training learns from."""
    return tuple(index for label in archive.ledger.labels_to_learn() for index in label.slices or range(SLICES))


def taken(archive: Archive) -> set[int]:
    """The slices of the image for which nobody is asked."""
    return set(next(image.taken for image in archive.ledger.slice_pool() if image.image_id == "a"))


def test_what_was_returned_does_not_count_when_somebody_else_sends_another_slice(archive: Archive) -> None:
    archive.ask("bob", [4])
    kept = archive.send("bob", 1, 2, 0, 1, 1)  # with Ann's drawing, as his client has loaded it
    assert (kept.slices, kept.covered_slices, kept.foreground_slices) == ((4,), 1, 1)
    assert learnt(archive) == (4,)
    assert taken(archive) == {4}, "the others are asked for again"
    assert archive.values("original") == [1, 2, 0, 1, 1], "whoever opens the case sees what is to be corrected"
    assert archive.ledger.case_facts("a").state is CaseState.PARTLY


def test_what_was_returned_counts_slice_by_slice_as_it_is_sent_again(archive: Archive) -> None:
    archive.send("bob", 0, 0, 0, 0, 1, annotated_slices=[4])
    archive.send("bob", 0, 0, 0, 0, 2, annotated_slices=[4])  # merged with a label of his, in which it does not count
    archive.ask("eve", [3])
    assert archive.send("eve", 1, 2, 0, 1, 2).slices == (3, 4), "she was asked for slice 3, and leaves it as it is"
    archive.ask("ann", [1])
    assert archive.send("ann", 1, 1, 0, 1, 2).slices == (1, 3, 4)
    assert archive.values() == [1, 1, 0, 1, 2]
    assert learnt(archive) == (1, 3, 4)


def test_a_late_repetition_does_not_bring_back_what_was_returned(archive: Archive) -> None:
    archive.send("bob", 0, 0, 0, 0, 1, annotated_slices=[4])
    assert archive.send("ann", 1, 2, 0, 1, 0).slices == (4,)
    assert archive.send("ann", 1, 1, 0, 1, 0).slices == (1, 4), "this one she has corrected"
    assert archive.values() == [1, 1, 0, 1, 1]


def test_the_annotator_to_whom_a_label_was_returned_sends_all_of_it_corrected(archive: Archive) -> None:
    archive.ask("ann", [0, 1, 3])
    assert archive.send("ann", 1, 2, 0, 2, 0).slices == (0, 1, 3)
    assert (archive.values(), learnt(archive)) == ([1, 2, 0, 2, 0], (0, 1, 3))


def test_an_annotator_who_works_on_what_was_returned_is_not_disturbed_by_others(archive: Archive) -> None:
    archive.ask("ann", [0, 1, 3])
    archive.send("bob", 0, 0, 0, 0, 1, annotated_slices=[4])
    assert archive.send("ann", 1, 2, 0, 2, 0).slices == (0, 1, 3, 4)
    assert archive.values() == [1, 2, 0, 2, 1]


def test_what_a_reviewer_approves_after_all_counts(archive: Archive) -> None:
    archive.ledger.decide("a", "rev", Verdict.APPROVED)
    archive.send("bob", 0, 0, 0, 0, 1, annotated_slices=[4])
    assert learnt(archive) == (0, 1, 3, 4)


def test_a_finished_draft_of_somebody_else_does_not_bring_back_what_was_returned(archive: Archive) -> None:
    archive.send("bob", 1, 2, 0, 1, 1, finished=False, annotated_slices=[4])
    assert archive.archive.finish("a", "bob", GRID).slices == (4,)
    assert archive.values() == [1, 2, 0, 1, 1]


def test_nothing_new_over_a_returned_label_is_refused_and_it_stays_returned(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.ask("bob", [1])
    archive.send("bob", 0, 2, 0, 0, 0)
    archive.send("ann", 0, 2, 0, 1, 0)
    archive.ledger.decide("a", "rev", Verdict.RETURNED, "the tip is missing", shown_as="original")
    with pytest.raises(InvalidInputError, match="a reviewer has returned it to ann, and nothing new is drawn: draw"):
        archive.send("bob", 0, 2, 0, 0, 0, confirmed=True)
    assert archive.ledger.case_facts("a").state is CaseState.RETURNED


def test_a_returned_volume_does_not_count_as_a_whole_because_somebody_names_a_slice(tmp_path: Path) -> None:
    archive = Archive(tmp_path, asks_slices=False)
    archive.ask("ann", None)
    archive.send("ann", 1, 2, 0, 1, 0)
    archive.ledger.decide("a", "rev", Verdict.RETURNED, "the tip is missing", shown_as="original")
    assert archive.send("bob", 0, 0, 0, 0, 1, annotated_slices=[4]).slices == (4,)
    assert archive.values("original") == [1, 2, 0, 1, 1]
    assert "a" in archive.ledger.pool("training"), "the volume is asked for again"
    corrected = archive.send("ann", 1, 0, 0, 1, 1)  # a slice of hers is empty now, and nothing is drawn anew
    assert (corrected.slices, corrected.coverage) == (None, CoverageCase.VOLUME_ANSWER)
    assert archive.values() == [1, 0, 0, 1, 1]


def test_a_label_that_is_returned_while_another_is_merged_with_it_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(tmp_path)
    archive.ask("ann", [0, 1, 3])
    archive.send("ann", 1, 2, 0, 1, 0)

    def returned_meanwhile(*args: Any) -> Any:
        label = merged(*args)
        if not archive.ledger.standing_decisions():
            archive.ledger.decide("a", "rev", Verdict.RETURNED, "the tip is missing", shown_as="original")
        return label

    monkeypatch.setattr(archive_module, "merged", returned_meanwhile)
    assert archive.send("bob", 0, 0, 0, 0, 1, annotated_slices=[4]).slices == (4,)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["save", "save", "name", "return", "approve"]),
        st.sampled_from(["ann", "bob", "eve"]),
        st.sets(st.integers(1, SLICES - 1), min_size=1, max_size=2).map(sorted),
        st.booleans(),
    ),
    max_size=12,
)


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(events=EVENTS)
@example(events=[("save", "ann", [1, 3], False), ("return", "eve", [1], False), ("save", "bob", [4], True)])
def test_no_order_of_events_learns_from_what_was_returned_and_not_sent_again(
    tmp_path_factory: pytest.TempPathFactory, events: Any
) -> None:
    """Three annotators, whose clients load what there is or do not, and a reviewer. Slice 0 is never drawn."""
    archive = Archive(tmp_path_factory.mktemp("events"), labels=MANY)
    drawn: dict[int, int] = {}  # what opens with the image
    counting: set[int] = set()  # if its label is not returned
    returned_to: str | None = None
    values, current = iter(range(1, 200)), None
    for event, who, slices, loads in events:
        if event in ("save", "name"):
            fresh = {index: next(values) for index in slices}
            screen = {**(drawn if loads else {}), **fresh}
            named = {"annotated_slices": slices} if event == "name" else {}
            current = archive.send(who, *(screen.get(index, 0) for index in range(SLICES)), **named)
            drawn |= fresh
            counting = {*fresh, *(counting if returned_to in (None, who) else ())}
            returned_to = None
        elif current is not None:
            verdict = Verdict.RETURNED if event == "return" else Verdict.APPROVED
            returned_to = current.annotator if event == "return" else None
            archive.ledger.decide("a", "rev", verdict, "why", shown_as="original")
        if current is not None:
            assert archive.values("original") == archive.values() == [drawn.get(index, 0) for index in range(SLICES)]
            assert set(learnt(archive)) == taken(archive) == (counting if returned_to is None else set())
            assert foreground(archive.ledger.current_annotation("a")) == len(counting)


def foreground(label: Annotation | None) -> int | None:
    assert label is not None
    return label.foreground_slices
