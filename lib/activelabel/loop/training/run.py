"""A training run: its input, and the names of the files in its folder."""

from dataclasses import dataclass
from pathlib import Path

import torch

from activelabel.loop.training.options import TrainOptions
from activelabel.loop.training_cases import AnnotatedCase
from activelabel.project.images import Images
from activelabel.store.records.images import Role

CASES_FILE = "cases.json"
VALIDATION_FILE = "validation.json"
"""The Dice of each structure in each validation case, by image."""


@dataclass(frozen=True)
class Run:
    """The input of a training: options, a folder among the unfinished runs, cases, and where the images are."""

    options: TrainOptions
    folder: Path
    cases: list[AnnotatedCase]
    images: Images

    @property
    def device(self) -> torch.device:
        """The device on which networks run."""
        return torch.device(self.options.device)

    def of_role(self, role: Role) -> list[AnnotatedCase]:
        """The cases of this run that have the role: training or validation."""
        return [case for case in self.cases if case["role"] == role]
