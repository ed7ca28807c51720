"""Plans against numbers worked out by hand, and properties that hold for all images."""

import itertools
import math
from pathlib import Path

import pytest

from activelabel.backports import tomllib
from activelabel.networks import build_network
from activelabel.recipes import load_recipe
from activelabel.recipes.fingerprint import Fingerprint, ImageShape, Machine, percentile
from activelabel.recipes.planning import Plan, plan
from activelabel.recipes.writing import as_toml

CPU = Machine(8 * 2**30, has_gpu=False)
GPU = Machine(8 * 2**30, has_gpu=True)
Size = tuple[int, int, int]


def images(count: int, size: Size, spacing: tuple[float, float, float], **changed: object) -> Fingerprint:
    shapes = (ImageShape(size, spacing),) * count
    values = {"is_ct": False, "window": (0.0, 1.0), "foreground_share": 0.1, "measured": count, **changed}
    return Fingerprint(shapes, shapes, **values)  # type: ignore[arg-type]


def value(planned: Plan, section: str, key: str) -> object:
    return planned[section][key].value


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert percentile([10, 5, 10, 10, 10], 10) == pytest.approx(7.0)
    assert percentile([3, 1], 50) == 2.0
    assert percentile([4], 10) == 4.0


def test_a_plan_says_that_a_level_was_left_out_because_of_padding() -> None:
    planned = plan(images(20, (35, 50, 36), (1, 1, 1)), CPU)
    assert value(planned, "network", "channels") == [16, 32, 64]
    assert "one more would make the patch much larger than the image" in planned["network"]["strides"].why
    assert "one more" not in plan(images(20, (40, 48, 40), (1, 1, 1)), CPU)["network"]["strides"].why


def test_the_spacing_of_slices_decides_the_kind_of_network() -> None:
    thin, thick = images(20, (64, 64, 64), (1, 1, 2)), images(20, (200, 200, 12), (1, 1, 7))
    kinds = [
        value(plan(data, machine), "network", "kind") for data, machine in itertools.product((thin, thick), (CPU, GPU))
    ]
    assert kinds == ["unet", "unet", "unet2d", "anisotropic_unet"]
    flat = plan(thick, CPU)
    assert value(flat, "preprocessing", "spacing_mm") == [1.6667, 1.6667, 7], "200 / 120 times as coarse"
    assert value(flat, "training", "patch_size") == [128, 128, 1]
    assert value(flat, "network", "strides") == [2, 2, 2, 2], "120 / 4 is between 16 and 32: four halvings"
    assert value(flat, "preprocessing", "slices_last") is True
    deep = plan(thick, GPU)
    assert value(deep, "network", "strides") == [2, 2, 2], "12 slices can be halved once, after two in the plane"
    assert value(deep, "training", "patch_size") == [200, 200, 12]


def test_a_batch_is_5_percent_of_all_voxels_at_most() -> None:
    """200 · 63,000 · 5 % = 630,000 voxels are three times two patches of 89,600; the memory would hold 49."""
    planned = plan(images(200, (35, 50, 36), (1, 1, 1)), GPU)
    assert value(planned, "training", "batch_size") == 3
    assert "49 would fit the memory, and 3 are 5% of all voxels" in planned["training"]["batch_size"].why


def test_on_a_processor_a_step_has_a_whole_image_or_two_patches_of_one() -> None:
    """64³ is above 131,072 voxels, so that a patch is a part of it; two patches of a whole image would be the same."""
    keys = ("batch_size", "patches_per_volume")
    whole, part = (plan(images(20, size, (1, 1, 1)), CPU) for size in ((35, 50, 36), (64, 64, 64)))
    assert [value(whole, "training", key) for key in keys] == [1, 1]
    assert [value(part, "training", key) for key in keys] == [1, 2]


def test_slices_are_coarser_on_a_processor_but_not_more_than_twice() -> None:
    """CT of 512 x 512 would have to be 4.3 times as coarse to have 120 x 120 pixels."""
    small, large = (images(20, (side, side, 12), (0.8, 0.8, 5)) for side in (100, 512))
    assert "spacing_mm" not in plan(small, CPU)["preprocessing"]
    assert value(plan(large, CPU), "preprocessing", "spacing_mm") == [1.6, 1.6, 5]
    assert value(plan(large, CPU), "training", "patch_size") == [256, 256, 1]
    assert "spacing_mm" not in plan(large, GPU)["preprocessing"]


