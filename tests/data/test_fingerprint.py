"""The fingerprint of a folder of images that are made for the test."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from activelabel.data.files.channels import channel_layout
from activelabel.data.fingerprint import take_fingerprint
from activelabel.data.labels.label_texts import parse_labels
from activelabel.errors import InvalidInputError
from activelabel.recipes.fingerprint import ImageShape, Machine
from activelabel.recipes.planning import plan


def put(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def test_axes_are_those_that_a_network_sees(tmp_path: Path) -> None:
    """Stored as up-down, left-right, front-back; slices 4 mm apart run from front to back."""
    affine = np.array([[0, 0.5, 0, 0], [0, 0, 4.0, 0], [-0.7, 0, 0, 0], [0, 0, 0, 1.0]])
    data, problems = take_fingerprint({"a": put(tmp_path / "a.nii.gz", np.ones((9, 8, 5), np.int16), affine)}, {})
    assert problems == []
    assert data.oriented == (ImageShape((8, 5, 9), pytest.approx((0.5, 4.0, 0.7))),)
    assert data.shapes == (ImageShape((8, 9, 5), pytest.approx((0.5, 0.7, 4.0))),)
    assert (data.is_ct, data.foreground_share, data.measured) == (False, None, 1)


def test_the_window_is_that_of_the_foreground(tmp_path: Path) -> None:
    array = np.full((20, 20, 20), -1000, np.int16)
    array[:10] = 40
    array[:10, :10] = np.linspace(0, 200, 10 * 10 * 20).reshape(10, 10, 20)
    label = np.zeros(array.shape, np.uint8)
    label[:10, :10] = 2
    images = {name: put(tmp_path / f"{name}.nii.gz", array, np.eye(4)) for name in "ab"}
    drawn = {"a": put(tmp_path / "a_label.nii.gz", label, np.eye(4))}
    data, _ = take_fingerprint({"a": images["a"]}, drawn)
    assert data.is_ct
    assert data.window == pytest.approx((1, 199), abs=2)
    assert data.foreground_share == pytest.approx(0.25)
    whole, _ = take_fingerprint({"b": images["b"]}, {})
    assert whole.window[0] == pytest.approx(-1000)


def test_background_and_ignored_values_are_no_foreground(tmp_path: Path) -> None:
    """The structure lies on 40 HU, the other background on -1000 HU, and what is ignored on 3000 HU."""
    label = np.zeros((10, 10, 10), np.uint8)
    label[:2], label[2:6], label[6:8] = 1, 2, 3
    array = np.choose(label, [-1000, 40, -1000, 3000]).astype(np.int16)
    images = {"a": put(tmp_path / "a.nii.gz", array, np.eye(4))}
    drawn = {"a": put(tmp_path / "label.nii.gz", label, np.eye(4))}
    labels = parse_labels(["liver=1", "background=2", "ignore=3"], "test")
    data, _ = take_fingerprint(images, drawn, label_map=labels)
    assert (data.window, data.foreground_share) == ((40, 40), pytest.approx(0.2))
    data, _ = take_fingerprint(images, drawn)
    assert (data.window, data.foreground_share) == ((-1000, 3000), pytest.approx(0.8))


def test_a_label_with_a_value_of_no_name_is_named_and_left_out(tmp_path: Path) -> None:
    image = put(tmp_path / "a.nii.gz", np.ones((5, 5, 5), np.int16), np.eye(4))
    label = put(tmp_path / "label.nii.gz", np.full((5, 5, 5), 4, np.uint8), np.eye(4))
    other = put(tmp_path / "b.nii.gz", np.ones((5, 5, 5), np.int16), np.eye(4))
    data, problems = take_fingerprint({"a": image, "b": other}, {"a": label}, label_map=["liver"])
    assert data.measured == 1
    assert [line.partition(" has no name")[0] for line in problems] == ["label.nii.gz: value 4 in 125 voxels"]


def test_an_unreadable_image_is_named_and_the_others_are_measured(tmp_path: Path) -> None:
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    good = put(tmp_path / "good.nii.gz", np.ones((5, 5, 5), np.int16), np.eye(4))
    seen: list[str] = []
    data, problems = take_fingerprint({"bad": tmp_path / "bad.nii.gz", "good": good}, {}, seen.append)
    assert len(data.shapes) == 1
    assert seen == ["bad", "good"]
    assert [line.partition(":")[0] for line in problems] == ["bad.nii.gz"]
    with pytest.raises(InvalidInputError, match=r"bad\.nii\.gz"):
        take_fingerprint({"bad": tmp_path / "bad.nii.gz"}, {})


def test_channels_are_measured_each_and_the_window_is_that_of_the_ct(tmp_path: Path) -> None:
    hu = np.random.default_rng(0).choice(np.array([-1000, 40, 1000], np.int16), (12, 12, 12))
    pet = np.random.default_rng(1).integers(1, 9, hu.shape).astype(np.int16)
    put(tmp_path / "a_pet.nii.gz", pet, np.eye(4))
    put(tmp_path / "a_ct.nii.gz", hu, np.eye(4))
    layout = channel_layout(("PET", "CT"), ("_pet", "_ct"))
    data, problems = take_fingerprint({"a": layout.files(tmp_path / "a_pet.nii.gz")}, {})
    assert problems == []
    assert data.is_ct
    assert data.ct_channels == (False, True)
    assert data.window == (-1000, 1000)
    chosen = plan(data, Machine(4 * 2**30, has_gpu=False))["preprocessing"]
    assert chosen["intensity"].value == ["zscore", "window"]
    assert chosen["window_hu"].value == [-1000, 1000]
