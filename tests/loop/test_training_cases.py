"""The cases and slices that a training learns from, and those that judge it."""

import logging
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from training_study import Study

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.volumes import Volume
from activelabel.errors import NotReadyError, UnavailableError
from activelabel.loop.autopilot import Autopilot
from activelabel.loop.due import Work, read_situation, work_due
from activelabel.loop.training_cases import annotated_case, readable_annotations
from activelabel.prediction.prepared import images
from activelabel.project.labels import kept
from activelabel.project.readability import note_image
from activelabel.project.setting_aside import may_be_mended
from activelabel.store.cases.label_records import LabelRecords
from activelabel.training.engine.loop import Outcome, TrainingLoop


def used_cases(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    """The training and validation cases of a training, filled when it begins."""
    used: dict[str, list[dict[str, Any]]] = {}
    run = TrainingLoop.run

    def look(loop: TrainingLoop) -> Outcome:
        used["training"], used["validation"] = list(loop.plan.cases), list(loop.plan.validation)
        return run(loop)

    monkeypatch.setattr(TrainingLoop, "run", look)
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
    logged = [record.message for record in caplog.records if "only some slices" in record.message]
    assert logged == [f"not used for validation, as only some slices are annotated: {partly}"]


def test_label_values_on_slices_that_are_not_annotated_do_not_change_the_model(study: Study) -> None:
    """A whole training through the host gives the same weights to the last bit."""
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
        study.believe(first)
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


def test_an_image_that_is_not_found_though_the_server_sees_it_ends_the_training_in_one_line(annotated: Study) -> None:
    """A model without it would leave its label new, so that the next training would be due at once, and so for ever."""
    gone = annotated.ids("training")[0]
    Path(annotated.get_image_uri(gone)).unlink()

    with pytest.raises(UnavailableError, match=f"image '{gone}' is annotated and is not found here"):
        annotated.train()
    assert annotated.project.ledger.latest_model() is None

    present = [image_id for image_id in (*annotated.ids("training"), *annotated.ids("validation")) if image_id != gone]
    annotated.project.ledger.sync_images(present, len(annotated.ids("validation")))
    annotated.train()
    assert len(annotated.project.ledger.latest_model().trained_on) == 2


def test_labels_of_which_no_state_is_noted_are_hashed_once_and_noted_together(
    annotated: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, folder = annotated.project.ledger, annotated.project.labels_folder
    labels = [*ledger.annotations("training"), *ledger.annotations("validation")]
    for one in labels:
        (folder / one.file).chmod(0o640)
        os.utime(folder / one.file, ns=(0, 0))
    hashed, noted = [], []
    note, sha256 = LabelRecords.note_label_files, kept.file_sha256
    monkeypatch.setattr(kept, "file_sha256", lambda file: hashed.append(file) or sha256(file))
    monkeypatch.setattr(LabelRecords, "note_label_files", lambda own, stamps: noted.append(stamps) or note(own, stamps))
    for _ in range(2):
        readable_annotations(annotated.project, annotated)
    assert sorted(hashed) == sorted(folder / one.file for one in labels)
    assert [len(stamps) for stamps in noted] == [3, 2, 0, 0], "of both roles"


def test_a_case_says_what_its_image_holds_whatever_the_time_of_its_file(annotated: Study) -> None:
    def said() -> list[str | None]:
        annotations = readable_annotations(annotated.project, annotated)
        return [annotated_case(one, annotated.project, annotated).get("content") for one in annotations]

    before = said()
    assert None not in before
    assert len(set(before)) == len(before)
    for image_id in annotated.ids("training"):
        Path(annotated.get_image_uri(image_id)).chmod(0o640)
    assert said() == before


def test_when_no_training_image_can_be_read_nothing_is_trained(study: Study) -> None:
    only = study.ids("training")[0]
    study.annotate(only)
    Path(study.get_image_uri(only)).write_bytes(b"broken")

    with pytest.raises(NotReadyError, match="no training case is annotated yet"):
        study.train()

    assert study.project.ledger.latest_model() is None


def reexported(study: Study, image_id: str) -> None:
    """Export an image again, cropped by four columns, under its old name."""
    path = study.studies / f"{image_id}.nii.gz"
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(image.get_fdata()[:-4].astype(np.float32), image.affine), path)


def unreadable_label(study: Study, image_id: str) -> None:
    (study.project.labels_folder / f"{image_id}.nii.gz").write_bytes(b"broken")
    study.believe(image_id)


def unnamed_value(study: Study, image_id: str) -> None:
    file = study.project.labels_folder / f"{image_id}.nii.gz"
    label = nibabel.load(file)
    nibabel.save(nibabel.Nifti1Image(np.asarray(label.dataobj) * 2, label.affine), file)
    study.believe(image_id)


@pytest.mark.parametrize("role", ["training", "validation"])
@pytest.mark.parametrize("what", ["changed", "gone"])
def test_a_label_file_that_differs_from_the_archive_is_not_learnt_from_until_it_is_back(
    annotated: Study, monkeypatch: pytest.MonkeyPatch, role: str, what: str
) -> None:
    used = used_cases(monkeypatch)
    changed = annotated.ids(role)[0]
    file = annotated.project.labels_folder / f"{changed}.nii.gz"
    kept, label = file.read_bytes(), nibabel.load(file)
    if what == "gone":
        file.unlink()
    else:
        array = np.roll(np.asarray(label.dataobj), 1)
        nibabel.save(nibabel.Nifti1Image(array, label.affine), file)

    annotated.train()

    (aside,) = annotated.project.ledger.images_set_aside()
    assert aside.id == changed
    assert aside.unreadable_reason.startswith(f"{changed}: the file of its label (version 1, by reader) ")
    assert changed not in {case["image_id"] for case in (*used["training"], *used["validation"])}
    file.write_bytes(kept)
    assert may_be_mended(aside, ImageFiles(Path(annotated.get_image_uri(changed))), file)
    annotated.project.ledger.mark_readable(changed)
    annotated.train()
    assert changed in {case["image_id"] for case in (*used["training"], *used["validation"])}
    noted = annotated.project.ledger.current_annotation(changed)
    assert (noted.file_size, noted.file_modified_ns) == (file.stat().st_size, file.stat().st_mtime_ns)


@pytest.mark.parametrize("role", ["training", "validation"])
@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (reexported, "the label is 24x20x16 voxels, expected its image's 20x20x16"),
        (unreadable_label, "cannot be read as a 3D image"),
        (unnamed_value, "value 2 in"),
    ],
)
def test_a_case_whose_label_does_not_fit_is_named_and_the_others_are_learnt(
    annotated: Study, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Study, str], None], expected: str, role: str
) -> None:
    used = used_cases(monkeypatch)
    broken = annotated.ids(role)[0]
    spoil(annotated, broken)

    annotated.train()

    (aside,) = annotated.project.ledger.images_set_aside()
    assert aside.id == broken
    assert aside.unreadable_reason.startswith(f"{broken}: its label (version 1, by reader) cannot be used: ")
    assert expected in aside.unreadable_reason
    seen = {case["image_id"] for case in (*used["training"], *used["validation"])}
    assert seen == {*annotated.ids("training")[:3], *annotated.ids("validation")} - {broken}
    situation = read_situation(annotated.project, "variance")
    assert work_due(situation, annotated.project.thresholds) is not Work.TRAIN, "the autopilot does not go round"