def test_slices_get_as_much_of_the_processor_as_volumes() -> None:
    """A step of 65,536 voxels, at 3.6 times the time of those of a volume, is 292,930 of 94,480,000: 322.5 steps."""
    planned = plan(images(20, (200, 200, 12), (1, 1, 7)), CPU)
    assert value(planned, "training", "sampling") == "slices"
    assert (value(planned, "training", "epochs"), value(planned, "training", "steps_per_epoch")) == (40, 8)


def test_on_a_processor_a_training_has_the_work_of_quick() -> None:
    planned, quick = plan(images(200, (35, 50, 36), (1, 1, 1)), CPU), load_recipe("quick")
    step = quick.training.patches_per_volume * math.prod(quick.training.patch_size)
    assert (step, quick.training.epochs * (quick.training.steps_per_epoch or 0)) == (179_200, 400)
    # 400 · (57,000 + 179,200) = 94,480,000, and a step of one whole image is 57,000 + 67,392: 759 steps.
    assert (value(planned, "training", "epochs"), value(planned, "training", "steps_per_epoch")) == (40, 19)


def test_images_of_one_spacing_are_not_resampled() -> None:
    assert "spacing_mm" not in plan(images(9, (64, 64, 64), (1, 1, 1.2)), CPU)["preprocessing"]
    shapes = tuple(ImageShape((64, 64, 64), (1, 1, apart)) for apart in (1.0, 1.2, 1.3))
    mixed = Fingerprint(shapes, shapes, False, (0.0, 1.0), None, 3)
    assert value(plan(mixed, CPU), "preprocessing", "spacing_mm") == [1, 1, 1.2]


def test_ct_has_an_intensity_window_and_other_images_are_z_scored() -> None:
    ct = plan(images(9, (64, 64, 64), (1, 1, 1), is_ct=True, window=(-17.04, 201.0)), CPU)
    assert value(ct, "preprocessing", "window_hu") == [-17.0, 201.0]
    assert "of the foreground of 9 images" in ct["preprocessing"]["window_hu"].why
    unlabelled = plan(images(9, (64, 64, 64), (1, 1, 1), is_ct=True, foreground_share=None), CPU)
    assert "nobody drew" in unlabelled["preprocessing"]["window_hu"].why
    assert value(plan(images(9, (64, 64, 64), (1, 1, 1)), CPU), "preprocessing", "intensity") == "zscore"


SIZES: tuple[Size, ...] = ((9, 9, 3), (35, 50, 36), (240, 240, 155), (512, 512, 90), (512, 512, 700), (300, 20, 300))


@pytest.mark.parametrize(("size", "thickness", "machine"), itertools.product(SIZES, (1.0, 3.0, 8.0), (CPU, GPU)))
def test_whatever_images_are_like_the_recipe_is_one(
    size: Size, thickness: float, machine: Machine, tmp_path: Path
) -> None:
    data = images(30, size, (1, 1, thickness), is_ct=True, window=(-100.0, 200.0))
    planned = plan(data, machine)
    text = as_toml("mine", planned, data, machine)
    (tmp_path / "mine.toml").write_text(text)
    recipe = load_recipe(str(tmp_path / "mine.toml"))
    build_network(recipe.network, classes=2)
    factor = math.prod(recipe.network.strides)
    across = {"unet": factor, "unet2d": 1, "anisotropic_unet": max(1, factor // 4)}[recipe.network.kind]
    steps = (factor, factor, across)
    assert not any(length % step for length, step in zip(recipe.training.patch_size, steps, strict=True))
    assert recipe.prediction.window_size == recipe.training.patch_size
    sections = tomllib.loads(text)
    assert all(planned[section].keys() == sections[section].keys() for section in planned)
    numbers = [line for line in text.split("[network]")[1].splitlines() if " = " in line]
    assert all(line.partition("# ")[2] for line in numbers), "each says why"


def test_without_an_image_there_is_no_plan() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        plan(Fingerprint((), (), False, (0, 1), None, 0), CPU)
