"""Which slices a label covers. A client sends the whole volume, whatever the annotator was asked for.

All functions here are pure: `annotation.history_reader` reads the drawings to compare.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from activelabel.annotation.beside_asked import drawn_beside
from activelabel.annotation.history import History, Version
from activelabel.data.grids import Grid
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.slice_digests import SliceDigests, differing, drawn_on, slice_digests
from activelabel.errors import InvalidInputError
from activelabel.store.cases.new_annotation import Sliced
from activelabel.store.coverage_case import CoverageCase
from activelabel.store.records.images import NamedSlices
from activelabel.store.records.queries import Lease

WHOLE: Final = "all"
"""The value of `annotated_slices` that stands for all slices; otherwise it is a list."""


@dataclass(frozen=True, eq=False)
class SentLabel:
    """A label that passed the checks and is not kept yet.

    Attributes:
        image_id: the image that it belongs to.
        annotator: who sent it.
        array: its voxels `(W, H, D)`.
        image: the grid of the image, on which the label lies too.
        axis: the axis along which slices are counted.
        named_slices: the client's `annotated_slices`; None if the client names none. `named_slices` checks them.
        answers_any: whether it answers the only active query for the image, another annotator's, if its own has none.
        finished: whether the client says that it is finished; None if it says nothing.
        confirmed: the client says that somebody has looked it over.
        decided: whether a reviewer has chosen it of two readings, so that it counts.
        unanswered: whether its client has sent it as finished before, and heard no answer.
    """

    image_id: str
    annotator: str
    array: LabelArray
    image: Grid
    axis: int
    named_slices: object = None
    answers_any: bool = False
    finished: bool | None = None
    confirmed: bool = False
    decided: bool = False
    unanswered: bool = False

    @property
    def all_slices(self) -> frozenset[int]:
        """Every slice that the image has."""
        return frozenset(range(self.image.shape[self.axis]))

    @property
    def sliced(self) -> Sliced:
        """How its slices are counted."""
        return self.axis, self.image.shape

    @cached_property
    def drawing(self) -> SliceDigests:
        """The digests of its slices."""
        return slice_digests(self.array, self.axis)

    @property
    def drawn_on(self) -> set[int]:
        """The slices on which something is drawn."""
        return drawn_on(self.drawing)


@dataclass(frozen=True)
class Coverage:
    """Which slices of a label count as annotated, and by which rule.

    Attributes:
        case: the rule.
        slices: the slices; None for the whole volume.
        beside: where `case` is `DRAWN_BESIDE`, each empty slice of the query and the drawn one beside it.
    """

    case: CoverageCase
    slices: frozenset[int] | None
    beside: Mapping[int, int] = field(default_factory=dict)


def covered(sent: SentLabel, query: Lease | None, history: History) -> Coverage:
    """The slices that a label covers by itself, before it is merged with the label that counts.

    Args:
        sent: what the client sent.
        query: the annotator's query; None if they have none.
        history: the history of the image. Its versions are compared only where `case_without_history` is None.

    Raises:
        InvalidInputError: the client names slices that the image does not have; nothing was asked for and nothing new
            is drawn; or a version that must be compared cannot be read.
    """
    case = case_without_history(sent, query, history)
    if case is CoverageCase.NAMED:
        named = named_slices(sent)
        return Coverage(case, None if named is None or named == WHOLE else frozenset(named))
    if case is not None:
        return Coverage(case, None)
    if query is not None and query.slices is not None:
        return _answer(sent, query, frozenset(query.slices) & sent.all_slices, history)
    drawn = _newly_drawn(sent, None, history)
    if not drawn:
        raise InvalidInputError(
            f"label of '{sent.image_id}': no slice of it was asked of {sent.annotator}, and nothing new is drawn: "
            f'draw, or name the slices in params, "annotated_slices": [..], or "{WHOLE}" for the whole volume'
        )
    return Coverage(CoverageCase.NOT_ASKED if query is None else CoverageCase.LATE_VOLUME_ANSWER, frozenset(drawn))


def case_without_history(sent: SentLabel, query: Lease | None, history: History) -> CoverageCase | None:
    """The case if it does not depend on earlier drawings; None if drawings must be compared.

    Of `history` only the current state is used, not the versions.
    """
    if sent.named_slices is not None:
        return CoverageCase.NAMED
    if query is None:
        is_whole = not history.is_partial and (history.covered is not None or not history.asks_slices)
        return CoverageCase.NOT_ASKED_VOLUME if is_whole else None
    if query.slices is not None or (history.is_partial and query.outcome is not None):
        return None
    return CoverageCase.VOLUME_ANSWER


def named_slices(sent: SentLabel) -> NamedSlices:
    """The slices that the client names, rising.

    Raises:
        InvalidInputError: they are neither `WHOLE` nor a list of indices that the image has, each once.
    """
    named, count = sent.named_slices, len(sent.all_slices)
    if named is None:
        return None
    if named == WHOLE:
        return WHOLE
    expected = f'annotated_slices: expected "{WHOLE}" or a list of slices from 0 to {count - 1}, each once'
    if not isinstance(named, list) or not named:
        raise InvalidInputError(f"{expected}, got {str(named)[:80]}")
    for index in named:
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count or named.count(index) > 1:
            raise InvalidInputError(f"{expected}, got {str(index)[:80]}")
    return tuple(sorted(named))


def _answer(sent: SentLabel, query: Lease, asked: frozenset[int], history: History) -> Coverage:
    """The coverage of an answer: slices of the query, and the other slices on which something new is drawn."""
    corrects = bool(history.sent_by(sent.annotator, query.granted_at))
    drawn = _newly_drawn(sent, query, history)
    answered = _corrected(sent, query, asked, history) if corrects else _answered(sent, query, asked, history)
    slices = frozenset(answered | drawn)
    beside = _beside(sent, asked, drawn, slices, history)
    if beside:
        return Coverage(CoverageCase.DRAWN_BESIDE, slices, beside)
    return Coverage(CoverageCase.CORRECTED_ANSWER if corrects else CoverageCase.ANSWER, slices)


def _answered(sent: SentLabel, query: Lease, asked: frozenset[int], history: History) -> set[int]:
    """The slices of a query that a first answer covers, empty ones included: an empty slice is an answer.

    Other annotators' drawings stay. If the label that counts already covers a slice, an answer that leaves it empty
    does not cover it, and an answer to a query that has ended never does.
    """
    before = history.covered or frozenset()
    return set(asked - before if query.outcome is not None else asked - (before - sent.drawn_on))


def _corrected(sent: SentLabel, query: Lease, asked: frozenset[int], history: History) -> set[int]:
    """The slices that an annotator who sends an answer again has corrected: those that differ from their last answer.

    An empty slice is corrected only if the annotator left it drawn, was the last to change it, or has sent last what is
    still drawn there, by whomever. On any other empty slice, somebody else has drawn since, and this annotator's client
    has never loaded that drawing. Nor has it where a drawn slice is as the annotator sent it before, and somebody else
    was the last to change it.

    What was sent is not known of labels that earlier versions of this package kept, which are merged. Then a slice on
    which somebody else has drawn is not emptied: the rule errs on the side that loses nothing.
    """
    earlier = history.sent_by(sent.annotator, query.granted_at)
    own = asked.union(*(history.changed_by(version) for version in earlier))
    corrected = own & differing(sent.drawing, earlier[-1].drawing)
    emptied = corrected - sent.drawn_on
    if emptied:
        meant = history.left_drawn(earlier) | history.last_changed_by(sent.annotator)
        corrected -= emptied - meant - history.left_as_sent(earlier[-1])
    before = [drawing for version in earlier for drawing in (version.drawing, version.sent) if drawing is not None]
    repeated = (corrected & sent.drawn_on) - differs_from_all(sent, before)
    if repeated:
        corrected -= repeated - history.last_changed_by(sent.annotator)
    return set(corrected)


def _newly_drawn(sent: SentLabel, query: Lease | None, history: History) -> set[int]:
    """The slices on which the annotator has drawn something that their client cannot have loaded.

    The client may have loaded other annotators' drawings and models' masks since the query (at any time, if there is no
    query), and it still shows the annotator's last label. A slice that equals an earlier label of the annotator comes
    from an outdated screen, unless they were the last to change the slice: then they restore it. The drafts of the
    annotator, and of the annotator whose query is answered, do not count as loaded, nor do copies of those since
    their last label in what another annotator has sent: sending a draft annotates nothing.
    """
    since = None if query is None else query.granted_at
    drafts_of = {sent.annotator} if query is None else {sent.annotator, query.annotator}
    loaded, sent_earlier = list(history.shown.values()), list[SliceDigests]()
    of_others: list[Version] = []
    for versions in (history.finals, history.originals):
        recent = [version for version in versions if version.counted_after(since)]
        own = [one for one in recent if one.annotator == sent.annotator and not one.is_draft]
        labels = [one.drawing for one in own if one.deleted_at is None]
        loaded += labels[-1:]
        sent_earlier += labels[:-1]
        own_drafts = [one for one in recent if one.is_draft and one.annotator in drafts_of]
        of_others += [one for one in recent if one not in own and one not in own_drafts]
    drawn = differs_from_all(sent, loaded)
    for version in of_others:
        same = drawn - differing(sent.drawing, version.drawing)
        drawn -= {index for index in same if not history.repeats_draft_of(drafts_of, index, version)}
    repeated = drawn - differs_from_all(sent, sent_earlier)
    restored = history.last_changed_by(sent.annotator) & repeated if repeated else set()
    return (drawn - repeated) | restored


def differs_from_all(sent: SentLabel, drawings: list[SliceDigests]) -> set[int]:
    """The drawn slices that equal the same slice in none of these drawings."""
    return sent.drawn_on.intersection(*(differing(sent.drawing, drawing) for drawing in drawings))


def _beside(
    sent: SentLabel, asked: frozenset[int], drawn: set[int], slices: frozenset[int], history: History
) -> dict[int, int]:
    """The queried slices that would count as empty, each with the slice drawn beside it (`beside_asked.drawn_beside`).

    A pair that the label that counts already contained is left out.
    """
    before, counting = history.covered or frozenset(), history.counting
    drawn_before = set[int]() if counting is None else before & drawn_on(counting.drawing)
    drawn_after = (drawn_before - slices) | (sent.drawn_on & slices)
    empty = (asked & (before | slices)) - drawn_after
    beside = drawn_beside(asked, empty, drawn, len(sent.all_slices))
    return {index: other for index, other in beside.items() if index not in before or other not in drawn_before}
