"""The findings of `activelabel doctor` on folders made for them."""

import datetime
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import nibabel
import numpy as np
import pytest
from packaging.specifiers import SpecifierSet
from recorded import record_annotation
from typer.testing import CliRunner

from activelabel.cli.doctor import versions
from activelabel.cli.doctor.command import examine
from activelabel.cli.doctor.versions import PINS, Finding
from activelabel.cli.main import app
from activelabel.project.opening import open_project
from activelabel.project.readability import note_image
from activelabel.store.cases.new_annotation import Unsynced
from local_pacs.ct_series import ct_series
from local_pacs.orthanc import Orthanc


def findings(studies: Path, **conf: str) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine("app", str(studies), conf)}


def test_a_sound_installation_is_fit_and_nothing_is_written(blobs: Callable[[int], Any]) -> None:
    studies = blobs(3).studies
    before = sorted(studies.iterdir())
    found = findings(studies, labels="ball")
    assert all(finding.fit for finding in found.values()), found
    assert found["studies"].text == "3 of 3 images can be read"
    assert found["ledger"].text.startswith("none yet")
    assert sorted(studies.iterdir()) == before


def test_a_broken_image_is_named(blobs: Callable[[int], Any]) -> None:
    studies = blobs(2).studies
    (studies / "torn.nii.gz").write_bytes((studies / "blob_00.nii.gz").read_bytes()[:200])
    found = findings(studies, labels="ball")
    assert found["studies"].text == "2 of 3 images can be read"
    assert not found["image"].fit
    assert "torn.nii.gz" in found["image"].text


def test_a_running_project_is_counted(blobs: Callable[[int], Any]) -> None:
    studies = blobs(2).studies
    project = open_project("app", str(studies), {"labels": "ball"})
    project.ledger.sync_images(["blob_00", "blob_01"], 0)
    project.ledger.mark_unreadable("blob_01", "torn")
    assert "2 images, 0 annotated, 1 unreadable" in findings(studies, labels="ball")["ledger"].text


def test_a_missing_model_file_is_found(blobs: Callable[[int], Any]) -> None:
    studies = blobs(1).studies
    project = open_project("app", str(studies), {"labels": "ball"})
    project.ledger.publish_model("gone.pt", "0" * 64, "quick", ["ball"], {}, [])
    found = findings(studies, labels="ball")["model"]
    assert not found.fit
    assert "gone.pt" in found.text


def test_a_pacs_is_asked(orthanc: Orthanc, blobs: Callable[[int], Any]) -> None:
    def look() -> Finding:
        return {finding.subject: finding for finding in examine("app", orthanc.dicom_web, {"labels": "ball"})}["PACS"]

    assert not look().fit
    orthanc.store(ct_series(next(iter(blobs(1).studies.iterdir())), "case", datetime.datetime(2026, 1, 2)))
    assert look() == Finding("PACS", True, "1 series to annotate", look().advice)
    orthanc.stop()
    assert not look().fit
    assert "cannot be reached" in look().text


def test_wrong_settings_are_a_finding_with_their_line(tmp_path: Path) -> None:
    found = findings(tmp_path, labels="ball", recipe="quik")["settings and ledger"]
    assert not found.fit
    assert "quik" in found.text


def test_doctor_exits_with_an_error_code_if_a_check_fails(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--studies", str(tmp_path / "nowhere")])
    assert result.exit_code == 1
    assert "is no folder" in " ".join(result.output.split())


def test_an_unfit_version_is_reported_before_anything_that_fails_on_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "version", lambda package: "2.1.0" if package == "numpy" else version(package))
    monkeypatch.setitem(sys.modules, "activelabel.project.project", None)  # an import of it would be an ImportError
    found = findings(tmp_path, labels="ball")
    assert found["numpy"] == Finding("numpy", False, "2.1.0", "pip install 'numpy<2'")
    assert not found["the rest"].fit
    assert list(found)[-1] == "the rest"


def test_the_ignite_that_the_python_of_debian_12_cannot_import_does_not_fit() -> None:
    assert SpecifierSet(PINS["pytorch-ignite"]).contains("0.4.13")
    assert not SpecifierSet(PINS["pytorch-ignite"]).contains("0.4.11")


def test_background_in_the_list_and_other_names_than_those_of_the_labels_are_named(
    blobs: Callable[[int], Any],
) -> None:
    studies = blobs(1).studies
    assert "background is value 0" in findings(studies, labels="background,ball")["settings and ledger"].text
    project = open_project("app", str(studies), {"labels": "ball"})
    project.ledger.sync_images(["blob_00"], 0)
    record_annotation(project.ledger, "blob_00", "l.nii.gz", "0", "ann", label_names=["ball"])
    found = findings(studies, labels="box")["settings and ledger"]
    assert not found.fit
    assert "labels box: the labels of this project are kept under the names ball" in found.text


