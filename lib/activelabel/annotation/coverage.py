"""Which slices a label covers that a client just sent. A client sends whole volumes, whatever it was asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from activelabel.annotation.beside_asked import drawn_beside
from activelabel.data.grids import Grid
from activelabel.data.labels import LabelArray, check_label
from activelabel.data.partial_labels import PartialLabel, drawn_slices
from activelabel.data.slices import differing_slices
from activelabel.errors import InvalidInputError
from activelabel.project.kept_labels import sound_file
from activelabel.store.ledger import Ledger
from activelabel.store.records import FINAL, Annotation, Lease

ORIGINAL = "original"
"""The host's tag for what Slicer opens with an image: a prediction, or what was drawn before."""
WHOLE = "all"
"""What `annotated_slices` may be besides a list."""


@dataclass(frozen=True, eq=False)
class SentLabel:
    """A label that passed the checks, not kept yet.

    `array` (W, H, D) lies on `image`, whose slices are counted along `axis`; `said` is the client's `annotated_slices`,
    None if it said nothing. `answers_any`: who sends it was never asked, and answers somebody else's query.
    `finished` and `confirmed` are what the client says: whether it is finished (None if nothing), and that somebody has
    looked it over.
    """

    image_id: str
    annotator: str
    array: LabelArray
    image: Grid
    axis: int
    said: object = None
    answers_any: bool = False
    finished: bool | None = None
    confirmed: bool = False

    @property
    def all_slices(self) -> frozenset[int]:
        """Every slice that the image has."""
        return frozenset(range(self.image.shape[self.axis]))

    @property
    def drawn_on(self) -> set[int]:
        """The slices on which there is anything."""
        return differing_slices(self.array, 0, self.axis)


