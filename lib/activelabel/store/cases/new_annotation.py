"""A label before the ledger has it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from activelabel.store.cases.coverage_case import CoverageCase
from activelabel.store.records import FINAL


@dataclass(frozen=True)
class KeptFile:
    """A file of the archive: its place below the folder of all labels, its SHA-256, and its size and time."""

    path: str
    sha256: str
    stamp: tuple[int, int]


@dataclass(frozen=True)
class NewAnnotation:
    """A label to be recorded.

    Attributes:
        image_id: the image that it belongs to.
        file: the archived copy.
        sha256: the digest of that file.
        annotator: who made it.
        tag: its tag.
        slices: all that it covers, what was drawn before and is still in it among them; None, or every slice that the
            image has, is the whole volume.
        foreground_slices: on how many slices something is drawn.
        merged_with: the version of the current label whose slices it took over, 0 if there was none; None if it
            replaces whatever there is.
        shown_as: another tag under which the label is kept too, as long as it covers some slices only, or if that tag
            shows an earlier one of its kind, or a draft.
        unchanged_from: the model that drew it, if nothing was changed.
        finishes: a draft, perhaps somebody else's, that it finishes too.
        label_names: the names of the values 1..N.
        file_stamp: size and time of the file when it had this `sha256`.
        coverage: why it covers what the annotator sent of it.
    """

    image_id: str
    file: str
    sha256: str
    annotator: str
    tag: str = FINAL
    slices: Iterable[int] | None = None
    foreground_slices: int | None = None
    merged_with: int | None = None
    shown_as: str | None = None
    unchanged_from: int | None = None
    finishes: int | None = None
    label_names: Sequence[str] | None = None
    file_stamp: tuple[int, int] | None = None
    coverage: CoverageCase | None = None
