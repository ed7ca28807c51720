"""The metric that chooses the best epoch: Dice or Jaccard index of the foreground, mean over classes and cases."""

import statistics
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from activelabel.data.labels.label_map import LabelMap
from activelabel.prediction.reflected_windows import ReflectedWindowInferer
from activelabel.training.engine.steps import MixedPrecision
from activelabel.training.losses.overlapping import structures_of

Metric = Literal["dice", "jaccard"]


def overlap(predicted: Tensor, label: Tensor, classes: int, metric: Metric) -> float | None:
    """The mean over the foreground classes that the label has; None if it has none.

    `predicted` and `label` have one shape and values 0..`classes` - 1; where the label is negative, nothing counts.
    """
    known = label >= 0
    pairs = label[known].long() * classes + predicted[known].long()
    counts = torch.bincount(pairs, minlength=classes**2).view(classes, classes).double()
    # Voxels by their class in the label (rows) and in the prediction (columns).
    both, of_label, found = counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)
    scores = 2 * both / (of_label + found) if metric == "dice" else both / (of_label + found - both)
    present = scores[1:][of_label[1:] > 0]
    return present.mean().item() if len(present) else None


def drawn_overlap(logits: Tensor, label: Tensor, labels: LabelMap, metric: Metric) -> float | None:
    """`overlap` of what a network draws: logits (C, *S) and parts (1, *S) of `labels`, below 0 where nothing counts.

    Structures that overlap are measured one by one, each where its logit is above 0.
    """
    if not labels.overlaps:
        # On a CPU `argmax` takes ten times as long.
        return overlap(logits.max(dim=0, keepdim=True).indices, label, labels.channels, metric)
    known = label >= 0
    wanted = structures_of(torch.where(known, label, 0)[None], torch.from_numpy(labels.membership))[0] * known
    drawn = (logits > 0) & known
    space = list(range(1, logits.dim()))
    both, of_label, found = (maps.sum(dim=space).double() for maps in (wanted * drawn, wanted, drawn))
    scores = 2 * both / (of_label + found) if metric == "dice" else both / (of_label + found - both)
    present = scores[of_label > 0]
    return present.mean().item() if len(present) else None


def mean_of(cases: Iterable[float | None]) -> float:
    """The mean over the cases that have a value; 0 if no case has one."""
    known = [value for value in cases if value is not None]
    return statistics.fmean(known) if known else 0.0


class Validator:
    """Measures a network on whole cases, window by window."""

    def __init__(
        self, inferer: ReflectedWindowInferer, labels: LabelMap, metric: Metric, precision: MixedPrecision
    ) -> None:
        self._inferer = inferer
        self._labels = labels
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
            found.append(drawn_overlap(logits[0], label, self._labels, self._metric))
        return found
