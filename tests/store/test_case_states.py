"""The states of a case and the rule for drafts, worked out by hand."""

import itertools

import pytest

from activelabel.store.case_states import (
    MOVES,
    CaseEvent,
    CaseFacts,
    CaseState,
    DraftReason,
    FinishedBy,
    Submission,
    Verdict,
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
        (CaseFacts(whole=True, set_aside=True, drafts_of=ANN), "finished"),
        (CaseFacts(whole=True, reviewed_by="rev", held_by=BOB), "in review"),
        (CaseFacts(whole=True, verdict=Verdict.APPROVED, drafts_of=ANN), "approved"),
        (CaseFacts(whole=True, verdict=Verdict.APPROVED, reviewed_by="rev"), "approved"),
        (CaseFacts(whole=True, verdict=Verdict.RETURNED), "returned"),
        (CaseFacts(partly=True, verdict=Verdict.RETURNED), "returned"),
        (CaseFacts(whole=True, verdict=Verdict.RETURNED, held_by=ANN), "leased"),
        (CaseFacts(whole=True, verdict=Verdict.RETURNED, drafts_of=ANN), "draft"),
        # A label of some slices leaves its case open for the others, whatever a reviewer says of it.
        (CaseFacts(partly=True, verdict=Verdict.APPROVED), "partly finished"),
        (CaseFacts(partly=True, reviewed_by="rev", held_by=ANN), "leased"),
    ],
)
def test_the_state_of_a_case_by_hand(facts, state):
    assert facts.state.value == state


def test_every_case_but_a_finished_one_or_one_set_aside_can_be_asked_for():
    for state, event in itertools.product(CaseState, (CaseEvent.ASK, CaseEvent.SET_ASIDE)):
        closed = ("finished", "in review", "approved", "cannot be annotated")
        assert (state in MOVES[event].sources) == (state.value not in closed)


def test_no_state_is_a_dead_end():
    """A case can be finished from each state and history, and no annotator's drawing is refused."""
    assert MOVES[CaseEvent.FINISH].sources == MOVES[CaseEvent.KEEP_DRAFT].sources == frozenset(CaseState)
    assert CaseState.CANNOT in MOVES[CaseEvent.BRING_BACK].sources
    assert {CaseState.FINISHED, CaseState.IN_REVIEW, CaseState.APPROVED} < MOVES[CaseEvent.TAKE_BACK].sources
    assert CaseState.RETURNED in MOVES[CaseEvent.ASK].sources
    assert MOVES[CaseEvent.RETURN].sources == MOVES[CaseEvent.APPROVE].sources == frozenset(CaseState) - {"unseen"}


@pytest.mark.parametrize(
    ("event", "facts", "line"),
    [
        (CaseEvent.SKIP, CaseFacts(whole=True), "is finished: take its label back first, if it is wrong"),
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
        (CaseEvent.SKIP, CaseFacts(whole=True, verdict=Verdict.APPROVED), "is finished: take its label back"),
        (CaseEvent.SKIP, CaseFacts(whole=True, verdict=Verdict.RETURNED), None),
        (CaseEvent.SKIP, CaseFacts(whole=True, held_by=BOB), "is finished: take its label back"),
        (CaseEvent.SKIP, CaseFacts(whole=True, held_by=ANN), None),  # a second reading
        (CaseEvent.READ_AGAIN, CaseFacts(whole=True, held_by=BOB), "is being annotated by somebody else"),
        (CaseEvent.READ_AGAIN, CaseFacts(partly=True), "is partly finished"),
        (CaseEvent.APPROVE, CaseFacts(), "has no finished label that could be reviewed"),
        (CaseEvent.RETURN, CaseFacts(held_by=BOB, drafts_of=BOB), "has no finished label that could be reviewed"),
        (CaseEvent.APPROVE, CaseFacts(whole=True, drawn_by=ANN), "was drawn by you alone"),
        (CaseEvent.APPROVE, CaseFacts(whole=True, drawn_by=BOB), None),
        (CaseEvent.APPROVE, CaseFacts(whole=True, drawn_by=BOB, differently_read_by=ANN), "was read by you"),
        (
            CaseEvent.RETURN,
            CaseFacts(whole=True, drawn_by=BOB, differently_read_by=ANN, verdict=Verdict.APPROVED),
            None,
        ),
        (CaseEvent.APPROVE, CaseFacts(partly=True, drawn_by=ANN | BOB), None),
        (CaseEvent.RETURN, CaseFacts(whole=True, drawn_by=BOB, reviewed_by="bob"), "is being reviewed by somebody"),
        (CaseEvent.RETURN, CaseFacts(whole=True, drawn_by=BOB, reviewed_by="ann"), None),
        (CaseEvent.APPROVE, CaseFacts(whole=True, drawn_by=BOB, verdict=Verdict.RETURNED), None),
        (
            CaseEvent.TAKE_FOR_REVIEW,
            CaseFacts(whole=True, drawn_by=BOB, verdict=Verdict.RETURNED),
            "was returned to its annotator: wait",
        ),
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
