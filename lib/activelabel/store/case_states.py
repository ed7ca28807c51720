"""The states of a case, who may move it from which to which, and what makes a label a draft. Knows no database.

A case is an image of the studies. `CaseFacts` hold what has happened to it. Its state is computed from them, so it can
neither be lost nor contradict them. `MOVES` is the whole state machine: in which states an event is allowed, who may
cause it, and which states may follow. `docs/scripts/make_case_states_picture.py` draws it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from activelabel.backports import StrEnum

COMES_BACK_AFTER = 5
"""How many other cases an annotator is given before a case that they skipped for now comes back."""


class CaseState(StrEnum):
    """The state of a case. If several hold at once (some slices annotated, others leased), the last one listed here."""

    UNSEEN = "unseen"
    PARTLY = "partly finished"
    RETURNED = "returned"
    SKIPPED = "skipped"
    DRAFT = "draft"
    LEASED = "leased"
    CANNOT = "cannot be annotated"
    FINISHED = "finished"
    IN_REVIEW = "in review"
    APPROVED = "approved"


class CaseEvent(StrEnum):
    """What can happen to a case."""

    ASK = "ask"
    LET_GO = "let go"
    KEEP_DRAFT = "keep a draft"
    FINISH_PART = "finish slices"
    FINISH = "finish"
    SKIP = "not now"
    SET_ASIDE = "cannot be annotated"
    BRING_BACK = "bring back"
    TAKE_BACK = "take the label back"
    READ_AGAIN = "ask for a second reading"
    FINISH_AGAIN = "finish a second reading"
    TAKE_FOR_REVIEW = "take for review"
    END_REVIEW = "end the review"
    APPROVE = "approve"
    RETURN = "return"


class Who(StrEnum):
    """Who may cause an event."""

    ANYONE = "anyone"
    HOLDER = "who holds it, or anyone while nobody does"
    SECOND = "who has not drawn it alone, while nobody else reviews it"


class Verdict(StrEnum):
    """What a reviewer has decided about a label."""

    APPROVED = "approved"
    RETURNED = "returned"


@dataclass(frozen=True)
class CaseFacts:
    """What is true of a case now. `whole` and `partly` describe the current final label, whatever a reviewer thinks.

    Attributes:
        whole: a final label covers the whole volume.
        partly: a final label covers some slices.
        set_aside: an annotator has marked it as one that cannot be annotated.
        held_by: the annotators who hold a lease on it or on slices of it.
        drafts_of: the annotators who have an open draft of it.
        skipped_by: the annotators who skipped it for now and have not been given enough other cases since.
        verdict: what a reviewer has decided about the current final label; None if nobody has yet.
        reviewed_by: the reviewer who has the current final label before them now.
        drawn_by: the annotators of all versions of the final label since it was last taken back.
        differently_read_by: the annotators of both readings, if its two readings differ.
    """

    whole: bool = False
    partly: bool = False
    set_aside: bool = False
    held_by: frozenset[str] = frozenset()
    drafts_of: frozenset[str] = frozenset()
    skipped_by: frozenset[str] = frozenset()
    verdict: Verdict | None = None
    reviewed_by: str | None = None
    drawn_by: frozenset[str] = frozenset()
    differently_read_by: frozenset[str] = frozenset()

    @property
    def state(self) -> CaseState:
        """The last state of `CaseState` that these facts fulfil."""
        returned = self.verdict is Verdict.RETURNED
        finished = self.whole and not returned
        holds = {
            CaseState.APPROVED: finished and self.verdict is Verdict.APPROVED,
            CaseState.IN_REVIEW: finished and self.reviewed_by is not None,
            CaseState.FINISHED: finished,
            CaseState.CANNOT: self.set_aside,
            CaseState.LEASED: bool(self.held_by),
            CaseState.DRAFT: bool(self.drafts_of),
            CaseState.SKIPPED: bool(self.skipped_by),
            CaseState.RETURNED: returned,
            CaseState.PARTLY: self.partly,
        }
        return next((state for state, is_so in holds.items() if is_so), CaseState.UNSEEN)

    @property
    def has_label(self) -> bool:
        """Whether there is a final label, of the volume or of slices, that can be reviewed."""
        return self.whole or self.partly


LeastRole = Literal["annotator", "reviewer"]
"""The least role that may cause an event where people log in; `server.login.roles` has it for each route."""


@dataclass(frozen=True)
class Move:
    """In which states an event is allowed, who may cause it, which states may follow, and the least role for it."""

    sources: frozenset[CaseState]
    who: Who
    targets: frozenset[CaseState]
    least: LeastRole = "annotator"


_ALL = frozenset(CaseState)
_DONE = frozenset({CaseState.FINISHED, CaseState.IN_REVIEW, CaseState.APPROVED})
"""The states of a case whose volume has a label that nobody has returned."""
_OPEN = _ALL - _DONE - {CaseState.CANNOT}
"""The states of a case that is still to be annotated."""
_REVIEWED = frozenset({CaseState.RETURNED, CaseState.IN_REVIEW, CaseState.APPROVED})
"""The states that only a reviewer brings about; a new label ends them."""
_PARTS = frozenset({CaseState.PARTLY, CaseState.SKIPPED, CaseState.DRAFT, CaseState.LEASED, CaseState.CANNOT})
"""The states that a case may have while some of its slices have a label."""

MOVES: Mapping[CaseEvent, Move] = {
    CaseEvent.ASK: Move(_OPEN, Who.HOLDER, frozenset({CaseState.LEASED})),
    CaseEvent.LET_GO: Move(_ALL, Who.ANYONE, _ALL),
    # No drawing is refused because of the state of its case: a late drawing is kept, and so is one of a case set aside.
    CaseEvent.KEEP_DRAFT: Move(
        _ALL,
        Who.ANYONE,
        _DONE | {CaseState.DRAFT, CaseState.LEASED, CaseState.CANNOT},
    ),
    CaseEvent.FINISH_PART: Move(_ALL, Who.ANYONE, _ALL - _REVIEWED - {CaseState.UNSEEN}),
    CaseEvent.FINISH: Move(_ALL, Who.ANYONE, frozenset({CaseState.FINISHED})),
    # Of a finished case, only who holds it for a second reading skips that.
    CaseEvent.SKIP: Move(_OPEN | _DONE, Who.HOLDER, _DONE | {CaseState.SKIPPED, CaseState.DRAFT, CaseState.LEASED}),
    CaseEvent.SET_ASIDE: Move(_OPEN, Who.HOLDER, frozenset({CaseState.CANNOT})),
    CaseEvent.BRING_BACK: Move(frozenset({CaseState.CANNOT}), Who.ANYONE, _OPEN),
    CaseEvent.TAKE_BACK: Move(_ALL - {CaseState.UNSEEN}, Who.ANYONE, _ALL - _DONE - {CaseState.RETURNED}),
    # A second annotator draws the case without seeing the label; it is as finished as before.
    CaseEvent.READ_AGAIN: Move(_DONE, Who.HOLDER, _DONE),
    CaseEvent.FINISH_AGAIN: Move(_DONE, Who.ANYONE, _DONE),
    # A label of slices is reviewed as one of a volume is, while its case stays open for its other slices.
    CaseEvent.TAKE_FOR_REVIEW: Move(
        _DONE | _PARTS, Who.SECOND, _PARTS | {CaseState.IN_REVIEW, CaseState.APPROVED}, "reviewer"
    ),
    CaseEvent.END_REVIEW: Move(_ALL, Who.ANYONE, _ALL, "reviewer"),
    CaseEvent.APPROVE: Move(_ALL - {CaseState.UNSEEN}, Who.SECOND, _PARTS | {CaseState.APPROVED}, "reviewer"),
    CaseEvent.RETURN: Move(
        _ALL - {CaseState.UNSEEN}, Who.SECOND, _PARTS - {CaseState.PARTLY} | {CaseState.RETURNED}, "reviewer"
    ),
}


def refusal(event: CaseEvent, facts: CaseFacts, person: str) -> str | None:
    """The reason why this person cannot cause an event now; None if they can."""
    move = MOVES[event]
    if move.who is Who.SECOND and not facts.has_label:
        return "has no finished label that could be reviewed"
    skips_nothing = event is CaseEvent.SKIP and facts.state in _DONE and person not in facts.held_by
    if facts.state not in move.sources or skips_nothing:
        return _WRONG_STATE.get(facts.state, f"is {facts.state}")
    if move.who is Who.HOLDER and facts.held_by and person not in facts.held_by:
        return "is being annotated by somebody else: wait until they have saved or skipped it"
    return _not_second(event, facts, person) if move.who is Who.SECOND else None


def _not_second(event: CaseEvent, facts: CaseFacts, person: str) -> str | None:
    """The reason why this person is not the second pair of eyes that a review takes; None if they are."""
    if facts.reviewed_by not in (None, person):
        return "is being reviewed by somebody else: wait until they have decided"
    if facts.drawn_by == {person}:
        return "was drawn by you alone: somebody else has to review it"
    if facts.verdict is None and person in facts.differently_read_by:
        return "was read by you: somebody else has to decide between the readings"
    if event is CaseEvent.TAKE_FOR_REVIEW and facts.verdict is Verdict.RETURNED:
        return "was returned to its annotator: wait until they have sent it again"
    return None


_WRONG_STATE = {
    **dict.fromkeys(_DONE, "is finished: take its label back first, if it is wrong"),
    CaseState.CANNOT: "was set aside as one that cannot be annotated: bring it back first",
    CaseState.RETURNED: "was returned to its annotator: wait until they have sent it again",
}


class DraftReason(StrEnum):
    """The reason why a label is a draft and not finished.

    `SAID`: its client calls it unfinished. `UNCONFIRMED`: a model drew it, or it lies on the wrong slices, and nobody
    has said that it is meant. `INCOMPLETE`: it looks far from complete. `UNSTATED`: the project leaves it to clients,
    and this one does not say.
    """

    SAID = "said"
    UNCONFIRMED = "unconfirmed"
    INCOMPLETE = "incomplete"
    UNSTATED = "unstated"


class FinishedBy(StrEnum):
    """What makes a whole volume finished if its client does not say whether it is: `--conf finished_by`.

    `ESTIMATE`: that it looks complete. `CLIENT`: nothing, it stays a draft. `SAVING`: that it was saved.
    """

    ESTIMATE = "estimate"
    CLIENT = "client"
    SAVING = "saving"


@dataclass(frozen=True)
class Submission:
    """A label that was sent, and what is known about it.

    Attributes:
        whole: it covers the whole volume although the client did not name its slices.
        finished: whether the client calls it finished; None if the client does not say.
        confirmed: the client states that somebody has checked it.
        told: the same drawing was sent before and kept as a draft, and its sender was told why.
        validation: its image is a validation case.
        unchanged_from: the model that drew it, if the annotator changed nothing.
        incomplete: it looks far from complete.
    """

    whole: bool
    finished: bool | None = None
    confirmed: bool = False
    told: bool = False
    validation: bool = False
    unchanged_from: int | None = None
    incomplete: bool = False


def draft_reason(sent: Submission, finished_by: FinishedBy) -> DraftReason | None:
    """The reason why a label is kept as a draft; None if it is finished.

    Sending the same drawing again, after the server has answered why it is a draft, confirms the drawing.
    """
    if sent.finished is False:
        return DraftReason.SAID
    if sent.confirmed or sent.told:
        return None
    if sent.validation and sent.unchanged_from is not None:
        return DraftReason.UNCONFIRMED
    if sent.finished or not sent.whole or finished_by is FinishedBy.SAVING:
        return None
    if finished_by is FinishedBy.CLIENT:
        return DraftReason.UNSTATED
    return DraftReason.INCOMPLETE if sent.incomplete else None
