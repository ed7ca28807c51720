"""Which slices a label covers that a client just sent. A client sends whole volumes, whatever it was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from activelabel.data.grids import Grid
from activelabel.data.labels import LabelArray, check_label
from activelabel.data.partial_labels import drawn_slices
from activelabel.errors import InvalidInputError
from activelabel.store.ledger import Ledger
from activelabel.store.records import FINAL, Annotation

ORIGINAL = "original"
"""The host's tag for what Slicer opens with an image: a prediction, or what was drawn before."""
WHOLE = "all"
"""What `annotated_slices` may be besides a list."""


@dataclass(frozen=True, eq=False)
class SentLabel:
    """A label that passed the checks, not kept yet.

    `array` (W, H, D) lies on `image`, whose slices are counted along `axis`; `said` is the client's `annotated_slices`,
    None if it said nothing.
    """

    image_id: str
    annotator: str
    array: LabelArray
    image: Grid
    axis: int
    said: object = None

    @property
    def all_slices(self) -> frozenset[int]:
        """Every slice that the image has."""
        return frozenset(range(self.image.shape[self.axis]))


@dataclass(frozen=True)
class Coverage:
    """Decides which slices of a label count as annotated.

    Attributes:
        ledger: knows who was asked for what.
        labels: names of the values 1..N.
        kept: folder of all label versions.
        predictions: folder of the masks that a model showed last, `IMAGE.nii.gz` each.
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

        Those that the client names; else those of the annotator's newest query for this image, even where they came
        back empty, and all on which she has drawn.

        Args:
            sent: what the client sent.
            current: the label that counts now.

        Raises:
            InvalidInputError: the client names what cannot be, or nothing was asked for and nothing was drawn.
        """
        if sent.said is not None:
            return None if sent.said == WHOLE else _said_slices(sent.said, len(sent.all_slices))
        query = self.ledger.latest_query(sent.image_id, sent.annotator)
        if query is not None:
            return None if query.slices is None else {*query.slices, *self._drawn(sent, query.granted_at)}
        is_partial = current is not None and current.slices is not None
        if not is_partial and (current is not None or not self.asks_slices):
            return None
        drawn = self._drawn(sent, None)
        if not drawn:
            raise InvalidInputError(
                f"label of '{sent.image_id}': no slice of it was asked of {sent.annotator}, and nothing new is drawn: "
                f'draw, or name the slices in params, "annotated_slices": [..], or "{WHOLE}" for the whole volume'
            )
        return drawn

    def read(self, annotation: Annotation, image: Grid) -> LabelArray:
        """The voxels of a kept label."""
        return check_label(self.kept / annotation.file, image, self.labels).array

    def _drawn(self, sent: SentLabel, since: datetime | None) -> set[int]:
        """Where something is drawn that the client cannot have loaded: since a moment, or now."""
        seen = []
        for tag in (FINAL, ORIGINAL):
            current = self.ledger.current_annotation(sent.image_id, tag)
            shown = self.ledger.labels_since(sent.image_id, tag, since) if since else [current] if current else []
            seen += [self.read(label, sent.image) for label in shown]
        prediction = self.predictions / f"{sent.image_id}.nii.gz"
        if prediction.is_file():
            seen.append(check_label(prediction, sent.image, self.labels).array)
        return drawn_slices(sent.array, sent.axis, seen)


def _said_slices(said: object, count: int) -> set[int]:
    """The slices that a client names, if they are a list of indices of slices that the image has, each once."""
    expected = f'annotated_slices: expected "{WHOLE}" or a list of slices from 0 to {count - 1}, each once'
    if not isinstance(said, list) or not said:
        raise InvalidInputError(f"{expected}, got {str(said)[:80]}")
    for index in said:
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count or said.count(index) > 1:
            raise InvalidInputError(f"{expected}, got {str(index)[:80]}")
    return set(said)
