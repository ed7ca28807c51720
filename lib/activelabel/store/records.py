"""What the ledger answers with: frozen records, free of any database. Times are aware and in UTC.

Slices are sorted indices along the slice axis; None means the whole volume.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from activelabel.store.cases.case_states import DraftReason
from activelabel.store.cases.coverage_case import CoverageCase

Role = Literal["training", "validation"]
Outcome = Literal["saved", "expired", "released"]
ModelKind = Literal["task", "proxy"]
SkipKind = Literal["not now", "cannot be annotated"]
UserRole = Literal["annotator", "reviewer", "manager", "admin"]
Slices = tuple[int, ...] | None
Metrics = Mapping[str, float | None]

FINAL = "final"  # the tag of the annotations that count; any other is kept and counts for nothing


@dataclass(frozen=True)
class Image:
    """An image that was seen once. `role` never changes; `unreadable_reason` is None where all is well.

    `slice_axis` is the axis of its own voxels along which its slices are counted, `slice_count` their number; None
    until somebody had to know. `patient` is whose image it is, None where nobody said. `content_sha256`, of shape and
    voxels, `file_size`, `file_modified_ns` and `intensities` (see `data.intensities`) are of its file as it was last
    read. `set_aside_stamp` says what its files were like when it was set aside.
    """

    id: str
    added_at: datetime
    role: Role
    present: bool
    unreadable_reason: str | None
    unreadable_at: datetime | None
    slice_axis: int | None
    slice_count: int | None
    patient: str | None = None
    content_sha256: str | None = None
    file_size: int | None = None
    file_modified_ns: int | None = None
    intensities: tuple[float, ...] | None = None
    set_aside_stamp: str | None = None

    @property
    def usable(self) -> bool:
        """Whether its file is there and can be read, as far as is known."""
        return self.present and self.unreadable_reason is None


@dataclass(frozen=True)
class SlicesTaken:
    """An image of which slices may be asked for, and those that may not: annotated already, or leased to someone."""

    image_id: str
    slice_axis: int | None
    slice_count: int | None
    taken: frozenset[int]


@dataclass(frozen=True)
class ModelVersion:
    """A published model. `trained_on` and `validated_on` are annotation ids; a metric that is undefined is None.

    `kind` is `task` for a model of what is annotated, `proxy` for one that learned from pseudo-labels.
    """

    version: int
    kind: ModelKind
    file: str
    sha256: str
    created_at: datetime
    recipe: str
    labels: tuple[str, ...]
    metrics: Metrics
    trained_on: tuple[int, ...]
    validated_on: tuple[int, ...]
    withdrawn_at: datetime | None


@dataclass(frozen=True)
class Judges:
    """The cases by which models are judged: a digest of their labels, and how many they are."""

    digest: str
    cases: int


@dataclass(frozen=True)
class Measurement:
    """How well a model did by some cases. Only measurements by the same `judges` can be compared."""

    model_version: int
    judges: Judges
    metrics: Metrics

    @property
    def dice(self) -> float | None:
        """The mean over structures and cases, by which models are compared; None where it is not defined."""
        return self.metrics.get("dice")


@dataclass(frozen=True)
class ModelUse:
    """Which model of its kind was in use from `began_at` on, None for none; `chosen_by` is None if it was the best."""

    model_version: int | None
    chosen_by: str | None
    began_at: datetime


@dataclass(frozen=True)
class ModelEffort:
    """The labels that a model has seen, for training and validation: of how many volumes, covering how many slices."""

    volumes: int
    slices: int
    foreground_slices: int


@dataclass(frozen=True)
class Annotation:
    """A label that was kept, and what it covers.

    `version` counts from 1 within image and tag. `seconds` is the time since the query was given, None where the
    image was never asked for. A superseded annotation has a newer one beside it; a deleted one was taken back.
    `covered_slices` is how many slices it covers, `foreground_slices` in how many of them something is drawn; None
    where nobody counted. `unchanged_from` is the model that drew it, where nobody changed anything.
    `label_names` are those of the values 1..N, `image_sha256` is of the content of the image on which it was drawn;
    None where nobody said.
    `file_size` and `file_modified_ns` are of its file when that was last known to be of this `sha256`.
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


