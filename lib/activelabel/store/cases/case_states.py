"""The states of a case, who may move it from which to which, and what makes a label a draft. Knows no database.

A case is an image of the studies. `CaseFacts` hold what has happened to it. Its state is computed from them, so it can
neither be lost nor contradict them. `MOVES` is the whole state machine: in which states an event is allowed, who may
cause it, and which states may follow.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from activelabel.backports import StrEnum

COMES_BACK_AFTER = 5
"""How many other cases an annotator is given before a case that they skipped for now comes back."""


class CaseState(StrEnum):
    """The state of a case. If several hold at once (some slices annotated, others leased), the last one listed here."""

    UNSEEN = "unseen"
    PARTLY = "partly finished"
    SKIPPED = "skipped"
    DRAFT = "draft"
    LEASED = "leased"
    CANNOT = "cannot be annotated"
    FINISHED = "finished"


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


class Who(StrEnum):
    """Who may cause an event."""

    ANYONE = "anyone"
    HOLDER = "who holds it, or anyone while nobody does"


@dataclass(frozen=True)
class CaseFacts:
    """What is true of a case now.

    Attributes:
        finished: a final label covers the whole volume.
        partly: a final label covers some slices.
        set_aside: an annotator has marked it as one that cannot be annotated.
        held_by: the annotators who hold a lease on it or on slices of it.
        drafts_of: the annotators who have an open draft of it.
        skipped_by: the annotators who skipped it for now and have not been given enough other cases since.
    """

    finished: bool = False
    partly: bool = False
    set_aside: bool = False
    held_by: frozenset[str] = frozenset()
    drafts_of: frozenset[str] = frozenset()
    skipped_by: frozenset[str] = frozenset()

    @property
    def state(self) -> CaseState:
        """The last state of `CaseState` that these facts fulfil."""
        holds = {
            CaseState.FINISHED: self.finished,
            CaseState.CANNOT: self.set_aside,
            CaseState.LEASED: bool(self.held_by),
            CaseState.DRAFT: bool(self.drafts_of),
            CaseState.SKIPPED: bool(self.skipped_by),
            CaseState.PARTLY: self.partly,
        }
        return next((state for state, is_so in holds.items() if is_so), CaseState.UNSEEN)


@dataclass(frozen=True)
class Move:
    """In which states an event is allowed, who may cause it, and which states may follow."""

    sources: frozenset[CaseState]
    who: Who
    targets: frozenset[CaseState]


_ALL = frozenset(CaseState)
_OPEN = _ALL - {CaseState.FINISHED, CaseState.CANNOT}
"""The states of a case that is still to be annotated."""

MOVES: Mapping[CaseEvent, Move] = {
    CaseEvent.ASK: Move(_OPEN, Who.HOLDER, frozenset({CaseState.LEASED})),
    CaseEvent.LET_GO: Move(_ALL, Who.ANYONE, _ALL),
    # No drawing is refused because of the state of its case: a late drawing is kept, and so is one of a case set aside.
    CaseEvent.KEEP_DRAFT: Move(
        _ALL,
        Who.ANYONE,
        frozenset({CaseState.DRAFT, CaseState.LEASED, CaseState.CANNOT, CaseState.FINISHED}),
    ),
    CaseEvent.FINISH_PART: Move(_ALL, Who.ANYONE, _ALL - {CaseState.UNSEEN}),
    CaseEvent.FINISH: Move(_ALL, Who.ANYONE, frozenset({CaseState.FINISHED})),
    CaseEvent.SKIP: Move(_OPEN, Who.HOLDER, frozenset({CaseState.SKIPPED, CaseState.DRAFT, CaseState.LEASED})),
    CaseEvent.SET_ASIDE: Move(_OPEN, Who.HOLDER, frozenset({CaseState.CANNOT})),
    CaseEvent.BRING_BACK: Move(frozenset({CaseState.CANNOT}), Who.ANYONE, _OPEN),
    CaseEvent.TAKE_BACK: Move(_ALL - {CaseState.UNSEEN}, Who.ANYONE, _ALL - {CaseState.FINISHED}),
}


def refusal(event: CaseEvent, facts: CaseFacts, annotator: str) -> str | None:
    """The reason why this annotator cannot cause an event now; None if they can."""
    move = MOVES[event]
    if facts.state not in move.sources:
        return _WRONG_STATE.get(facts.state, f"is {facts.state}")
    if move.who is Who.HOLDER and facts.held_by and annotator not in facts.held_by:
        return "is being annotated by somebody else: wait until they have saved or skipped it"
    return None


_WRONG_STATE = {
    CaseState.FINISHED: "is finished: take its label back first, if it is wrong",
    CaseState.CANNOT: "was set aside as one that cannot be annotated: bring it back first",
}


class DraftReason(StrEnum):
    """The reason why a label is a draft and not finished."""

    SAID = "said"
    UNCONFIRMED = "unconfirmed"
    INCOMPLETE = "incomplete"
    UNSTATED = "unstated"


class FinishedBy(StrEnum):
    """Who decides that a whole volume is finished if the client does not say so: `--conf finished_by`."""

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
