"""The study as a whole, as the ledger returns it: what was fixed when it began, its rounds and its progress."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Fact:
    """A fact about the project that was recorded when it began, and the reason."""

    value: str
    reason: str
    recorded_at: datetime


@dataclass(frozen=True)
class Round:
    """The time from one published model to the next; `model_version` is None for the first round, before any model."""

    number: int
    model_version: int | None
    started_at: datetime


@dataclass(frozen=True)
class Asked:
    """What has been asked for so far: images with a label that counts or with a lease, and images for validation.

    `has_model`: a model of the task was published and not withdrawn.
    """

    validation: int
    labelled: int
    leased: int
    has_model: bool


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