@dataclass(frozen=True)
class Coverage:
    """Decides which slices of a label count as annotated.

    Attributes:
        ledger: knows who was asked for what.
        labels: names of the values 1..N.
        kept: folder of all label versions.
        predictions: the masks that models showed, `IMAGE/VERSION.nii.gz`.
        asks_slices: whether the project asks for slices. Who was asked for nothing has then annotated what she has
            drawn, else the whole volume.
    """

    ledger: Ledger
    labels: Sequence[str]
    kept: Path
    predictions: Path
    asks_slices: bool

    def of(self, sent: SentLabel, current: Annotation | None) -> set[int] | None:
        """The slices that `sent` covers by itself; None for the whole volume.

        Those that the client names; else the answer to the annotator's newest query for this image, and all on which
        she has drawn besides.

        Args:
            sent: what the client sent.
            current: the label that counts now.

        Raises:
            InvalidInputError: the client names what cannot be, or nothing was asked for and nothing was drawn.
        """
        if sent.said is not None:
            return None if sent.said == WHOLE else _said_slices(sent.said, len(sent.all_slices))
        query = self.query(sent)
        is_partial = current is not None and current.slices is not None
        if query is not None and query.slices is not None:
            return self._answer(sent, query, current) | self._drawn(sent, query)
        if query is not None and not (is_partial and query.outcome is not None):
            return None
        if not is_partial and (current is not None or not self.asks_slices):
            return None
        drawn = self._drawn(sent, None)
        if not drawn:
            raise InvalidInputError(
                f"label of '{sent.image_id}': no slice of it was asked of {sent.annotator}, and nothing new is drawn: "
                f'draw, or name the slices in params, "annotated_slices": [..], or "{WHOLE}" for the whole volume'
            )
        return drawn

    def beside_asked(self, sent: SentLabel, current: Annotation | None, label: PartialLabel) -> dict[int, int]:
        """The slices that were asked for and would be learnt as empty, while others are drawn that were not asked for.

        As `beside_asked.drawn_beside` tells them. Nothing where the client names the slices that it has annotated, nor
        what the label that counts now has said before.

        Args:
            sent: what the client sent.
            current: the label that counts now.
            label: what would count if it were kept.
        """
        query = self.query(sent)
        if sent.said is not None or query is None or query.slices is None:
            return {}
        asked = set(query.slices) & sent.all_slices
        empty = asked & label.slices - differing_slices(label.array, 0, sent.axis)
        beside = drawn_beside(asked, empty, self._drawn(sent, query), len(sent.all_slices))
        if not beside or current is None:
            return beside
        before, drawn_before = set(current.slices or sent.all_slices), self.read(current, sent.image)
        known = before & differing_slices(drawn_before, 0, sent.axis)
        return {index: other for index, other in beside.items() if index not in before or other not in known}

    def read(self, annotation: Annotation, image: Grid) -> LabelArray:
        """The voxels of a kept label.

        Raises:
            InvalidInputError: its file is not as it was kept.
        """
        return check_label(sound_file(annotation, self.kept, self.ledger), image, self.labels).array

    def shown(self, image_id: str) -> Iterable[Path]:
        """The masks that models showed of an image, each named by the model's version."""
        return (self.predictions / image_id).glob("*.nii.gz")

    def query(self, sent: SentLabel) -> Lease | None:
        """The annotator's newest query for this image, unless she has skipped it."""
        query = self.ledger.latest_query(sent.image_id, sent.annotator)
        if query is None and sent.answers_any:
            others = self.ledger.active_leases(sent.image_id)
            return others[0] if len(others) == 1 else None
        return None if query is None or query.outcome == "released" else query

    def _answer(self, sent: SentLabel, query: Lease, current: Annotation | None) -> set[int]:
        """The slices of a query that count, also where they came back empty: an empty slice is an answer.

        But nobody else's drawing is lost by it: what others have drawn since the query ended, or where the answer is
        empty, stays. Who answered already, and sends again, has corrected what is not as they sent it; but a slice that
        is empty there, that they did not leave drawn, and that somebody else was the last to draw on, is one that they
        have not loaded.
        """
        asked = set(query.slices or ()) & sent.all_slices
        earlier = self._own_since(sent, query)
        if earlier:
            mine = asked.union(*(self._changed_by(label, sent) for label in earlier))
            corrected = mine & differing_slices(sent.array, self.read(earlier[-1], sent.image), sent.axis)
            emptied = corrected - sent.drawn_on
            if emptied:
                corrected -= emptied - self._left_drawn(earlier, sent) - self._last_changed_by_her(sent)
            return corrected
        covered = set() if current is None else set(current.slices or sent.all_slices)
        return asked - covered if query.outcome is not None else asked - (covered - sent.drawn_on)

    def _own_since(self, sent: SentLabel, query: Lease) -> list[Annotation]:
        """What she has sent since she was asked, oldest first; nothing from before the label was deleted."""
        own: list[Annotation] = []
        for label in self.ledger.labels_since(sent.image_id, FINAL, query.granted_at):
            if label.deleted_at is not None:
                own = []
            elif label.annotator == sent.annotator and label.created_at >= query.granted_at:
                own.append(label)
        return own

    def _left_drawn(self, earlier: Iterable[Annotation], sent: SentLabel) -> set[int]:
        """The slices that were not empty when one of these labels changed them last."""
        left = set[int]()
        for label in earlier:
            changed = self._changed_by(label, sent)
            left = left - changed | changed & differing_slices(self.read(label, sent.image), 0, sent.axis)
        return left

    def _changed_by(self, label: Annotation, sent: SentLabel) -> set[int]:
        """The slices that a kept label changed, beside the one it took the place of."""
        array = self.read(label, sent.image)
        for before in self.ledger.history(sent.image_id):
            if (before.tag, before.version) == (FINAL, label.version - 1) and before.deleted_at is None:
                return differing_slices(array, self.read(before, sent.image), sent.axis)
        return differing_slices(array, 0, sent.axis)

    def _drawn(self, sent: SentLabel, query: Lease | None) -> set[int]:
        """Where something is drawn that she cannot have loaded since she was asked; ever, if she was not asked.

        She may have loaded what others have drawn and what models showed, and what she sent last is still on her
        screen. A slice as she sent it before that is old, unless she was the last to change it: then she goes back.
        Her own drafts count for neither: nothing of them was annotated by sending them. Nor do those of whoever was
        asked, where she answers for them.
        """
        seen, old = set[Path](), set[Path]()
        hers = {sent.annotator} if query is None else {sent.annotator, query.annotator}
        drafts = {draft.file for draft in self.ledger.draft_history(sent.image_id) if draft.annotator in hers}
        for tag in (FINAL, ORIGINAL):
            history = [label for label in self.ledger.history(sent.image_id) if label.tag == tag]
            shown = history if query is None else self.ledger.labels_since(sent.image_id, tag, query.granted_at)
            shown = [label for label in shown if label.file not in drafts]
            own = [label for label in shown if label.annotator == sent.annotator]
            kept = [label for label in own if label.deleted_at is None]
            seen.update(self.kept / label.file for label in (*kept[-1:], *(one for one in shown if one not in own)))
            old.update(self.kept / label.file for label in kept[:-1])
        seen.update(self.shown(sent.image_id))
        drawn, never_sent = (
            drawn_slices(sent.array, sent.axis, (check_label(file, sent.image, self.labels).array for file in files))
            for files in (seen, old)
        )
        sent_before = drawn - never_sent
        return drawn - sent_before | (self._last_changed_by_her(sent) & sent_before if sent_before else set())

    def _last_changed_by_her(self, sent: SentLabel) -> set[int]:
        """The slices of the label that counts that the annotator was the last to change."""
        hers, others = set[int](), set[int]()
        for label in reversed(self.ledger.history(sent.image_id)):
            if label.tag != FINAL:
                continue
            if label.deleted_at is not None:
                break
            changed = self._changed_by(label, sent)
            if label.annotator == sent.annotator:
                hers |= changed - others
            else:
                others |= changed - hers
        return hers


def _said_slices(said: object, count: int) -> set[int]:
    """The slices that a client names, if they are a list of indices of slices that the image has, each once."""
    expected = f'annotated_slices: expected "{WHOLE}" or a list of slices from 0 to {count - 1}, each once'
    if not isinstance(said, list) or not said:
        raise InvalidInputError(f"{expected}, got {str(said)[:80]}")
    for index in said:
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count or said.count(index) > 1:
            raise InvalidInputError(f"{expected}, got {str(index)[:80]}")
    return set(said)
