"""An exported data set as other programs read it, and the audit trail by hand."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from channel_files import CHANNELS, made_up_channels, write_task01
from clinic import Clinic
from monai.data import load_decathlon_datalist
from recorded import record_annotation
from small_studies import AFFINE_RAS, SHAPE, TINY_RECIPE, boxes, write_nifti

from activelabel.annotation.archive import open_archive
from activelabel.annotation.label_info import LabelInfo
from activelabel.backports import ON_WINDOWS
from activelabel.cli.main import main
from activelabel.data.dataset_json import read_dataset
from activelabel.data.files.behind import wait_for_disk
from activelabel.data.files.studies_folder import find_images
from activelabel.data.given_splits import read_split
from activelabel.data.labels.label_texts import text_of
from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.project.export import layouts
from activelabel.project.export.audit import audit_table
from activelabel.project.export.cases import ExportedCase
from activelabel.project.export.folder_images import FolderImages
from activelabel.project.export.writing import Cases, export_dataset
from activelabel.project.labels.names import resolve_label_names
from activelabel.project.opening import open_project
from activelabel.project.readability import note_image
from activelabel.store.case_states import Verdict
from activelabel.store.cases.new_annotation import Compared
from activelabel.store.records.labels import SECOND
from activelabel.store.records.reviews import Agreement


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)


def voxels(file: Path) -> np.ndarray:
    return np.asarray(nibabel.load(file).dataobj)


def files(folder: Path) -> set[str]:
    """Return the paths of all files but the kept versions of labels."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {path for path in found if not path.startswith("versions/")}


