"""The metric of a validation, beside MONAI's metrics on one-hot tensors."""

import pytest
import torch
from monai.metrics import DiceMetric, MeanIoU
from monai.networks import one_hot

from activelabel.training.engine.validation import mean_of, overlap
from activelabel.training.losses.by_name import UNANNOTATED


@pytest.mark.parametrize("metric", ["dice", "jaccard"])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_mean_over_classes_and_cases_is_monais(metric: str, classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    theirs = (DiceMetric if metric == "dice" else MeanIoU)(include_background=False, reduction="mean")
    ours = []
    for number in range(5):
        # The first case lacks the last class, the second one has no foreground.
        highest = {0: classes - 1, 1: 1}.get(number, classes)
        label = torch.randint(0, highest, (1, 1, 6, 5, 4), generator=generator)
        predicted = torch.randint(0, classes, (1, 1, 6, 5, 4), generator=generator)
        theirs(one_hot(predicted, classes), one_hot(label, classes))
        ours.append(overlap(predicted, label, classes, metric))  # type: ignore[arg-type]
    assert (ours[0] is None) == (classes == 2)
    assert ours[1] is None
    assert mean_of(ours) == pytest.approx(theirs.aggregate().item(), abs=1e-6)


def test_what_is_not_annotated_does_not_count() -> None:
    """Of four voxels one is unknown; of the others two are the class, and one is found: 2 · 1 / (2 + 1)."""
    label = torch.tensor([0, 1, UNANNOTATED, 1])
    assert overlap(torch.tensor([0, 1, 1, 0]), label, 2, "dice") == pytest.approx(2 / 3)
    assert overlap(torch.tensor([0, 1, 1, 0]), label, 2, "jaccard") == pytest.approx(1 / 2)


def test_without_any_foreground_the_mean_is_zero() -> None:
    assert overlap(torch.zeros(3), torch.zeros(3), 2, "dice") is None
    assert mean_of([None, None]) == 0.0
