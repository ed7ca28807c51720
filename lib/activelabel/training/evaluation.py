"""Evaluation of a model on annotated cases: Dice per class, on the images' own grids."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from torch import Tensor

from activelabel.data.label_checking import check_label
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.labels.label_map import label_map_of
from activelabel.data.preprocessing import prepare_image, restore_label
from activelabel.data.volumes import read_volume
from activelabel.recipes import PreprocessingSettings
from activelabel.training.transforms import Case

ClassDice = dict[str, float | None]
"""Dice by label name; None if the label is in neither prediction nor reference."""


def evaluate_cases(
    probabilities: Callable[[Tensor], Tensor],
    cases: Iterable[Case],
    labels: Sequence[str],
    preprocessing: PreprocessingSettings,
) -> list[ClassDice]:
    """Dice of each label in each case, between its annotation and what the model draws.

    Args:
        probabilities: maps a prepared image (1, *S) to (C, *S), as `Predictor.probabilities`.
        cases: the annotated cases.
        labels: the label map, or names of the values 1..N.
        preprocessing: the settings that the network was trained with.

    Raises:
        InvalidInputError: the image or the label of a case cannot be read.
    """
    results = []
    for case in cases:
        volume = read_volume(case["image"])
        reference = check_label(case["label"], volume.grid, labels).array
        image = prepare_image(volume, preprocessing)
        predicted = restore_label(probabilities(image.tensor), image, label_map_of(labels))
        results.append(class_dice(predicted, reference, labels))
    return results


def class_dice(predicted: LabelArray, reference: LabelArray, labels: Sequence[str]) -> ClassDice:
    """2 |A ∩ B| / (|A| + |B|) of each label between two labels of one shape, where the reference is not ignored."""
    scores: ClassDice = {}
    values = label_map_of(labels)
    judged = values.judged(reference)
    for index, name in enumerate(values):
        a, b = values.structure(index, predicted) & judged, values.structure(index, reference)
        size = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
        scores[name] = 2 * int(np.count_nonzero(a & b)) / size if size else None
    return scores


def mean_class_dice(cases: Sequence[ClassDice], labels: Sequence[str]) -> ClassDice:
    """Mean of each label over the cases that have a value; None if no case has one."""
    return {name: _mean(case[name] for case in cases) for name in labels}


def mean_dice(classes: Mapping[str, float | None]) -> float | None:
    """Mean over the labels that have a value; None if no label has one."""
    return _mean(classes.values())


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
