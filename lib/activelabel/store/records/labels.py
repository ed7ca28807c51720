"""Labels as the ledger returns them: finished ones and drafts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from activelabel.store.case_states import DraftReason
from activelabel.store.coverage_case import CoverageCase
from activelabel.store.records.images import NamedSlices, Slices

FINAL = "final"
"""The tag of the annotations that count; labels with another tag are kept and do not count."""
SECOND = "reading_2"
"""The tag of a label that a second annotator has drawn without seeing the final one. Slicer's reviewer module, which
expects a number behind `_`, shows it as a version."""


@dataclass(frozen=True)
class Annotation:
    """A kept label and the slices that it covers.

    `version` counts from 1 within image and tag. `seconds` is the time from the query to the label, None if the image
    was never asked for; `active_seconds` is the part of it in which the annotator worked, None if no client has said
    it. A superseded annotation was replaced by a newer one; a deleted one was taken back.
    `covered_slices` is the number of slices that it covers, `foreground_slices` the number of those on which something
    is drawn; None if they were not counted. `unchanged_from` is the model that drew it if the annotator changed
    nothing. `label_names` name the values 1..N, `image_sha256` is the digest of the image on which it was drawn; both
    are None where unknown. `file_size`, `file_modified_ns` and `file_changed_ns` (see
    `data.files.writing.file_stamp`) are those of its file when its digest was last checked.
    `sent_otherwise` has, by its index, the digest of each slice that its annotator sent otherwise than the merged label
    has it, and the `format` of the digests; None if it was not kept, and in lists of labels of many images.
    """

    id: int
    image_id: str
    tag: str
    version: int
    file: str
    sha256: str
    slices: Slices
    covered_slices: int | None
    foreground_slices: int | None
    annotator: str
    seconds: float | None
    lease_id: int | None
    round_number: int
    created_at: datetime
    superseded_at: datetime | None
    deleted_at: datetime | None
    unchanged_from: int | None = None
    label_names: tuple[str, ...] | None = None
    image_sha256: str | None = None
    file_size: int | None = None
    file_modified_ns: int | None = None
    coverage: CoverageCase | None = None
    active_seconds: float | None = None
    sent_otherwise: Mapping[str, str] | None = field(default=None, compare=False)
    file_changed_ns: int | None = None


@dataclass(frozen=True)
class Draft:
    """A drawing that its annotator has not finished: it is kept, but it does not count and no model learns from it.

    `version` counts from 1 within the image, over all its drafts. `slices` are the queried slices, None for the volume.
    `named_slices` are those that its client has said it covers, whatever was asked: it is finished as a label of these.
    `why` is one line for the reason why it is a draft. An open draft has no `ended_at`: neither a newer draft nor a
    finished label has replaced it.
    """

    id: int
    image_id: str
    annotator: str
    version: int
    file: str
    sha256: str
    slices: Slices
    reason: DraftReason
    why: str
    lease_id: int | None
    created_at: datetime
    ended_at: datetime | None
    file_size: int | None = None
    file_modified_ns: int | None = None
    named_slices: NamedSlices = None
    file_changed_ns: int | None = None
