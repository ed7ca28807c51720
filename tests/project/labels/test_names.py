"""The sources of label names, and the refusal of contradictions."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from activelabel.data.labels.label_texts import text_of
from activelabel.errors import InvalidInputError
from activelabel.project.labels.names import resolve_label_names


def write_dataset(folder: Path, labels: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))


def write_labels(studies: Path, values: Mapping[str, Sequence[float]]) -> None:
    """Write labels of 10 x 10 x 10 voxels into a studies folder, each with the given values in a voxel each."""
    folder = studies / "labels" / "final"
    folder.mkdir(parents=True)
    for name, drawn in values.items():
        array = np.zeros(1000, np.float32)
        array[: len(drawn)] = drawn
        nibabel.save(nibabel.Nifti1Image(array.reshape(10, 10, 10), np.eye(4)), folder / f"{name}.nii.gz")


def test_the_setting_of_label_names_comes_first(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"0": "background", "1": "liver"})
    assert resolve_label_names(("spleen",), str(tmp_path)) == ("spleen",)


@pytest.mark.parametrize("place", ["inside", "beside"])
def test_a_decathlon_dataset_names_them_by_value(tmp_path: Path, place: str) -> None:
    studies = tmp_path / "imagesTr"
    studies.mkdir()
    write_dataset(studies if place == "inside" else tmp_path, {"2": "posterior", "0": "background", "1": "anterior"})
    assert resolve_label_names((), str(studies)) == ("anterior", "posterior")


def test_without_a_list_existing_labels_give_the_names(tmp_path: Path) -> None:
    write_labels(tmp_path, {"a": [1], "b": [2, 3]})
    assert resolve_label_names((), str(tmp_path)) == ("label_1", "label_2", "label_3")


def test_a_segment_that_is_called_as_a_value_is_another_structure(tmp_path: Path) -> None:
    write_labels(tmp_path, {"a": [1, 2, 3]})
    segmentation = SimpleITK.GetImageFromArray(np.eye(3, dtype=np.uint8)[None].repeat(2, axis=0))
    for key, value in {"Name": "Label_2", "LabelValue": "1", "Layer": "0", "ID": "a"}.items():
        segmentation.SetMetaData(f"Segment0_{key}", value)
    SimpleITK.WriteImage(segmentation, str(tmp_path / "labels" / "final" / "b.seg.nrrd"))
    assert text_of(resolve_label_names((), str(tmp_path))) == "Label_2,label_2_2,label_3"


def test_a_label_without_a_voxel_says_nothing_of_the_names(tmp_path: Path) -> None:
    write_labels(tmp_path, {"a": [1]})
    empty = nibabel.Nifti1Image(np.zeros((0, 10, 10), np.float32), np.eye(4))
    nibabel.save(empty, tmp_path / "labels" / "final" / "b.nii.gz")
    assert resolve_label_names((), str(tmp_path)) == ("label_1",)


def test_a_label_whose_affine_has_no_inverse_does_not_stop_the_start(tmp_path: Path) -> None:
    """Its determinant is exactly 0, of which the arithmetic of numpy leaves a rest."""
    write_labels(tmp_path, {"a": [1]})
    affine = np.eye(4)
    affine[:3, :3] = 1000.0 * np.arange(1, 10).reshape(3, 3)
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.float32), None)
    image.header.set_sform(affine, code=1)
    image.header.set_qform(np.eye(4), code=1)
    nibabel.save(image, tmp_path / "labels" / "final" / "b.nii.gz")
    assert resolve_label_names((), str(tmp_path)) == ("label_1",)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([255], "label_255=255"),
        ([1, 5, 2035], "label_1=1,label_5=5,label_2035=2035"),
        ([2.0001, 1.9999], "label_2=2"),
    ],
)
def test_values_that_no_label_has_are_no_structures(tmp_path: Path, values: list[float], expected: str) -> None:
    """A mask of 0 and 255 would be 255 structures, of which 254 are empty and right in every prediction."""
    write_labels(tmp_path, {"a": values})
    assert text_of(resolve_label_names((), str(tmp_path))) == expected


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([float("nan"), 1], "1 of 1000 voxels are NaN or infinite"),
        ([-1, 7], "it holds 3 values from -1 to 7, expected at most 256 from 0 to 65535: it looks like an image"),
        ([0.5], "1 voxels are no whole numbers"),
        ([*range(1, 300)], "it holds 300 values from 0 to 299"),
        ([1e9], "it holds 2 values from 0 to 1e+09"),
    ],
)
def test_a_file_that_is_no_label_map_names_nothing(
    tmp_path: Path, values: list[float], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_labels(tmp_path, {"a": [1], "strange": values})
    assert resolve_label_names((), str(tmp_path)) == ("label_1",)
    assert reason in caplog.text
    assert "strange.nii.gz says nothing of the label names" in caplog.text


def test_without_any_source_of_names_the_line_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"no label names: start with --conf labels liver,spleen"):
        resolve_label_names((), str(tmp_path))


def test_a_folder_that_is_not_there_is_not_one_without_names(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"^--studies .*/gone: there is no such folder: mount it"):
        resolve_label_names((), str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"0": "background", "1": "a", "2": "a"}, "named twice"),
        ({"0": "background", "1": " "}, "no empty one"),
        (["a", "b"], 'expected "labels" like'),
        ({"one": "a"}, 'expected "labels" like'),
    ],
)
def test_a_dataset_that_contradicts_itself_is_named(tmp_path: Path, labels: object, expected: str) -> None:
    write_dataset(tmp_path, labels)
    with pytest.raises(InvalidInputError, match=expected) as error:
        resolve_label_names((), str(tmp_path))
    assert "dataset.json" in str(error.value)


def test_nnunet_writes_names_before_values(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"background": 0, "spleen": 2, "liver": 1})
    assert resolve_label_names((), str(tmp_path)) == ("liver", "spleen")


@pytest.mark.parametrize(
    ("labels", "order", "expected"),
    [
        ({"0": "background", "1": "a", "3": "b"}, None, "a=1,b=3"),
        ({"background": 0, "b": 3, "a": 1, "ignore": 4}, None, "a=1,b=3,ignore=4"),
        ({"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enh": [3]}, [1, 2, 3],
         "whole=1+2+3,core=2+3,enh=3,regions_class_order=1+2+3"),
        ({"background": [0, 3], "liver": [2, 1]}, None, "liver=1+2,background=3"),
    ],
)  # fmt: skip
def test_a_dataset_may_have_regions_ignored_values_and_gaps(
    tmp_path: Path, labels: object, order: list[int] | None, expected: str
) -> None:
    content = {"labels": labels, **({} if order is None else {"regions_class_order": order})}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert text_of(resolve_label_names((), str(tmp_path))) == expected


def test_an_order_of_a_dataset_that_paints_foreign_values_is_refused(tmp_path: Path) -> None:
    labels = {"background": 0, "whole": [1, 2], "core": [2]}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels, "regions_class_order": [2, 1]}))
    with pytest.raises(InvalidInputError, match=r"dataset\.json: regions_class_order paints 'core' with value 1"):
        resolve_label_names((), str(tmp_path))


@pytest.mark.parametrize("configured", [("background", "liver"), ("liver", "Background")])
def test_background_is_no_structure(tmp_path: Path, configured: tuple[str, ...]) -> None:
    expected = r"^--conf labels .*: background is value 0 and is never listed: --conf labels liver$"
    with pytest.raises(InvalidInputError, match=expected):
        resolve_label_names(configured, str(tmp_path))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"0": "liver", "1": "spleen"}, "value 0 is 'liver', expected the background"),
        ({"0": "clear", "1": "liver", "2": "background"}, "background is value 0 and is never listed"),
        ({"background": 0, "whole": [0, 1]}, "'whole' has value 0, expected 1 to 65535"),
        ({"background": 0, "liver": 1, "ignore": [1, 2]}, "value 1 is ignore and something else"),
        ({"background": 0, "liver": 1, "spleen": 1}, "two names have one value"),
    ],
)
def test_a_dataset_whose_names_cannot_be_used_is_refused(tmp_path: Path, labels: object, expected: str) -> None:
    write_dataset(tmp_path, labels)
    with pytest.raises(InvalidInputError, match=expected):
        resolve_label_names((), str(tmp_path))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"file_ending": ".tif"}, r"its files end in \.tif, expected one of \.nii\.gz"),
    ],
)
def test_a_dataset_whose_images_are_not_supported_is_refused(
    tmp_path: Path, more: dict[str, object], expected: str
) -> None:
    labels = {"background": 0, "liver": 1}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels, **more}))
    with pytest.raises(InvalidInputError, match=expected):
        resolve_label_names((), str(tmp_path))
    assert resolve_label_names(("liver",), str(tmp_path)) == ("liver",)


def test_the_names_of_the_project_come_before_those_of_nameless_label_files(tmp_path: Path) -> None:
    folder = tmp_path / "labels" / "final"
    folder.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), folder / "a.nii.gz")
    assert resolve_label_names((), str(tmp_path), lambda: ("liver", "spleen")) == ("liver", "spleen")
    assert resolve_label_names((), "http://pacs", lambda: ("liver",)) == ("liver",)
    assert resolve_label_names(("tumour",), str(tmp_path), lambda: ("liver",)) == ("tumour",)
