"""`activelabel recipe` as a user calls it."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from channel_files import CHANNELS, write_task01
from typer.testing import CliRunner

from activelabel.cli.main import app
from activelabel.errors import InvalidInputError
from activelabel.recipes import load_recipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in ("images", "labels"):
        (tmp_path / place).mkdir()
        for name in "abc":
            array = np.random.default_rng(0).integers(0, 2, (36, 50, 35)).astype(np.uint8)
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / place / f"{name}.nii.gz")
    return tmp_path


def run(folder: Path, *more: str, out: str = "mine.toml") -> Path:
    options = ["recipe", "--images", str(folder / "images"), "--out", str(folder / out), "--device", "cpu", *more]
    result = CliRunner().invoke(app, options)
    if result.exception is not None:
        raise result.exception
    return folder / out


def test_recipe_command_writes_a_recipe_that_can_be_used(folder: Path) -> None:
    recipe = load_recipe(str(run(folder, "--labels", str(folder / "labels"), "--memory-gb", "4")))
    assert (recipe.name, recipe.network.kind, recipe.training.patch_size) == ("mine", "unet", (36, 52, 36))


@pytest.mark.parametrize("by_option", [True, False])
def test_the_label_map_says_what_is_foreground(tmp_path: Path, by_option: bool) -> None:
    """A CT of 40 HU in the structure and of 3000 HU where voxels are ignored, elsewhere air."""
    for place in ("images", "labels"):
        (tmp_path / place).mkdir()
    label = np.zeros((16, 16, 16), np.uint8)
    label[:4], label[4:8] = 1, 2
    image = np.choose(label, [-1000, 40, 3000]).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), tmp_path / "images" / "a.nii.gz")
    nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), tmp_path / "labels" / "a.nii.gz")
    more = ["--label-names", "liver,ignore=2"] if by_option else []
    if not by_option:
        described = '{"labels": {"background": 0, "liver": 1, "ignore": 2}}'
        (tmp_path / "dataset.json").write_text(described, encoding="utf-8")
    recipe = load_recipe(str(run(tmp_path, "--labels", str(tmp_path / "labels"), *more)))
    assert recipe.preprocessing.window_hu == (39, 41)  # all foreground has 40 HU, and a window has a width


@pytest.mark.parametrize(
    ("more", "out", "expected"),
    [
        (("--labels", "/nowhere"), "a.toml", "--labels /nowhere: there is no such folder"),
        ((), "a.txt", r"expected a file that ends in \.toml"),
        (("--device", "tpu"), "a.toml", "--device tpu: expected auto, cpu or cuda"),
        ((), "none/a.toml", "cannot be written"),
    ],
)
def test_wrong_input_to_recipe_is_one_line(folder: Path, more: tuple[str, ...], out: str, expected: str) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        run(folder, *more, out=out)


def test_a_folder_without_images_is_refused(folder: Path) -> None:
    for file in (folder / "images").iterdir():
        file.unlink()
    with pytest.raises(InvalidInputError, match="expected 3D images, found none"):
        run(folder)


def test_an_endless_memory_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidInputError, match="--memory-gb inf: expected a number of gigabytes"):
        run(folder, "--memory-gb", "inf")


def test_a_recipe_names_the_channels_of_the_data_set(tmp_path: Path) -> None:
    folder = write_task01(tmp_path, 3)
    out = tmp_path / "mine.toml"
    result = CliRunner().invoke(
        app, ["recipe", "--images", str(folder / "imagesTr"), "--out", str(out), "--memory-gb", "4"]
    )
    assert result.exit_code == 0, result.output
    assert load_recipe(str(out)).channels == CHANNELS
    assert load_recipe(str(out)).preprocessing.intensity == "zscore"
