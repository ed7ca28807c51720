"""A training run: its input, and the names of the files in its folder."""

from dataclasses import dataclass
from pathlib import Path

import torch
from monailabel.interfaces.datastore import Datastore

from activelabel.loop.training_cases import AnnotatedCase
from activelabel.server.training.options import TrainOptions
from activelabel.store.records import Role

BEST_WEIGHTS = "best.pt"
LAST_WEIGHTS = "last.pt"
CASES_FILE = "cases.json"


@dataclass(frozen=True)
class Run:
    """The input of a training: options, a folder among the unfinished runs, cases, and the datastore of the images."""

    options: TrainOptions
    folder: Path
    cases: list[AnnotatedCase]
    datastore: Datastore

    @property
    def device(self) -> torch.device:
        """The device on which networks run."""
        return torch.device(self.options.device)

    def of_role(self, role: Role) -> list[AnnotatedCase]:
        """The cases of this run that have the role."""
        return cases_of_role(self.cases, role)


def cases_of_role(cases: list[AnnotatedCase], role: Role) -> list[AnnotatedCase]:
    """The cases that have the role: training or validation."""
    return [case for case in cases if case["role"] == role]
