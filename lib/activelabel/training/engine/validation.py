"""The metric that chooses the best epoch: Dice or Jaccard index of the foreground, mean over classes and cases."""

import statistics
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from activelabel.prediction.reflected_windows import ReflectedWindowInferer
from activelabel.training.engine.steps import MixedPrecision

Metric = Literal["dice", "jaccard"]


def overlap(predicted: Tensor, label: Tensor, classes: int, metric: Metric) -> float | None:
    """The mean over the foreground classes that the label has; None if it has none.

    `predicted` and `label` have one shape and values 0..`classes` - 1; where the label is negative, nothing counts.
    """
    known = label >= 0
    pairs = label[known].long() * classes + predicted[known].long()
    counts = torch.bincount(pairs, minlength=classes**2).view(classes, classes).double()
    both, wanted, found = counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)
    scores = 2 * both / (wanted + found) if metric == "dice" else both / (wanted + found - both)
    present = scores[1:][wanted[1:] > 0]
    return present.mean().item() if len(present) else None


def mean_of(cases: Iterable[float | None]) -> float:
    """The mean over the cases that have a value; 0 if no case has one."""
    known = [value for value in cases if value is not None]
    return statistics.fmean(known) if known else 0.0


class Validator:
    """Measures a network on whole cases, window by window."""

    def __init__(
        self, inferer: ReflectedWindowInferer, classes: int, metric: Metric, precision: MixedPrecision
    ) -> None:
        self._inferer = inferer
        self._classes = classes
        self._metric = metric
        self._precision = precision

    def measure(self, network: nn.Module, cases: Iterable[dict[str, Tensor]]) -> list[float | None]:
        """The metric of each case, an output of `LoadCase`; None for a case without foreground."""
        device, found = self._precision.device, []
        network.eval()
        for case in cases:
            image, label = (torch.as_tensor(case[key]).to(device) for key in ("image", "label"))
            label = torch.where(torch.as_tensor(case["annotated"]).to(device), label.long(), -1)
            with torch.inference_mode(), self._precision.autocast():
                logits = self._inferer(image[None], network)
            found.append(overlap(logits.argmax(dim=1), label, self._classes, self._metric))
        return found
