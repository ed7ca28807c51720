import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from abdomen_phantom.files import Folders, read_stamp, write_case, write_whole
from abdomen_phantom.patient import LABELS, deal_patients


def test_a_case_is_an_image_and_a_label_on_one_grid(two_cases: Path) -> None:
    folders = Folders.below(two_cases)
    image = nibabel.load(folders.images / "abdomen_01.nii.gz")
    label = nibabel.load(folders.labels / "abdomen_01.nii.gz")
    assert image.get_data_dtype() == np.int16
    assert label.get_data_dtype() == np.uint8
    assert image.shape == label.shape
    np.testing.assert_array_equal(image.affine, label.affine)
    for file in (image, label):
        assert (int(file.header["sform_code"]), int(file.header["qform_code"])) == (1, 1)
        assert file.header.get_xyzt_units()[0] == "mm"
        np.testing.assert_allclose(file.get_qform(), file.get_sform(), atol=1e-3)


def test_the_folders_hold_what_belongs_to_them(two_cases: Path) -> None:
    folders = Folders.below(two_cases)
    names = {"abdomen_01.nii.gz", "abdomen_02.nii.gz"}
    assert {path.name for path in folders.images.iterdir()} == names | {"dataset.json"}
    assert {path.name for path in folders.labels.iterdir()} == names | {"cases.json"}


def test_the_lists_name_the_labels_and_what_each_case_shows(two_cases: Path) -> None:
    folders = Folders.below(two_cases)
    dataset = json.loads((folders.images / "dataset.json").read_text(encoding="utf-8"))
    assert dataset["name"] == "abdomen"
    assert dataset["modality"] == {"0": "CT"}
    assert dataset["labels"] == {"0": "background", "1": "liver", "2": "spleen", "3": "kidneys", "4": "tumour"}
    assert dataset["test"] == ["./abdomen_01.nii.gz", "./abdomen_02.nii.gz"]
    assert (dataset["numTest"], dataset["numTraining"], dataset["training"]) == (2, 0, [])
    cases = json.loads((folders.labels / "cases.json").read_text(encoding="utf-8"))
    first = deal_patients(0, 1)[0]
    assert cases["abdomen_01.nii.gz"] == {
        "phase": str(first.phase),
        "habitus": str(first.habitus),
        "findings": sorted(map(str, first.findings)),
    }


def test_a_tumour_is_labelled_where_the_list_says_so(two_cases: Path) -> None:
    folders = Folders.below(two_cases)
    cases = json.loads((folders.labels / "cases.json").read_text(encoding="utf-8"))
    tumour = {name: value for value, name in LABELS.items()}["tumour"]
    for name, case in cases.items():
        label = np.asarray(nibabel.load(folders.labels / name).dataobj)
        assert (label == tumour).any() == ("liver tumour" in case["findings"])


def test_a_case_is_the_same_byte_for_byte(two_cases: Path, tmp_path: Path) -> None:
    again = Folders.below(tmp_path)
    again.images.mkdir()
    again.labels.mkdir()
    write_case(deal_patients(0, 2)[1], 0, again)
    for made in (again.images, again.labels):
        first = two_cases / made.name / "abdomen_02.nii.gz"
        assert (made / "abdomen_02.nii.gz").read_bytes() == first.read_bytes()


def test_a_file_says_what_it_was_made_from_but_not_what_it_shows(two_cases: Path) -> None:
    image = Folders.below(two_cases).images / "abdomen_02.nii.gz"
    assert read_stamp(image) == "abdomen phantom v1 seed=0 case=1"
    assert nibabel.load(image).header["descrip"].item() == b"abdomen phantom v1 seed=0 case=1"


def test_a_missing_file_has_no_stamp_and_a_truncated_or_foreign_one_an_empty_stamp(tmp_path: Path) -> None:
    assert read_stamp(tmp_path / "missing.nii.gz") is None
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(gzip.compress(bytes(1000))[:12])
    assert read_stamp(cut) == ""
    text = tmp_path / "text.nii.gz"
    text.write_text("not gzip")
    assert read_stamp(text) == ""


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "label.nii.gz"
    write_whole(target, b"old")

    def write_half(path: Path, content: bytes) -> int:
        with path.open("wb") as stream:
            stream.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(OSError, match="No space"):
        write_whole(target, b"newer and longer")
    assert [path.name for path in tmp_path.iterdir()] == ["label.nii.gz"]
    assert target.read_bytes() == b"old"


def test_unchanged_content_is_not_written_again(tmp_path: Path) -> None:
    target = tmp_path / "dataset.json"
    write_whole(target, b"same")
    before = target.stat().st_mtime_ns, target.stat().st_ino
    write_whole(target, b"same")
    assert (target.stat().st_mtime_ns, target.stat().st_ino) == before
    write_whole(target, b"other")
    assert target.read_bytes() == b"other"
