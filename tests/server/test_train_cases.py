"""Which cases, and which of their slices, a training learns from and is judged by."""

import logging
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monailabel.tasks.train.basic_train import Context
from training_study import Study

from activelabel.errors import NotReadyError
from activelabel.server.train import SegmentationTrainTask


def used_cases(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    """Filled, when a training begins, with the cases that it learns from and those that judge."""
    used: dict[str, list[dict[str, Any]]] = {}
    finalize = SegmentationTrainTask.finalize

    def look(task: SegmentationTrainTask, context: Context) -> None:
        used["training"] = list(context.trainer.data_loader.dataset.data)
        used["validation"] = list(context.evaluator.data_loader.dataset.data) if context.evaluator else []
        finalize(task, context)

    monkeypatch.setattr(SegmentationTrainTask, "finalize", look)
    return used


def test_training_cases_of_which_some_slices_are_annotated_are_trained_on(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = used_cases(monkeypatch)
    whole, partly, *_ = study.ids("training")
    study.set_slices(axis=2, count=16)
    (made,) = study.annotate(partly, slices=[9, 8])
    study.annotate(whole)

    study.train()

    slices = {case["image_id"]: (case["slices"], case["slice_axis"]) for case in used["training"]}
    assert slices == {whole: (None, 2), partly: ([8, 9], 2)}
    assert made in study.project.ledger.latest_model().trained_on


def test_validation_cases_of_which_some_slices_are_annotated_judge_nothing_and_the_log_says_so_once(
    study: Study, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    used = used_cases(monkeypatch)
    whole, partly = study.ids("validation")
    study.set_slices(axis=2, count=16)
    study.annotate(study.ids("training")[0], whole)
    study.annotate(partly, slices=[8])

    with caplog.at_level(logging.WARNING):
        study.train()

    assert [case["image_id"] for case in used["validation"]] == [whole]
    said = [record.message for record in caplog.records if "only some slices" in record.message]
    assert said == [f"not used for validation, as only some slices are annotated: {partly}"]


def test_what_a_label_holds_on_other_slices_makes_no_other_model(study: Study) -> None:
    """A whole training through the host: the same weights to the last bit."""
    first = study.ids("training")[0]
    study.set_slices(axis=2, count=16)
    study.annotate(first, slices=[7, 9])
    weights = []
    for value in (0, 1):
        file = study.project.labels_folder / f"{first}.nii.gz"
        label = nibabel.load(file)
        array = np.asarray(label.dataobj).copy()
        array[..., [0, 6, 8, 15]] = value
        nibabel.save(nibabel.Nifti1Image(array, label.affine), file)
        study.train()
        weights.append(study.published_weights())

    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_validation_cases_are_never_trained_on(annotated: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    used = used_cases(monkeypatch)
    annotated.train()

    assert {case["image_id"] for case in used["training"]} == set(annotated.ids("training")[:3])
    assert {case["image_id"] for case in used["validation"]} == set(annotated.ids("validation"))
    ledger = annotated.project.ledger
    model = ledger.latest_model()
    assert sorted(model.trained_on) == sorted(item.id for item in ledger.annotations("training"))
    assert sorted(model.validated_on) == sorted(item.id for item in ledger.annotations("validation"))


def test_a_damaged_image_is_set_aside_and_the_rest_is_trained_on(annotated: Study) -> None:
    broken = annotated.ids("training")[0]
    Path(annotated.get_image_uri(broken)).write_bytes(b"broken")

    annotated.train()

    ledger = annotated.project.ledger
    assert len(ledger.latest_model().trained_on) == 2
    assert f"{broken}.nii.gz: cannot be read as a 3D image" in ledger.image(broken).unreadable_reason


def test_when_no_training_image_can_be_read_nothing_is_trained(study: Study) -> None:
    only = study.ids("training")[0]
    study.annotate(only)
    Path(study.get_image_uri(only)).write_bytes(b"broken")

    with pytest.raises(NotReadyError, match="no training case is annotated yet"):
        study.train()

    assert study.project.ledger.latest_model() is None
