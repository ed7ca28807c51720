from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from activelabel.data.labels.label_texts import parse_labels
from activelabel.recipes import PreprocessingSettings
from activelabel.training.evaluation import class_dice, evaluate_cases, mean_class_dice, mean_dice

LABELS = ("liver", "spleen")


def test_dice_worked_out_by_hand() -> None:
    predicted = np.array([[[1, 1, 1, 2]]], dtype=np.uint8)
    reference = np.array([[[1, 1, 0, 0]]], dtype=np.uint8)

    # liver: 2 * 2 / (3 + 2); spleen: predicted, but not there
    assert class_dice(predicted, reference, LABELS) == {"liver": 0.8, "spleen": 0.0}


def test_a_class_absent_from_label_and_prediction_is_not_judged() -> None:
    empty = np.zeros((2, 2, 2), dtype=np.uint8)

    assert class_dice(empty, empty, LABELS) == {"liver": None, "spleen": None}


def test_means_leave_out_classes_that_were_not_judged() -> None:
    cases = [{"liver": 0.8, "spleen": None}, {"liver": 0.6, "spleen": None}]

    classes = mean_class_dice(cases, LABELS)

    assert classes == {"liver": pytest.approx(0.7), "spleen": None}
    assert mean_dice(classes) == pytest.approx(0.7)


def test_without_cases_there_is_no_mean() -> None:
    assert mean_class_dice([], LABELS) == {"liver": None, "spleen": None}
    assert mean_dice({"liver": None}) is None


def test_a_case_is_judged_on_its_own_grid(tmp_path: Path) -> None:
    """A stand-in for a network thresholds the prepared image, which has other axes and voxels than the file."""
    affine = np.array([[0, -1.0, 0, 0], [1.0, 0, 0, 0], [0, 0, 2.0, 0], [0, 0, 0, 1]])
    label = np.zeros((12, 10, 6), dtype=np.uint8)
    label[2:8, 2:8, 1:5] = 1
    image = np.where(label == 1, 80, 10).astype(np.float32)
    label[2:8, 2:8, 3:5] = 0  # the annotator drew half of it
    nibabel.save(nibabel.Nifti1Image(image, affine), tmp_path / "image.nii.gz")
    nibabel.save(nibabel.Nifti1Image(label, affine), tmp_path / "label.nii.gz")

    def probabilities(prepared: torch.Tensor) -> torch.Tensor:
        bright = (prepared[0] > 0.5).float()
        return torch.stack([1 - bright, bright, torch.zeros_like(bright)])

    case = {"image": str(tmp_path / "image.nii.gz"), "label": str(tmp_path / "label.nii.gz")}
    preprocessing = PreprocessingSettings(intensity="window", window_hu=(0.0, 100.0))

    (result,) = evaluate_cases(probabilities, [case], LABELS, preprocessing)

    # Predicted 6*6*4 voxels, annotated 6*6*2, all of them predicted.
    assert result == {"liver": pytest.approx(2 * 72 / (144 + 72)), "spleen": None}


def test_structures_are_judged_by_their_values_where_the_reference_is_not_ignored() -> None:
    labels = parse_labels(["liver=1+2", "tumour=2", "ignore=3"], "test")
    predicted = np.array([[[1, 2, 2, 0, 1]]], dtype=np.uint8)
    reference = np.array([[[1, 1, 2, 2, 3]]], dtype=np.uint8)
    # liver: 3 of 3 are right, 1 is missed; tumour: 1 of 2 is right, 1 is missed
    assert class_dice(predicted, reference, labels) == {"liver": 2 * 3 / (3 + 4), "tumour": 2 * 1 / (2 + 2)}