def test_an_image_whose_header_was_mirrored_under_its_label_is_not_learnt_from(annotated: Study) -> None:
    """Its voxels are the same, and its label would fit the mirrored grid the other way round."""
    image_id = annotated.ids("training")[0]
    path = annotated.studies / f"{image_id}.nii.gz"
    image = nibabel.load(path)
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = image.shape[0] - 1
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine @ mirror), path)

    annotated.train()

    assert len(annotated.project.ledger.latest_model().trained_on) == 2
    (aside,) = annotated.project.ledger.images_set_aside()
    assert aside.unreadable_reason == (
        f"{image_id}: its label (version 1, by reader) cannot be used: {image_id}.nii.gz: the axes of its image were "
        "turned or mirrored in the header since it was drawn: put the earlier file back; or draw it again"
    )


def test_an_image_that_changed_on_the_same_grid_is_not_learnt_from_until_the_old_file_is_back(
    annotated: Study,
) -> None:
    image_id = annotated.ids("training")[0]
    path = annotated.studies / f"{image_id}.nii.gz"
    note_image(image_id, path, annotated.project.ledger)
    old = path.read_bytes()
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(image.get_fdata()[::-1].astype(np.float32), image.affine), path)

    annotated.train()

    ledger = annotated.project.ledger
    assert len(ledger.latest_model().trained_on) == 2
    assert "its image has changed since its label was drawn" in ledger.image(image_id).unreadable_reason
    path.write_bytes(old)
    assert may_be_mended(ledger.image(image_id), ImageFiles(path), None)
    ledger.mark_readable(image_id)
    annotated.train()
    assert len(ledger.latest_model().trained_on) == 3