@dataclass(frozen=True)
class Draft:
    """A drawing that its annotator has not finished: kept, never counted, never learnt from.

    `version` counts from 1 within the image, over all its drafts. `slices` are those that were asked for, None for the
    volume. `why` says in one line why it is a draft. An open one has no `ended_at`: neither a newer draft nor a label
    that is finished took its place.
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


@dataclass(frozen=True)
class Skip:
    """An annotator did not want a case, and why. `kind` is `not now` or `cannot be annotated`.

    One that cannot be annotated is out of the pool until `ended_at`, when `ended_by` brought it back.
    """

    id: int
    image_id: str
    annotator: str
    kind: SkipKind
    reason: str
    created_at: datetime
    ended_at: datetime | None
    ended_by: str | None


@dataclass(frozen=True)
class Fact:
    """Something that was found out about the project when it began, and why."""

    value: str
    reason: str
    recorded_at: datetime


@dataclass(frozen=True)
class Doubt:
    """What a label says of the doubt of the model that was in use when it came back, over the voxels new to that model.

    `correlation` is Spearman's, between `measure` and where the prediction differs from the label; None where nothing
    or everything is wrong, or all is doubted alike. `wrong_voxels` are those that differ, of `voxels` compared.
    """

    annotation_id: int
    model_version: int
    measure: str
    correlation: float | None
    wrong_voxels: int
    voxels: int
    created_at: datetime

    @property
    def worth(self) -> float | None:
        """`correlation` as a fraction of the largest there can be, so that it does not depend on how much is wrong.

        In [-1, 1]: 1 if every wrong voxel is doubted more than every other, 0 if doubt says nothing. With w wrong ones
        of n voxels, all doubted differently, Spearman's reaches no more than √(3 w (n − w) / (n² − 1)), 0.08 for one
        wrong voxel in 500; divided by it, it is the rank-biserial correlation (Cureton 1956). Ties raise it somewhat.
        """
        if self.correlation is None:
            return None
        right = self.voxels - self.wrong_voxels
        largest = math.sqrt(3 * self.wrong_voxels * right / (self.voxels**2 - 1))
        return max(-1.0, min(self.correlation / largest, 1.0))


@dataclass(frozen=True)
class Lease:
    """A query given to one annotator for a while, and why. It is active where `outcome` is None."""

    id: int
    image_id: str
    slices: Slices
    annotator: str
    strategy: str
    model_version: int | None
    score: float | None
    reason: str
    round_number: int
    granted_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None


@dataclass(frozen=True)
class User:
    """Somebody who may log in with a password."""

    name: str
    role: UserRole
    password_hash: str = field(repr=False)
    created_at: datetime
    password_changed_at: datetime


@dataclass(frozen=True)
class LoginSession:
    """Who is logged in, with the role that they have now, and until when."""

    user_name: str
    role: UserRole
    expires_at: datetime


@dataclass(frozen=True)
class Round:
    """From one published model to the next; `model_version` is None for the first, before there was a model."""

    number: int
    model_version: int | None
    started_at: datetime


@dataclass(frozen=True)
class Progress:
    """How far the work is. Every count is of images whose file is still there.

    `annotated` are those with a final annotation of the whole volume, `partly_annotated` of some slices only;
    `annotated_slices` counts the slices of both, `foreground_slices` those on which something is drawn.
    Models are those of the task: `latest_model` was published last, `model_in_use` is the one that scores and draws, by
    which `scored` are counted. `new_annotations` are those of readable images that the latest one has not seen (all of
    them where there is none), and by which a training would learn or judge: of validation images only whole ones.
    `new_training_annotations` are those to learn by, `new_training_slices` how many slices more they cover than what
    the model has seen of the same images.
    """

    images: int
    training: int
    validation: int
    annotated: int
    partly_annotated: int
    annotated_slices: int
    foreground_slices: int
    leased: int
    unreadable: int
    latest_model: int | None
    model_in_use: int | None
    scored: int
    new_annotations: int
    new_training_annotations: int
    new_training_slices: int
