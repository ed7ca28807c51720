"""A label or a draft before it is recorded in the ledger."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from activelabel.data.files.writing import Stamp
from activelabel.store.case_states import DraftReason
from activelabel.store.coverage_case import CoverageCase
from activelabel.store.records.images import NamedSlices, Slices
from activelabel.store.records.labels import FINAL
from activelabel.store.records.reviews import Agreement

Sliced = tuple[int, Sequence[int]]
"""The axis along which slices are counted, and the shape of the image."""


class LabelChangedError(Exception):
    """Somebody else has changed what a new label was made with: the label that it was merged with, or the axis."""


@dataclass(frozen=True)
class Unsynced:
    """The content of a file that the disk may not have yet, and files of which it has all meanwhile."""

    content: bytes = field(repr=False)
    synced: Sequence[str] = ()


@dataclass(frozen=True)
class KeptFile:
    """A file of the archive: its place below the folder of all labels, its SHA-256, and its size and times.

    There is no stamp if another program has written the file since, so that it is looked at when it is read.

    `sent_otherwise` has the digest of each slice that its annotator sent otherwise than the file has it. `unsynced` is
    None if the file survives a power cut already.
    """

    path: str
    sha256: str
    stamp: Stamp | None
    sent_otherwise: Mapping[int, str] = field(default_factory=dict)
    unsynced: Unsynced | None = None


def stamp_columns(stamp: Stamp | None) -> dict[str, int | None]:
    """The columns of a label or draft that hold the stamp of its file."""
    size, modified_ns, changed_ns = stamp or (None, None, None)
    return {"file_size": size, "file_modified_ns": modified_ns, "file_changed_ns": changed_ns}


@dataclass(frozen=True)
class Compared:
    """A reading compared with the other reader's label `other_id`: the agreement by structure; whether it is enough."""

    other_id: int
    structures: Mapping[str, Agreement]
    agrees: bool


@dataclass(frozen=True)
class NewAnnotation:
    """A label to be recorded.

    Attributes:
        image_id: the image of the label.
        file: the archived copy.
        sha256: the digest of that file.
        annotator: who made it.
        tag: its tag.
        slices: all slices that it covers, including those merged from the label before; None, or every slice of the
            image, stands for the whole volume.
        foreground_slices: the number of slices on which something is drawn.
        merged_with: the version of the current label that it was merged with, 0 if there was none; None if it replaces
            the current label, whichever that is.
        onto_returned: whether a reviewer had returned the label that it was merged with.
        shown_as: another tag under which the label is also kept if it covers only some slices, or if the current label
            of that tag is a draft or a copy of an earlier label of this tag.
        unchanged_from: the model that drew it, if the annotator changed nothing.
        finishes: the id of a draft that it finishes too, perhaps another annotator's.
        label_names: the names of the values 1..N.
        file_stamp: size and times of the file when it had this `sha256`; None if unknown.
        coverage: the rule by which its covered slices were found.
        beside: the id of the other reader's newest label, 0 if there was none; None if nobody has looked for one.
        compared: the comparison with that label; None if it could not be read.
        sent_otherwise: the digest of each slice that was sent otherwise than the file has it.
        sliced: how its slices are counted, which is recorded with it; None if the ledger knows that.
        unsynced: as in `KeptFile`.
    """

    image_id: str
    file: str
    sha256: str
    annotator: str
    tag: str = FINAL
    slices: Iterable[int] | None = None
    foreground_slices: int | None = None
    merged_with: int | None = None
    onto_returned: bool = False
    shown_as: str | None = None
    unchanged_from: int | None = None
    finishes: int | None = None
    label_names: Sequence[str] | None = None
    file_stamp: Stamp | None = None
    coverage: CoverageCase | None = None
    beside: int | None = None
    compared: Compared | None = None
    sent_otherwise: Mapping[int, str] | None = None
    sliced: Sliced | None = None
    unsynced: Unsynced | None = None


@dataclass(frozen=True)
class NewDraft:
    """A drawing to be recorded that its annotator has not finished.

    Attributes:
        image_id: the image that was drawn on.
        annotator: who continues the draft.
        reason: why it is a draft.
        why: the reason in one line.
        shown_as: the tag of the label that clients open with the image.
        slices: the queried slices; None for the volume.
        lease_id: the query that the finished draft will answer.
        label_names: the names of the values 1..N.
        named_slices: the slices that the client says it covers.
        sliced: as in `NewAnnotation`.
    """

    image_id: str
    annotator: str
    reason: DraftReason
    why: str
    shown_as: str
    slices: Slices = None
    lease_id: int | None = None
    label_names: Sequence[str] | None = None
    named_slices: NamedSlices = None
    sliced: Sliced | None = None
