"""One training: what it is given, and what it writes into its folder."""

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
    """What a training is given: what was asked for, a folder among the unfinished runs, cases, and where images are."""

    options: TrainOptions
    folder: Path
    cases: list[AnnotatedCase]
    datastore: Datastore

    @property
    def device(self) -> torch.device:
        """Where networks run."""
        return torch.device(self.options.device)

    def of_role(self, role: Role) -> list[AnnotatedCase]:
        """The cases to train on, or those to judge by."""
        return cases_of_role(self.cases, role)


def cases_of_role(cases: list[AnnotatedCase], role: Role) -> list[AnnotatedCase]:
    """The cases to train on, or those to judge by."""
    return [case for case in cases if case["role"] == role]
