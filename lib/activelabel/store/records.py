"""The frozen records that the ledger returns; they need no database. Times are aware and in UTC.

Slices are sorted indices along the slice axis; None means the whole volume.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from activelabel.store.case_states import DraftReason
from activelabel.store.coverage_case import CoverageCase

Role = Literal["training", "validation"]
Outcome = Literal["saved", "expired", "released"]
ModelKind = Literal["task", "proxy"]
SkipKind = Literal["not now", "cannot be annotated"]
ReviewOutcome = Literal["approved", "returned", "released", "expired"]
Difficulty = Literal["easy", "medium", "hard"]
UserRole = Literal["annotator", "reviewer", "manager", "admin"]
WorkKind = Literal["score", "prepare", "train", "race", "features"]
Slices = tuple[int, ...] | None
Metrics = Mapping[str, float | None]

SECOND = "reading_2"
"""The tag of a label that a second annotator has drawn without seeing the final one. Slicer's reviewer module, which
expects a number behind `_`, shows it as a version."""
SECOND_READING = "second_reading"
"""The strategy of a query for such a label."""
WHOLE_JOB = ""  # the item of a claim for a whole job, such as a training
FINAL = "final"  # the tag of the annotations that count; labels with another tag are kept and do not count


@dataclass(frozen=True)
class Image:
    """A registered image. `role` never changes; `unreadable_reason` is None for an image that can be used.

    `slice_axis` is the voxel axis along which its slices are counted, `slice_count` their number; both are None until
    they were needed. `patient` is None where unknown. `content_sha256` (of shape and voxels), `file_size`,
    `file_modified_ns` and `intensities` (see `data.intensities`) describe its file as it was last read.
    `set_aside_stamp` is the state of its files when it was set aside.
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
        """Whether its file is present and, as far as is known, can be read."""
        return self.present and self.unreadable_reason is None


@dataclass(frozen=True)
class SlicesTaken:
    """An image of which slices may be asked for, and its slices that may not: they are annotated or leased."""

    image_id: str
    slice_axis: int | None
    slice_count: int | None
    taken: frozenset[int]


@dataclass(frozen=True)
class ModelVersion:
    """A published model. `trained_on` and `validated_on` are annotation ids; a metric that is undefined is None.

    `kind` is `task` for a model of the annotated structures, `proxy` for one that learned from pseudo-labels.
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
    """The cases by which models are judged: a digest of their labels, and their number."""

    digest: str
    cases: int


@dataclass(frozen=True)
class Measurement:
    """The metrics of a model by some cases. Only measurements by the same `judges` can be compared."""

    model_version: int
    judges: Judges
    metrics: Metrics

    @property
    def dice(self) -> float | None:
        """The mean over structures and cases, by which models are compared; None where it is not defined."""
        return self.metrics.get("dice")


@dataclass(frozen=True)
class ModelUse:
    """The model of its kind in use from `began_at` on, or None; `chosen_by` is None if it was used as the best."""

    model_version: int | None
    chosen_by: str | None
    began_at: datetime


@dataclass(frozen=True)
class ModelEffort:
    """The labels that a model has seen, for training and validation: the numbers of volumes and covered slices."""

    volumes: int
    slices: int
    foreground_slices: int


@dataclass(frozen=True)
class Annotation:
    """A kept label and the slices that it covers.

    `version` counts from 1 within image and tag. `seconds` is the time from the query to the label, None if the image
    was never asked for; `active_seconds` is the part of it in which the annotator worked, None if no client has said
    it. A superseded annotation was replaced by a newer one; a deleted one was taken back.
    `covered_slices` is the number of slices that it covers, `foreground_slices` the number of those on which something
    is drawn; None if they were not counted. `unchanged_from` is the model that drew it if the annotator changed
    nothing. `label_names` name the values 1..N, `image_sha256` is the digest of the image on which it was drawn; both
    are None where unknown. `file_size` and `file_modified_ns` are those of its file when its digest was last checked.
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


