"""The command `activelabel rtstruct`: an object that is read back, and one line for each thing that is wrong."""

import datetime
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from activelabel.cli.main import main
from activelabel.data.dicom_objects.labels import read_dicom_label
from activelabel.data.grids import Grid
from activelabel.data.labels.label_texts import parse_labels
from local_pacs.ct_series import ct_series

AFFINE_RAS = np.diag([-0.8, -0.9, 2.5, 1.0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a series of six slices and a label of it."""
    image = np.random.default_rng(0).integers(-100, 200, (9, 8, 6)).astype(np.int16)
    label = np.zeros(image.shape, np.uint8)
    label[2:6, 2:6, 1:4], label[3:5, 3:5, 2] = 1, 2
    nibabel.save(nibabel.Nifti1Image(image, AFFINE_RAS), tmp_path / "image.nii.gz")
    nibabel.save(nibabel.Nifti1Image(label, AFFINE_RAS), tmp_path / "label.nii.gz")
    (tmp_path / "series").mkdir()
    made = datetime.datetime(2026, 1, 2)
    for index, dataset in enumerate(ct_series(tmp_path / "image.nii.gz", "a", made)):
        dataset.save_as(tmp_path / "series" / f"{index}.dcm", write_like_original=False)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, **changed: str) -> None:
    options = {"label": "label.nii.gz", "series": "series", "labels": "liver=1+2,tumour=2", "out": "rt.dcm", **changed}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["activelabel", "rtstruct", *words])
    main()


def test_an_rtstruct_of_a_label_is_read_back(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, folder, author="Ann")
    assert not ended.value.code
    dataset = pydicom.dcmread(folder / "rt.dcm")
    labels = parse_labels(["liver=1+2", "tumour=2"], "test")
    back = read_dicom_label(dataset, Grid((9, 8, 6), AFFINE_RAS), labels)
    np.testing.assert_array_equal(back.array, np.asarray(nibabel.load(folder / "label.nii.gz").dataobj))
    assert dataset.OperatorsName == "Ann"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"label": "none.nii.gz"}, "--label none.nii.gz: there is no such file"),
        ({"series": "none"}, "--series none: there is no such folder"),
        ({"out": "label.nii.gz"}, "--out label.nii.gz: exists already"),
        ({"labels": "liver"}, "label.nii.gz: value 2 in 4 voxels has no name"),
        ({"labels": "tumour=5,background=1+2"}, "--label label.nii.gz: no structure is drawn in it"),
    ],
)
def test_what_is_wrong_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    changed: dict[str, str],
    expected: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, folder, **changed)
    assert ended.value.code == 2
    line = capfd.readouterr().err.strip()
    assert expected in line
    assert "\n" not in line
    assert not (folder / "rt.dcm").exists()
