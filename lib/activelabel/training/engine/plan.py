"""The plan of a training: everything that it depends on, in a form that can be sent to other processes."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.state import FileState, state_of
from activelabel.prediction.devices.precision import PrecisionName
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.recipes import PredictionSettings, SemiSupervisedSettings, TrainingSettings
from activelabel.training.checkpoints import ModelDescription
from activelabel.training.transforms import Case
from activelabel.training.two_views import NoisyCase

Weights = Mapping[str, torch.Tensor]
Keep = Literal["memory", "disk", "nowhere"]


@dataclass(frozen=True)
class Tracked:
    """A training that is tracked in MLflow: its address, and the names of the experiment and of the run."""

    address: str
    experiment: str
    run: str


@dataclass(frozen=True)
class Unannotated:
    """What a training learns from besides annotated cases: noisy labels, used as `settings` say."""

    settings: SemiSupervisedSettings
    cases: Sequence[NoisyCase]


@dataclass(frozen=True)
class Plan:
    """A training of one network.

    Attributes:
        model: the network, its labels, and how images are prepared for it.
        training: the settings, with the numbers of this training.
        prediction: the windows of a validation.
        cases: the cases that it learns from.
        validation: the cases that choose its best epoch.
        seed: the seed of all random numbers.
        device: the name of the device; with several processes, that of the first.
        precision: the precision that the server is set to.
        folder: an existing folder of its own, for its records and its prepared cases.
        weights: the weights that it begins with; None for random ones.
        new: which of the cases the model with these weights has not learnt from; empty if they are all alike.
        keep: where prepared cases are kept between epochs.
        prepared: the prepared images that the project keeps.
        cache_bytes: how much memory prepared cases take at most, of all processes together; further ones lie on the
            disk. None is half of what is free.
        choices_file: where the layouts and precisions that were measured are kept; None keeps none, and a CPU's
            precision is then not measured.
        ahead: whether batches are made in a thread of their own, ahead of the network.
        steps: the number of all steps, if the last epoch is shorter than the others.
        unannotated: a second source of patches, if any.
        tracked: where MLflow tracks it, if it does.
        event_files: whether event files for TensorBoard are written below its folder.
        epochs_file: the file from which it continues after an interruption, if it can.
        epochs_file_seconds: the time between two writes of that file; 0 to write it after each epoch.
    """

    model: ModelDescription
    training: TrainingSettings
    prediction: PredictionSettings
    cases: Sequence[Case]
    validation: Sequence[Case]
    seed: int
    device: str
    precision: PrecisionName
    folder: Path
    weights: Weights | None = None
    new: Sequence[int] = ()
    keep: Keep = "memory"
    prepared: PreparedImages = field(default_factory=lambda: PreparedImages(None))
    cache_bytes: int | None = None
    choices_file: Path | None = None
    ahead: bool = True
    steps: int | None = None
    unannotated: Unannotated | None = None
    tracked: Tracked | None = None
    event_files: bool = False
    epochs_file: Path | None = None
    epochs_file_seconds: float = 0.0

    def identity(self, network: object, processes: int = 1) -> str:
        """A hash of everything on which the state after an epoch depends; files count by name, size and times,
        but an image whose content is said by its case.

        `network` is counted by its text: the same description may give another network in another version.
        """
        noisy = None
        if self.unannotated is not None:
            noisy = [self.unannotated.settings.model_dump(mode="json"), _stamps(self.unannotated.cases)]
        inputs = {
            "model": self.model.model_dump(mode="json"),
            "network": str(network),
            "training": self.training.model_dump(mode="json"),
            "steps": self.steps,
            "precision": self.precision,
            "processes": processes,
            "seed": self.seed,
            "weights": None if self.weights is None else digest_of(self.weights),
            "new": list(self.new),
            "cases": _stamps([*self.cases, *self.validation]),
            "noisy": noisy,
        }
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def digest_of(weights: Weights) -> str:
    """The SHA-256 of weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def epochs_of(steps: int, steps_per_epoch: int) -> int:
    """How many epochs a number of steps takes; the last may be shorter."""
    return math.ceil(steps / steps_per_epoch)


def _stamps(cases: Sequence[Case] | Sequence[NoisyCase]) -> list[object]:
    return [[dict(case), *(_stamp(value) for key, value in case.items() if key in _files_of(case))] for case in cases]


def _files_of(case: Case | NoisyCase) -> tuple[str, ...]:
    labels = ("label", "noisy_label")
    return labels if case.get("content") else ("image", *labels)


def _stamp(files: Any) -> FileState:
    return state_of(ImageFiles.of(files))