@dataclass(frozen=True)
class Draft:
    """A drawing that its annotator has not finished: it is kept, but it does not count and no model learns from it.

    `version` counts from 1 within the image, over all its drafts. `slices` are the queried slices, None for the volume.
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


@dataclass(frozen=True)
class Skip:
    """A case that an annotator skipped, and the reason. `kind` is `not now` or `cannot be annotated`.

    A case that cannot be annotated is out of the pool until `ended_at`, when `ended_by` brought it back.
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
class Review:
    """What a reviewer has decided about a label, or that they have it before them (`outcome` None).

    `begun_at` and `expires_at` are None if it was decided without taking the label for review. A decision stands until
    `superseded_at`, when a later one about the same label replaced it.
    """

    id: int
    image_id: str
    annotation_id: int
    reviewer: str
    begun_at: datetime | None
    expires_at: datetime | None
    outcome: ReviewOutcome | None
    note: str
    difficulty: Difficulty | None
    ended_at: datetime | None
    superseded_at: datetime | None


@dataclass(frozen=True)
class Agreement:
    """How much two readings of a structure agree: Dice, and the mean distance of both surfaces in mm.

    The distance is None if one of them has not drawn the structure.
    """

    dice: float
    distance_mm: float | None


@dataclass(frozen=True)
class Reading:
    """Two readings of a case, by the ids of their labels, and their agreement for each structure that either drew."""

    id: int
    image_id: str
    first_id: int
    second_id: int
    structures: Mapping[str, Agreement]
    agrees: bool
    created_at: datetime

    @property
    def in_words(self) -> str:
        """How much both agree, structure by structure."""
        shown = [
            f"{name} Dice {one.dice:.2f}" + ("" if one.distance_mm is None else f", {one.distance_mm:.1f} mm apart")
            for name, one in sorted(self.structures.items())
        ]
        return "; ".join(shown) or "nothing is drawn in either"


@dataclass(frozen=True)
class Fact:
    """A fact about the project that was recorded when it began, and the reason."""

    value: str
    reason: str
    recorded_at: datetime


@dataclass(frozen=True)
class Doubt:
    """How well the uncertainty of the model in use agreed with its errors in a label, over the voxels new to the model.

    `correlation` is Spearman's, between `measure` and whether the prediction differs from the label; None if no voxel
    or every voxel is wrong, or all are equally uncertain. `wrong_voxels` of the `voxels` compared differ.
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
        """`correlation` divided by its largest possible value, so that the share of wrong voxels does not matter.

        It lies in [-1, 1]: 1 if every wrong voxel is more uncertain than every other, 0 if uncertainty says nothing.
        With w wrong ones of n voxels and no ties in uncertainty, Spearman's is at most √(3 w (n − w) / (n² − 1)), 0.08
        for one wrong voxel in 500; divided by this, it is the rank-biserial correlation (Cureton 1956). Ties raise it
        somewhat.
        """
        if self.correlation is None:
            return None
        right = self.voxels - self.wrong_voxels
        largest = math.sqrt(3 * self.wrong_voxels * right / (self.voxels**2 - 1))
        return max(-1.0, min(self.correlation / largest, 1.0))


@dataclass(frozen=True)
class Lease:
    """A query given to one annotator for a while, and the reason. It is active if `outcome` is None.

    `active_seconds` is how long the annotator has worked on it, as their client says; None if it says nothing.
    """

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
    active_seconds: float | None = None


@dataclass(frozen=True)
class Claim:
    """A piece of work that a worker holds: an image, or a whole job if `item` is `WHOLE_JOB`.

    `model_version` is the model that scores, 0 if none does.
    """

    kind: WorkKind
    model_version: int
    item: str
    worker: str


@dataclass(frozen=True)
class User:
    """A person who may log in with a password."""

    name: str
    role: UserRole
    password_hash: str = field(repr=False)
    created_at: datetime
    password_changed_at: datetime


@dataclass(frozen=True)
class LoginSession:
    """A person who is logged in, their current role, and the end of the session."""

    user_name: str
    role: UserRole
    expires_at: datetime


@dataclass(frozen=True)
class Round:
    """The time from one published model to the next; `model_version` is None for the first round, before any model."""

    number: int
    model_version: int | None
    started_at: datetime


@dataclass(frozen=True)
class Progress:
    """The progress of a study. Every count is of images whose file is present.

    `annotated` images have a final annotation of the whole volume, `partly_annotated` ones of some slices only;
    `annotated_slices` counts the slices of both, `foreground_slices` those on which something is drawn.
    Models are those of the task: `latest_model` was published last, `model_in_use` predicts and scores; `scored` counts
    its scored images. `new_annotations` counts the labels that the latest model has not seen (all labels if there is no
    model) and that a training would use: they belong to readable images, and validation labels cover the whole volume.
    `new_training_annotations` counts those for training, `new_training_slices` the slices that they cover beyond what
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