def partial_label() -> tuple[np.ndarray, np.ndarray]:
    """The label of c on its annotated slices, and the mask of these."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, :, [2, 5]] = 1
    return boxes(1, 2) * mask, mask


def test_nnunet_gets_images_labels_its_description_and_the_split(clinic: Clinic) -> None:
    out = clinic.export("nnunet")
    images = {f"imagesTr/{name}_0000.nii.gz" for name in "abc"} | {f"labelsTr/{name}.nii.gz" for name in "abc"}
    assert files(out) == images | {"annotatedTr/c.nii.gz", "dataset.json", "splits_final.json", "audit.csv"}
    described = read_dataset(out / "dataset.json")
    assert described.labels == {"background": (0,), "ball": (1,), "box": (2,), "ignore": (3,)}
    assert described.channels == ("CT",)
    content = json.loads((out / "dataset.json").read_text(encoding="utf-8"))
    assert content["labels"] == {"background": 0, "ball": 1, "box": 2, "ignore": 3}
    assert (content["channel_names"], content["numTraining"], content["file_ending"]) == ({"0": "CT"}, 3, ".nii.gz")
    assert read_split(out / "splits_final.json").roles == {"a": "validation", "b": "validation", "c": "training"}
    assert (out / "imagesTr/a_0000.nii.gz").read_bytes() == (clinic.studies / "a.nii.gz").read_bytes()
    label, mask = partial_label()
    assert np.array_equal(voxels(out / "labelsTr/a.nii.gz"), boxes(1, 2))
    assert np.array_equal(voxels(out / "labelsTr/c.nii.gz"), np.where(mask == 1, label, 3))
    assert np.array_equal(voxels(out / "annotatedTr/c.nii.gz"), mask)


@pytest.mark.parametrize("how", ["removed", "cut", "replaced"])
def test_a_case_that_changes_while_it_is_exported_is_named_and_the_rest_goes_on(clinic: Clinic, how: str) -> None:
    image = clinic.studies / "a.nii.gz"
    content = image.read_bytes()

    def while_it_runs(cases: Cases) -> Iterator[ExportedCase]:
        for case in cases:
            if case.name == "a" and how == "removed":
                image.unlink()
            elif case.name == "a":
                image.write_bytes(content[:200] if how == "cut" else content + b" ")
            yield case

    out = clinic.folder / "out"
    made = export_dataset(clinic.project, clinic.images, out, "nnunet", while_it_runs)

    assert (made.training, made.validation, made.partial) == (1, 1, 1)
    (line,) = made.left_out
    assert line.startswith(("a: ", "a.nii.gz: "))
    images = {f"imagesTr/{name}_0000.nii.gz" for name in "bc"} | {f"labelsTr/{name}.nii.gz" for name in "bc"}
    assert files(out) == images | {"annotatedTr/c.nii.gz", "dataset.json", "splits_final.json", "audit.csv"}
    assert json.loads((out / "dataset.json").read_text(encoding="utf-8"))["numTraining"] == 2
    rows = csv.DictReader((out / "audit.csv").read_text(encoding="utf-8").splitlines())
    assert not any("/a" in row["file"] for row in rows if row["event"] == "file")
    image.write_bytes(content)
    assert export_dataset(clinic.project, clinic.images, clinic.folder / "again", "nnunet").validation == 2


def test_a_case_that_changes_while_others_are_numbered_after_it_asks_for_another_export(clinic: Clinic) -> None:
    def while_it_runs(cases: Cases) -> Iterator[ExportedCase]:
        (clinic.studies / "a.nii.gz").unlink()
        yield from cases

    with pytest.raises(InvalidInputError, match=r"^a\.nii\.gz: .*; export once more, as the others are numbered"):
        export_dataset(clinic.project, clinic.images, clinic.folder / "out", "bids", while_it_runs)
    assert not (clinic.folder / "out").exists()


def test_an_image_that_is_no_nifti_becomes_one_at_the_same_place(clinic: Clinic) -> None:
    out = clinic.export("nnunet")
    written = SimpleITK.ReadImage(out / "imagesTr/b_0000.nii.gz")
    source = SimpleITK.ReadImage(clinic.studies / "b.mha")
    assert np.array_equal(SimpleITK.GetArrayFromImage(written), SimpleITK.GetArrayFromImage(source))
    assert written.GetOrigin() == pytest.approx(source.GetOrigin())
    assert written.GetDirection() == pytest.approx(source.GetDirection())
    assert np.allclose(nibabel.load(out / "labelsTr/b.nii.gz").affine, AFFINE_RAS)


def test_monai_reads_the_decathlon_layout(clinic: Clinic) -> None:
    out = clinic.export("decathlon")
    training = load_decathlon_datalist(out / "dataset.json", data_list_key="training")
    validation = load_decathlon_datalist(out / "dataset.json", data_list_key="validation")
    assert [Path(case["image"]).name for case in training] == ["c.nii.gz"]
    assert [Path(case["label"]).name for case in validation] == ["a.nii.gz", "b.nii.gz"]
    assert all(Path(case[key]).is_file() for case in training + validation for key in ("image", "label"))
    assert json.loads((out / "dataset.json").read_text(encoding="utf-8"))["labels"] == {
        "0": "background",
        "1": "ball",
        "2": "box",
    }
    label, mask = partial_label()
    assert np.array_equal(voxels(out / "labelsTr/c.nii.gz"), label)
    assert np.array_equal(voxels(out / "annotatedTr/c.nii.gz"), mask)
    assert read_split(out / "dataset.json").roles == {"a": "validation", "b": "validation", "c": "training"}


def test_no_cell_of_a_bids_table_is_a_formula_or_ends_its_row() -> None:
    rows = [("image", "role"), ("=1+1", "-x"), ("@a\tb", "+c\nd"), ("plain", "2-1")]
    lines = layouts._tsv(rows).split("\n")
    assert lines == ["image\trole", "'=1+1\t'-x", "'@a\\tb\t'+c\\nd", "plain\t2-1", ""]


def test_bids_numbers_patients_and_keeps_their_names_out(clinic: Clinic) -> None:
    out = clinic.export("bids")
    below = "derivatives/activelabel"
    assert files(out) == {
        "dataset_description.json", "participants.tsv", "cases.tsv", ".bidsignore", "audit.csv",
        "sub-0001/ct/sub-0001_run-1_ct.nii.gz", "sub-0001/ct/sub-0001_run-2_ct.nii.gz",
        "sub-0002/ct/sub-0002_run-1_ct.nii.gz",
        f"{below}/dataset_description.json", f"{below}/dseg.tsv",
        f"{below}/sub-0001/ct/sub-0001_run-1_desc-manual_dseg.nii.gz",
        f"{below}/sub-0001/ct/sub-0001_run-2_desc-manual_dseg.nii.gz",
        f"{below}/sub-0002/ct/sub-0002_run-1_desc-manual_dseg.nii.gz",
        f"{below}/sub-0002/ct/sub-0002_run-1_desc-annotated_mask.nii.gz",
    }  # fmt: skip
    assert (out / below / "dseg.tsv").read_text(encoding="utf-8") == "index\tname\n0\tbackground\n1\tball\n2\tbox\n"
    rows = [line.split("\t") for line in (out / "cases.tsv").read_text(encoding="utf-8").splitlines()]
    assert [row[:4] for row in rows[1:]] == [
        ["sub-0001", "1", "a", "validation"], ["sub-0001", "2", "b", "validation"], ["sub-0002", "1", "c", "training"],
    ]  # fmt: skip
    texts = b"".join(path.read_bytes() for path in out.rglob("*") if path.suffix in (".json", ".tsv", ".csv"))
    assert b"SMITH" not in texts
    assert (
        json.loads((out / below / "dataset_description.json").read_text(encoding="utf-8"))["DatasetType"]
        == "derivative"
    )


def test_the_audit_trail_tells_the_story_of_a_case(clinic: Clinic) -> None:
    """A case is asked for, drawn, returned, drawn again and approved, and another one is skipped."""
    ledger = clinic.ledger

    def later(minutes: float) -> None:
        clinic.now += timedelta(minutes=minutes)

    later(1)
    ledger.grant_lease("eve", "d", 120, "random_volumes", reason="=1+1")
    later(10)
    ledger.note_active("eve", 90)
    clinic.draw("d", "eve", annotated_slices="all")
    later(1)
    ledger.take_for_review("rev", 30, "d")
    later(1)
    ledger.decide("d", "rev", Verdict.RETURNED, "=1+1 is no box", difficulty="hard")
    later(1)
    clinic.draw("d", "eve", annotated_slices="all")
    ledger.decide("d", "rev", Verdict.APPROVED)
    out = clinic.folder / "story"
    export_dataset(clinic.project, clinic.images, out, "nnunet")
    with (out / "audit.csv").open(newline="") as table:
        described, *rows = [row for row in csv.DictReader(table) if row["image"] == "d" and row["event"] != "file"]
    assert (described["event"], described["role"], described["covered_slices"]) == ("image", "training", "8")
    assert [(row["event"], row["who"], row["version"], row["note"], row["exported"]) for row in rows] == [
        ("asked", "eve", "", "'=1+1", ""),
        ("label", "eve", "1", "", ""),
        ("taken for review", "rev", "1", "", ""),
        ("returned", "rev", "1", "'=1+1 is no box", ""),
        ("label", "eve", "2", "", "yes"),
        ("approved", "rev", "2", "", ""),
    ]
    asked, label, _, returned, *_ = rows
    assert (returned["detail"], returned["about"]) == ("hard", label["number"])
    assert (label["about"], label["detail"]) == (asked["number"], "named by the client")
    assert (asked["when"], asked["strategy"], asked["slices"]) == (
        "2026-01-01T12:01:00.000000+00:00", "random_volumes", "all",
    )  # fmt: skip
    assert (float(label["seconds"]), float(label["active_seconds"])) == (600, 90)
    assert label["sha256"] == ledger.history("d")[0].sha256


def test_only_approved_labels_are_exported_where_only_these_are_learnt_from(tmp_path: Path) -> None:
    clinic = Clinic(tmp_path, review="true")
    with pytest.raises(NotReadyError, match="there is no label to export"):
        export_dataset(clinic.project, clinic.images, tmp_path / "none", "nnunet")
    clinic.ledger.decide("a", "rev", Verdict.APPROVED)
    export_dataset(clinic.project, clinic.images, tmp_path / "one", "decathlon")
    assert {path for path in files(tmp_path / "one") if "labels" in path} == {"labelsTr/a.nii.gz"}


def test_a_folder_or_layout_that_is_none_is_refused(clinic: Clinic) -> None:
    with pytest.raises(InvalidInputError, match="--layout dicom: expected one of nnunet, decathlon, bids"):
        export_dataset(clinic.project, clinic.images, clinic.folder / "x", "dicom")
    with pytest.raises(InvalidInputError, match="there is something already: name a folder that is new or empty"):
        export_dataset(clinic.project, clinic.images, clinic.studies, "nnunet")


def test_an_image_that_turns_out_to_be_damaged_is_left_out_and_without_any_other_nothing_is_left_behind(
    clinic: Clinic,
) -> None:
    whole = SimpleITK.ReadImage(clinic.studies / "b.mha")
    SimpleITK.WriteImage(whole, clinic.studies / "b.mha", useCompression=True)
    content = (clinic.studies / "b.mha").read_bytes()
    (clinic.studies / "b.mha").write_bytes(content[:-40] + bytes(40))  # its header is as it was
    made = export_dataset(clinic.project, clinic.images, clinic.folder / "x", "nnunet")
    assert (made.training, made.validation) == (1, 1)
    assert [line.partition(":")[0] for line in made.left_out] == ["b.mha"]
    assert not (clinic.folder / "x" / "labelsTr" / "b.nii.gz").exists()
    for name in ("a", "c"):
        clinic.ledger.delete_annotation(name)
    with pytest.raises(NotReadyError, match=r"^there is no label to export: b\.mha"):
        export_dataset(clinic.project, clinic.images, clinic.folder / "y", "nnunet")
    assert not (clinic.folder / "y").exists()


def _replace(path: Path, change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> None:
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(*change(np.asarray(image.dataobj), image.affine)), path)


@pytest.mark.parametrize(
    ("layout", "images"),
    [
        ("nnunet", {f"imagesTr~{name}_0000" for name in "abc"}),
        ("decathlon", {f"imagesTr~{name}" for name in "abc"}),
        (
            "bids",
            {
                "sub-0001~ct~sub-0001_run-1_ct",
                "sub-0001~ct~sub-0001_run-2_ct",
                "sub-0002~ct~sub-0002_run-1_ct",
            },
        ),
    ],
)
def test_a_server_on_an_exported_data_set_finds_its_images_and_takes_no_label_for_one(
    clinic: Clinic, layout: str, images: set[str]
) -> None:
    clinic.draw("a", "bob", annotated_slices="all")  # so that there is an earlier version, which comes along
    out = clinic.export(layout)
    assert (out / "versions" / "a").is_dir()
    assert set(find_images(out).files) == images


MIRROR = np.array([[-1.0, 0, 0, 11], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
"""Of an image of 12 voxels, about its middle."""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda voxels, affine: (voxels[::-1], affine), "its image has changed since its label was drawn"),
        (lambda voxels, affine: (voxels, affine @ MIRROR), "the axes of its image were turned or mirrored"),
        (lambda voxels, affine: (voxels[:-1], affine), "its image has changed since its label was drawn"),
    ],
)
def test_a_case_whose_image_changed_under_its_label_is_left_out_with_its_reason(
    clinic: Clinic, change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]], reason: str
) -> None:
    """No server need have seen the change: the command looks by itself."""
    note_image("a", clinic.studies / "a.nii.gz", clinic.ledger)
    clinic.draw("a", "ann", annotated_slices="all")
    _replace(clinic.studies / "a.nii.gz", change)
    done = export_dataset(clinic.project, clinic.images, clinic.folder / "out", "nnunet")
    assert (done.training, done.validation, len(done.left_out)) == (1, 1, 1)
    assert done.left_out[0].startswith("a: ")
    assert reason in done.left_out[0]
    assert {path for path in files(clinic.folder / "out") if "/a" in path} == set()


def test_a_case_that_was_set_aside_is_left_out_and_said(clinic: Clinic) -> None:
    clinic.ledger.mark_unreadable("a", "a: torn", None)
    done = export_dataset(clinic.project, clinic.images, clinic.folder / "out", "nnunet")
    assert (done.validation, done.left_out) == (1, ("a: torn",))


def test_the_command_says_what_it_wrote_and_puts_back_labels_whose_contents_the_ledger_has_yet(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert wait_for_disk(60)
    assert clinic.ledger.label_contents() or ON_WINDOWS
    for file in clinic.ledger.label_contents():
        (clinic.project.labels_folder / file).unlink()
    out = clinic.folder / "mine"
    words = ["--studies", clinic.studies, "--out", out, "--conf", "recipe", TINY_RECIPE, "--layout", "bids"]
    monkeypatch.setattr(sys, "argv", ["activelabel", "export", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capfd.readouterr().out == f"1 training and 2 validation cases, 1 of them in part in {out}\n"
    assert (out / "participants.tsv").is_file()


@pytest.mark.parametrize("layout", ["nnunet", "decathlon"])
def test_channels_go_along_as_the_layout_has_them(tmp_path: Path, layout: str) -> None:
    studies = write_task01(tmp_path / "task", 1) / "imagesTr"
    conf = {"recipe": str(TINY_RECIPE), "project_dir": str(tmp_path / "project"), "shown_channel": "T1w"}
    project = open_project("app", str(studies), conf)
    project.ledger.sync_images(["BRATS_000"], 0)
    images, archive = FolderImages(project), open_archive(project)
    channels, drawn = made_up_channels(0)
    file = write_nifti(tmp_path / "sent.nii.gz", drawn)
    grid = read_grid(images.image_files("BRATS_000"))
    archive.keep("BRATS_000", "final", file, grid, LabelInfo("ann", finished=True, confirmed=True))
    out = tmp_path / layout
    export_dataset(project, images, out, layout)
    assert read_dataset(out / "dataset.json").channels == CHANNELS
    again = open_project("app", str(out / "imagesTr"), {**conf, "project_dir": str(tmp_path / "again")})
    volume = read_volume(FolderImages(again).image_files("BRATS_000"))
    assert np.array_equal(volume.channels, channels)
    assert np.array_equal(voxels(out / "labelsTr" / "BRATS_000.nii.gz"), drawn)
    with pytest.raises(InvalidInputError, match=r"^--layout bids: images have 4 channels"):
        export_dataset(project, images, tmp_path / "bids", "bids")


def test_the_audit_trail_has_second_readings(clinic: Clinic) -> None:
    first = clinic.ledger.current_annotation("a")
    compared = Compared(first.id, {"ball": Agreement(0.5, 1.25), "box": Agreement(0.0, None)}, agrees=False)
    record_annotation(clinic.ledger, "a", "a/second.nii.gz", "5" * 64, "eve", tag=SECOND, compared=compared)
    rows = list(csv.DictReader(audit_table(clinic.project).splitlines()))
    assert [(row["event"], row["who"], row["note"]) for row in rows if row["image"] == "a"] == [
        ("image", "", ""),
        ("label", "ann", ""),
        ("second reading", "eve", ""),
        ("compared", "", "the readings differ: ball Dice 0.50, 1.2 mm apart; box Dice 0.00"),
    ]


def test_a_label_map_is_read_back_from_what_was_exported(tmp_path: Path) -> None:
    """Values, regions in the order of painting, and unannotated slices as one more value that is ignored."""
    clinic = Clinic(tmp_path, labels="ball=1,whole=1+2")
    described = json.loads((clinic.export("nnunet") / "dataset.json").read_text(encoding="utf-8"))
    assert described["labels"] == {"background": 0, "whole": [1, 2], "ball": 1, "ignore": 3}
    assert described["regions_class_order"] == [2, 1]
    back = resolve_label_names((), str(tmp_path / "nnunet" / "imagesTr"))
    assert text_of(back) == "whole=1+2,ball=1,ignore=3,regions_class_order=2+1"
    decathlon = json.loads((clinic.export("decathlon") / "dataset.json").read_text(encoding="utf-8"))
    assert decathlon["labels"] == {"0": "background", "1": "ball", "2": "whole"}