@pytest.mark.parametrize(("offset", "expected"), [(1024, True), (0, False)])
def test_a_ct_that_is_stored_with_an_offset_is_reported(
    blobs: Callable[[int], Any], offset: int, expected: bool
) -> None:
    """Its body lies beyond the window, so that a network sees air and one white area."""
    studies = blobs(4).studies
    for file in studies.glob("*.nii.gz"):
        image = nibabel.load(file)
        voxels = np.full(image.shape, 40, np.int16)
        voxels[:4], voxels[4:6] = -1000, 700
        nibabel.save(nibabel.Nifti1Image(voxels + np.int16(offset), image.affine), file)
    found = findings(studies, labels="ball", modality="CT")
    assert ("intensities" in found) == expected
    if expected:
        assert found["intensities"].text.startswith("4 of 4 images (blob_00.nii.gz, ")
        assert "probably stored with an offset of 1000 or 1024" in found["intensities"].text
    assert "intensities" not in findings(studies, labels="ball", modality="MR")


def test_the_modality_and_odd_images_are_reported_before_the_first_start(blobs: Callable[[int], Any]) -> None:
    studies = blobs(4).studies
    odd = nibabel.load(studies / "blob_02.nii.gz")
    nibabel.save(nibabel.Nifti1Image(odd.get_fdata() - 2048, odd.affine), studies / "blob_02.nii.gz")
    found = findings(studies, labels="ball")
    assert found["modality"].text == "other (0 of 4 images look like Hounsfield units): images are z-scored"
    assert found["image that differs"].text.startswith("blob_02.nii.gz: its values run from")


def test_a_case_whose_image_was_exported_again_is_named(blobs: Callable[[int], Any]) -> None:
    cases = blobs(2)
    project = open_project("app", str(cases.studies), {"labels": "ball"})
    project.ledger.sync_images(["blob_00", "blob_01"], 0)
    project.labels_folder.mkdir()
    for name in ("blob_00", "blob_01"):
        shutil.copy(cases.label_of(name), project.labels_folder)
        note_image(name, cases.studies / f"{name}.nii.gz", project.ledger)
        sha256 = hashlib.sha256(cases.label_of(name).read_bytes()).hexdigest()
        record_annotation(project.ledger, name, f"{name}.nii.gz", sha256, "ann", label_names=["ball"])
    assert all(finding.fit for finding in findings(cases.studies, labels="ball").values())
    image = nibabel.load(cases.studies / "blob_01.nii.gz")
    nibabel.save(image.slicer[:-4], cases.studies / "blob_01.nii.gz")
    found = findings(cases.studies, labels="ball")
    assert not found["case"].fit
    assert found["case"].text.startswith("blob_01: its image has changed since its label was drawn")


def test_a_label_that_was_changed_on_disk_is_named_and_the_ledger_stays_unchanged(blobs: Callable[[int], Any]) -> None:
    cases = blobs(1)
    project = open_project("app", str(cases.studies), {"labels": "ball"})
    project.ledger.sync_images(["blob_00"], 0)
    project.labels_folder.mkdir()
    kept = Path(shutil.copy(cases.label_of("blob_00"), project.labels_folder))
    sha256 = hashlib.sha256(kept.read_bytes()).hexdigest()
    record_annotation(project.ledger, "blob_00", kept.name, sha256, "ann", label_names=["ball"])
    assert "case" not in findings(cases.studies, labels="ball")
    label = nibabel.load(kept)
    nibabel.save(nibabel.Nifti1Image(label.get_fdata()[::-1], label.affine), kept)
    found = findings(cases.studies, labels="ball")["case"]
    assert found.text.startswith("blob_00: the file of its label (version 1, by ann) has changed on disk")
    assert project.ledger.current_annotation("blob_00").file_size is None


def test_a_label_whose_content_the_ledger_has_yet_is_put_back(blobs: Callable[[int], Any]) -> None:
    cases = blobs(1)
    project = open_project("app", str(cases.studies), {"labels": "ball"})
    project.ledger.sync_images(["blob_00"], 0)
    content = cases.label_of("blob_00").read_bytes()
    told = {"label_names": ["ball"], "unsynced": Unsynced(content)}
    record_annotation(project.ledger, "blob_00", "a/b.nii.gz", hashlib.sha256(content).hexdigest(), "ann", **told)
    assert "case" not in findings(cases.studies, labels="ball")
    assert (project.labels_folder / "a" / "b.nii.gz").read_bytes() == content


