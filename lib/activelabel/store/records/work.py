"""The work of processes, as the ledger returns it."""

from dataclasses import dataclass
from typing import Literal

WorkKind = Literal["score", "prepare", "train", "race", "features"]

WHOLE_JOB = ""
"""The item of a claim for a whole job, such as a training."""


@dataclass(frozen=True)
class Claim:
    """A piece of work that a worker holds: an image, or a whole job if `item` is `WHOLE_JOB`.

    `model_version` is the model that scores, 0 if none does.
    """

    kind: WorkKind
    model_version: int
    item: str
    worker: str
