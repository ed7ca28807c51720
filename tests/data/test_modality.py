import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from activelabel.data.modality import (
    ModalityChoice,
    channel_modality,
    choose_modality,
    dataset_modality,
    declared_modality,
    named_modality,
    series_modality,
    voted_modality,
)
from activelabel.errors import InvalidInputError

HOUNSFIELD = np.array([[[-1000.0, 40.0]]], np.float32)
GREY = np.array([[[0.0, 40.0]]], np.float32)


@pytest.mark.parametrize(
    ("voxels", "choice", "dicom", "declared", "expected"),
    [
        (HOUNSFIELD, "auto", None, None, "CT"),
        (GREY, "auto", None, None, "other"),
        (HOUNSFIELD, "auto", None, "MRI", "other"),
        (GREY, "auto", None, "CT", "CT"),
        (GREY, "auto", "CT", "MRI", "CT"),
        (HOUNSFIELD, "auto", "MR", "CT", "other"),
        (HOUNSFIELD, "other", "CT", "CT", "other"),
        (GREY, "ct", "MR", "MRI", "CT"),
        (HOUNSFIELD, "auto", " ", "", "CT"),
        (GREY, "auto", "ct ", None, "CT"),
        (HOUNSFIELD, "auto", None, "FLAIR", "other"),
    ],
)
def test_the_first_source_that_names_a_modality_decides(
    voxels: np.ndarray, choice: ModalityChoice, dicom: str | None, declared: str | None, expected: str
) -> None:
    assert choose_modality(voxels, choice, dicom, declared) == expected


def test_a_modality_that_nobody_knows_is_one_line_with_what_came_and_what_is_known() -> None:
    with pytest.raises(InvalidInputError, match=r"^DICOM tag Modality is 'ECG', expected CT or one of .*mr"):
        choose_modality(HOUNSFIELD, dicom="ECG")
    with pytest.raises(InvalidInputError, match=r"dataset\.json 'modality' is 'Hounsfield'.* set proxy\.modality"):
        choose_modality(HOUNSFIELD, declared="Hounsfield")


def test_the_users_setting_comes_before_an_unknown_modality() -> None:
    assert choose_modality(GREY, "ct", dicom="ECG", declared="?") == "CT"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"modality": {"0": "CT"}}, "CT"),
        ({"modality": "MRI"}, "MRI"),
        ({"modality": {"0": "FLAIR", "1": "T1w"}}, "FLAIR"),
        ({"labels": {}}, None),
    ],
)
def test_a_dataset_says_what_its_images_are(tmp_path: Path, content: object, expected: str | None) -> None:
    file = tmp_path / "dataset.json"
    file.write_text(json.dumps(content))

    assert declared_modality(file) == expected


def test_without_a_dataset_no_modality_is_named(tmp_path: Path) -> None:
    assert declared_modality(tmp_path / "dataset.json") is None


HUGE = '{"modality": ' + "1" * 5000 + "}"


@pytest.mark.parametrize("text", ["{", '["CT"]', '{"modality": 3}', '{"modality": {"0": ["CT"]}}', '"a" b', HUGE])
def test_a_dataset_that_says_it_in_no_known_way_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "dataset.json"
    file.write_text(text)

    with pytest.raises(InvalidInputError, match=r"^dataset\.json: [^\n]+$"):
        declared_modality(file)


def write_header(path: Path, modality: str | None) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    header.is_little_endian, header.is_implicit_VR = True, False
    if modality is not None:
        header.Modality = modality
    pydicom.dcmwrite(path, header)


@pytest.mark.parametrize("modality", ["CT", "MR", None])
def test_the_tag_of_a_series_is_that_of_its_first_file(tmp_path: Path, modality: str | None) -> None:
    write_header(tmp_path / "1.dcm", modality)
    (tmp_path / "2.dcm").write_bytes(b"not read")

    assert series_modality(tmp_path) == series_modality(tmp_path / "1.dcm") == modality


def test_an_empty_folder_has_no_tag_and_a_text_is_no_dicom(tmp_path: Path) -> None:
    assert series_modality(tmp_path) is None
    (tmp_path / "1.dcm").write_text("text")
    with pytest.raises(InvalidInputError, match=r"1\.dcm: cannot be read as DICOM"):
        series_modality(tmp_path)


@pytest.mark.parametrize(
    ("content", "name", "intensity"),
    [
        ({"modality": {"0": "CT"}}, "CT", "window"),
        ({"modality": "mri"}, "MRI", "zscore"),
        ({"modality": {"0": "T1-weighted MRI"}}, "T1", "zscore"),
        ({"modality": {"0": "CT portal venous"}}, "CT", "window"),
        ({"channel_names": {"0": "CT"}}, "CT", "window"),
        ({"channel_names": {"0": "CT venous"}}, "CT", "window"),
        ({"channel_names": {"0": "noNorm"}}, "other", "zscore"),  # nnU-Net: every modality except CT
        ({"channel_names": {"0": "T2w"}}, "other", "zscore"),
    ],
)
def test_a_dataset_of_the_decathlon_or_of_nnunet_decides_for_the_project(
    tmp_path: Path, content: object, name: str, intensity: str
) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps(content))

    found = dataset_modality([tmp_path / "images", tmp_path])

    assert found is not None
    assert (found.name, found.intensity) == (name, intensity)
    assert "dataset.json" in found.reason


def test_a_dataset_with_a_byte_order_mark_is_read_as_without_one(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "CT"}}', encoding="utf-8-sig")
    found = dataset_modality([tmp_path])
    assert found is not None
    assert found.name == "CT"


@pytest.mark.parametrize(("votes", "name"), [([True, True, False], "CT"), ([True, False], "other"), ([False], "other")])
def test_most_images_decide_and_the_reason_counts_them(votes: list[bool], name: str) -> None:
    found = voted_modality(votes)

    assert found.name == name
    assert found.reason == f"{sum(votes)} of {len(votes)} images look like Hounsfield units"


@pytest.mark.parametrize(
    ("name", "modality"),
    [("CT", "CT"), ("CT venous", "CT"), ("ct-arterial", "CT"), ("FLAIR", "FLAIR"), ("T1w", "T1W"), ("ax T2 fs", "T2"),
     ("PT", "PT"), ("other", "other"), ("contact", None), ("first", None)],
)  # fmt: skip
def test_the_modality_that_the_name_of_a_channel_tells(name: str, modality: str | None) -> None:
    assert channel_modality(name) == modality


def test_a_modality_for_each_channel() -> None:
    both = named_modality("CT, PET", "--conf modality")
    assert (both.name, both.kinds, both.intensity) == ("CT, PET", ("CT", "other"), ("window", "zscore"))
    assert str(both) == "CT, PET (--conf modality): images are windowed, z-scored"
    assert named_modality("MR,PET", "x").intensity == "zscore"