def test_links_out_of_the_studies_are_counted_and_the_setting_is_named(
    blobs: Callable[[int], Any], tmp_path: Path
) -> None:
    studies, linked = blobs(2).studies, tmp_path / "linked"
    linked.mkdir()
    for image in studies.glob("*.nii.gz"):
        (linked / image.name).symlink_to(image)
    (linked / "own.nii.gz").write_bytes((studies / "blob_00.nii.gz").read_bytes())
    found = findings(linked, labels="ball")
    assert found["studies"].text == "1 of 1 images can be read"
    assert found["files"].text.startswith("2 passed over (blob_00.nii.gz, blob_01.nii.gz): a link that leads out of")
    assert "--conf links_out_of_studies true" in found["files"].text
    allowed = findings(linked, labels="ball", links_out_of_studies="true")
    assert allowed["studies"].text == "3 of 3 images can be read"
    assert "files" not in allowed


def test_a_folder_that_does_not_answer_is_one_line(
    blobs: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    studies, scan = blobs(2).studies, os.scandir

    def fail(path: Path) -> Any:
        if Path(path) == studies:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", fail)
    found = findings(studies, labels="ball")["studies"]
    assert (found.fit, found.text) == (False, f"{studies} cannot be read (Input/output error)")


def test_images_of_one_subject_of_bids_are_one_patients_unless_the_project_began_otherwise(
    blobs: Callable[[int], Any],
) -> None:
    studies = blobs(3).studies
    for number, name in enumerate(("sub-1_ses-1_T1w", "sub-1_ses-2_T1w", "sub-2_T1w")):
        (studies / f"blob_0{number}.nii.gz").rename(studies / f"{name}.nii.gz")
    new = findings(studies, labels="ball")["patients"]
    assert (new.fit, new.text) == (True, "2 on 3 images, by their names")
    told = findings(studies, labels="ball", patients="(sub-[A-Za-z0-9]+)")["patients"]
    assert (told.fit, told.text) == (True, "2 on 3 images")
    open_project("app", str(studies), {"labels": "ball"}).ledger.sync_images(["sub-1_ses-1_T1w"], 0)
    begun = findings(studies, labels="ball")["patients"]
    assert (begun.fit, begun.text.partition(" by ")[0]) == (False, "'sub-1' has 2 images")


def test_patients_and_splits_are_looked_at(blobs: Callable[[int], Any], tmp_path: Path) -> None:
    studies = blobs(4).studies
    (studies / "blob_03.nii.gz").rename(studies / "odd.nii.gz")
    conf = {"labels": "ball", "patients": r"blob_(0[01]|02)"}
    assert findings(studies, **conf)["patients"] == Finding("patients", True, "3 on 3 images", ANY)
    assert "odd.nii.gz" in findings(studies, **conf)["files"].text
    one = findings(studies, labels="ball", patients="(blob)")["patients"]
    assert (one.fit, one.text) == (False, "1 on 3 images")
    assert "it has 0 groups" in findings(studies, labels="ball", patients="blob")["settings and ledger"].text
    assert "of no image" in findings(studies, labels="ball", patients="(x)")["settings and ledger"].text
    (tmp_path / "split.txt").write_text("blob_00 train\nblob_01 val\nblob_02 train\n")
    split = str(tmp_path / "split.txt")
    assert findings(studies, **conf, splits=split)["split"].text.endswith("2 for training, 1 for validation")
    shared = findings(studies, labels="ball", patients="(blob)", splits=split)["settings and ledger"]
    assert "patient 'blob' is for training ('blob_00') and validation ('blob_01')" in shared.text
    project = open_project("app", str(studies), {"labels": "ball"})
    project.ledger.sync_images([f"blob_0{number}" for number in range(4)], 1)
    late = findings(studies, labels="ball", patients="(blob)")["settings and ledger"]
    assert "patient 'blob' has images for" in late.text


def test_images_that_are_one_or_look_like_one_are_named(blobs: Callable[[int], Any]) -> None:
    studies = blobs(2).studies
    shutil.copy(studies / "blob_00.nii.gz", studies / "Blob_01.nii.gz")
    found = list(examine("app", str(studies), {"labels": "ball"}))
    assert all(finding.fit for finding in found if finding.subject in ("files", "same image"))
    (same,) = (finding.text for finding in found if finding.subject == "same image")
    assert same.startswith("Blob_01, blob_00 have the same voxels: ")
    (alike,) = (finding.text for finding in found if finding.subject == "files")
    assert alike.startswith("Blob_01.nii.gz and blob_01.nii.gz: their names differ only in case")


def test_a_project_folder_that_cannot_be_made_or_written_is_named(
    blobs: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = blobs(2).studies
    assert "project folder" not in findings(studies, labels="ball")
    monkeypatch.setattr(os, "access", lambda path, mode: path != studies)  # as for root on a disk that is read-only
    found = findings(studies, labels="ball")["project folder"]
    assert (found.fit, found.text) == (False, f"{studies / 'activelabel'} cannot be made")
    assert found.advice == "mend that, or name another with --conf project_dir"
