"""The states of a case, who may move it from which to which, and what makes a label a draft. Knows no database.

A case is an image of the studies. What has happened to it are `CaseFacts`; its state follows from them, so that it can
neither be lost nor contradict them. `MOVES` is the whole machine: from where an event may come, who may cause it, and
where the case may be afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from activelabel.backports import StrEnum

COMES_BACK_AFTER = 5
"""A case that an annotator skipped for now is passed over for them until they were given so many others."""


class CaseState(StrEnum):
    """Where a case stands. Of several that hold at once, as in a volume asked for by slices, the last one here."""

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
        finished: a label of the whole volume counts.
        partly: a label of some slices counts.
        set_aside: somebody said that it cannot be annotated.
        held_by: who is at work on it, or on slices of it.
        drafts_of: who has a draft of it.
        skipped_by: who said *not now*, and has not been given enough others since.
    """

    finished: bool = False
    partly: bool = False
    set_aside: bool = False
    held_by: frozenset[str] = frozenset()
    drafts_of: frozenset[str] = frozenset()
    skipped_by: frozenset[str] = frozenset()

    @property
    def state(self) -> CaseState:
        """The one state that says most."""
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
    """From which states an event may come, who may cause it, and in which state the case may be afterwards."""

    sources: frozenset[CaseState]
    who: Who
    targets: frozenset[CaseState]


_ALL = frozenset(CaseState)
_OPEN = _ALL - {CaseState.FINISHED, CaseState.CANNOT}
"""Those of a case that is still to be drawn."""

MOVES: Mapping[CaseEvent, Move] = {
    CaseEvent.ASK: Move(_OPEN, Who.HOLDER, frozenset({CaseState.LEASED})),
    CaseEvent.LET_GO: Move(_ALL, Who.ANYONE, _ALL),
    # Nobody's drawing is ever refused for the state of its case: what comes late, or after all, is kept.
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
    """Why this annotator cannot cause an event now; None if they can."""
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
    """Why a label is a draft, and not finished."""

    SAID = "said"
    UNCONFIRMED = "unconfirmed"
    INCOMPLETE = "incomplete"
    UNSTATED = "unstated"


class FinishedBy(StrEnum):
    """Who says of a whole volume that it is finished, where the client does not: `--conf finished_by`."""

    ESTIMATE = "estimate"
    CLIENT = "client"
    SAVING = "saving"


@dataclass(frozen=True)
class Submission:
    """A label that was sent, and what is known of it.

    Attributes:
        whole: it covers the whole volume, and the client did not say so.
        finished: what the client said; None if nothing.
        confirmed: the client said that it was looked over, and is right as it is.
        told: the same drawing was sent before, was kept as a draft, and whoever sent it was told why.
        validation: its image judges models.
        unchanged_from: the model that drew it, if nothing was changed.
        incomplete: it is far from complete, as far as can be known.
    """

    whole: bool
    finished: bool | None = None
    confirmed: bool = False
    told: bool = False
    validation: bool = False
    unchanged_from: int | None = None
    incomplete: bool = False


def draft_reason(sent: Submission, finished_by: FinishedBy) -> DraftReason | None:
    """Why a label is kept as a draft; None if it is finished.

    Sending the same drawing again, after the server has said why it is a draft, says that it is right as it is.
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
