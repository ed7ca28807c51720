"""The states of a case and the rule for drafts, worked out by hand."""

import itertools

import pytest

from activelabel.store.cases.case_states import (
    MOVES,
    CaseEvent,
    CaseFacts,
    CaseState,
    DraftReason,
    FinishedBy,
    Submission,
    draft_reason,
    refusal,
)

ANN, BOB = frozenset({"ann"}), frozenset({"bob"})


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (CaseFacts(), "unseen"),
        (CaseFacts(partly=True), "partly finished"),
        (CaseFacts(partly=True, skipped_by=ANN), "skipped"),
        (CaseFacts(skipped_by=ANN, drafts_of=ANN), "draft"),
        (CaseFacts(held_by=BOB, drafts_of=ANN, partly=True), "leased"),
        (CaseFacts(set_aside=True, drafts_of=ANN, held_by=BOB), "cannot be annotated"),
        (CaseFacts(finished=True, set_aside=True, drafts_of=ANN), "finished"),
    ],
)
def test_the_state_of_a_case_by_hand(facts, state):
    assert facts.state.value == state


def test_every_case_but_a_finished_one_or_one_set_aside_can_be_asked_for():
    for state, event in itertools.product(CaseState, (CaseEvent.ASK, CaseEvent.SKIP, CaseEvent.SET_ASIDE)):
        assert (state in MOVES[event].sources) == (state.value not in ("finished", "cannot be annotated"))


def test_no_state_is_a_dead_end():
    """A case can be finished from each state and history, and no annotator's drawing is refused."""
    assert MOVES[CaseEvent.FINISH].sources == MOVES[CaseEvent.KEEP_DRAFT].sources == frozenset(CaseState)
    assert CaseState.CANNOT in MOVES[CaseEvent.BRING_BACK].sources
    assert CaseState.FINISHED in MOVES[CaseEvent.TAKE_BACK].sources


@pytest.mark.parametrize(
    ("event", "facts", "line"),
    [
        (CaseEvent.SKIP, CaseFacts(finished=True), "is finished: take its label back first, if it is wrong"),
        (
            CaseEvent.SET_ASIDE,
            CaseFacts(set_aside=True),
            "was set aside as one that cannot be annotated: bring",
        ),
        (CaseEvent.SKIP, CaseFacts(held_by=BOB), "is being annotated by somebody else"),
        (CaseEvent.BRING_BACK, CaseFacts(drafts_of=ANN), "is draft"),
        (CaseEvent.SKIP, CaseFacts(held_by=ANN | BOB), None),
        (CaseEvent.SKIP, CaseFacts(drafts_of=BOB), None),
        (CaseEvent.FINISH, CaseFacts(set_aside=True, held_by=BOB), None),
    ],
)
def test_the_events_that_each_annotator_may_cause(event, facts, line):
    problem = refusal(event, facts, "ann")
    assert problem is None if line is None else problem.startswith(line)


ESTIMATE, CLIENT, SAVING = FinishedBy.ESTIMATE, FinishedBy.CLIENT, FinishedBy.SAVING


@pytest.mark.parametrize(
    ("sent", "finished_by", "reason"),
    [
        # The client's statement holds, whichever setting decides without one.
        (Submission(whole=True, finished=False), SAVING, "said"),
        (Submission(whole=False, finished=False), ESTIMATE, "said"),
        (Submission(whole=True, finished=True, incomplete=True), ESTIMATE, None),
        (Submission(whole=True, finished=True), CLIENT, None),
        # Slices that were asked for are always finished.
        (Submission(whole=False, incomplete=True), ESTIMATE, None),
        (Submission(whole=False), CLIENT, None),
        # A whole volume without a statement of the client.
        (Submission(whole=True), ESTIMATE, None),
        (Submission(whole=True, incomplete=True), ESTIMATE, "incomplete"),
        (Submission(whole=True, incomplete=True), SAVING, None),
        (Submission(whole=True), CLIENT, "unstated"),
        (Submission(whole=True, incomplete=True, told=True), ESTIMATE, None),
        (Submission(whole=True, told=True), CLIENT, None),
        # A model's own drawing never counts as the label of a validation case unless a person confirms it.
        (Submission(whole=True, validation=True, unchanged_from=3), ESTIMATE, "unconfirmed"),
        (Submission(whole=True, validation=True, unchanged_from=3), SAVING, "unconfirmed"),
        (Submission(whole=True, validation=True, unchanged_from=3, finished=True), ESTIMATE, "unconfirmed"),
        (Submission(whole=False, validation=True, unchanged_from=3), ESTIMATE, "unconfirmed"),
        (Submission(whole=True, validation=True, unchanged_from=3, confirmed=True), ESTIMATE, None),
        (Submission(whole=True, validation=True, unchanged_from=3, told=True), ESTIMATE, None),
        (Submission(whole=True, validation=True, unchanged_from=3, confirmed=True, finished=False), ESTIMATE, "said"),
        (Submission(whole=True, unchanged_from=3), ESTIMATE, None),
    ],
)
def test_the_labels_that_are_drafts(sent, finished_by, reason):
    assert draft_reason(sent, finished_by) == (None if reason is None else DraftReason(reason))
