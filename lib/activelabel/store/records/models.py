"""Models as the ledger returns them: versions, metrics, and how well their uncertainty agrees with their errors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

ModelKind = Literal["task", "proxy"]
Metrics = Mapping[str, float | None]


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
class UncertaintyCheck:
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