def test_a_case_that_fails_only_when_it_is_loaded_is_dropped_and_the_training_begins_again(
    annotated: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = annotated.ids("training")[0]
    read = images.read_volume

    def fails(files: ImageFiles) -> Volume:
        if files.path.name == f"{broken}.nii.gz":
            raise struct.error("unpack requires a buffer")
        return read(files)

    monkeypatch.setattr(images, "read_volume", fails)
    annotated.train()

    ledger = annotated.project.ledger
    assert len(ledger.latest_model().trained_on) == 2
    assert ledger.image(broken).unreadable_reason.startswith(f"{broken}: cannot be read (error: unpack requires")


def test_an_error_that_no_case_causes_is_not_hidden(annotated: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*arguments: object) -> None:
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr("activelabel.training.engine.loop.build_loss", defect)
    with pytest.raises(RuntimeError, match="a defect of ours"):
        annotated.train()
    assert annotated.project.ledger.images_set_aside() == []


def test_nothing_is_learnt_from_an_image_that_judges_under_another_name(
    annotated: Study, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    used = used_cases(monkeypatch)
    copy, original = annotated.ids("training")[0], annotated.ids("validation")[0]
    shutil.copy(annotated.get_image_uri(original), annotated.get_image_uri(copy))
    for image_id in (copy, original):
        annotated.annotate(image_id)
        note_image(image_id, annotated.get_image_uri(image_id), annotated.project.ledger)

    annotated.train()

    assert {case["image_id"] for case in used["training"]} == set(annotated.ids("training")[1:3])
    assert original in {case["image_id"] for case in used["validation"]}
    said = f"{copy} has the voxels of the validation case '{original}': it is not learnt from; remove one of them"
    assert said in [record.message for record in caplog.records]
    assert annotated.project.ledger.images_set_aside() == []


def test_a_training_with_nothing_but_copies_of_what_judges_is_refused_in_one_line(study: Study) -> None:
    copy, original = study.ids("training")[0], study.ids("validation")[0]
    shutil.copy(study.get_image_uri(original), study.get_image_uri(copy))
    for image_id in (copy, original):
        study.annotate(image_id)
        note_image(image_id, study.get_image_uri(image_id), study.project.ledger)
    line = f"no training case is left, as {copy} has the voxels of the validation case '{original}': save a label of"
    with pytest.raises(NotReadyError, match=line):
        study.train()
    assert work_due(read_situation(study.project, "variance"), study.project.thresholds) is None


class Trainings:
    """Background tasks that are trainings of a study, done at once."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def busy(self) -> bool:
        return False

    def start(self, work: Work) -> None:
        assert work is Work.TRAIN
        self.study.train()


@pytest.mark.parametrize("copies", [1, 2])  # fewer than a round, and as many
def test_the_autopilot_comes_to_an_end_though_an_image_judges_under_another_name(study: Study, copies: int) -> None:
    training, (original, _) = study.ids("training"), study.ids("validation")
    for copy in training[:copies]:
        shutil.copy(study.get_image_uri(original), study.get_image_uri(copy))
    study.set_slices(axis=2, count=16)
    for image_id in (*training, *study.ids("validation")):
        study.annotate(image_id)
        note_image(image_id, study.get_image_uri(image_id), study.project.ledger)
    limits = study.project.thresholds
    assert limits.retrain_after == 2
    autopilot = Autopilot(lambda: read_situation(study.project, "variance"), Trainings(study), limits)

    assert [autopilot.look() for _ in range(4)] == [Work.TRAIN, None, None, None]

    ledger = study.project.ledger
    learnt = {
        label.image_id for label in ledger.annotations("training") if label.id in ledger.latest_model().trained_on
    }
    assert learnt == set(training[copies:])
