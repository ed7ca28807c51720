"""The numbers that the four papers give for their methods, with their places; not taken from the recipes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Reading = Callable[..., Any]


@dataclass(frozen=True)
class Stated:
    """A number of a paper, its place in the paper, and the keys of the recipe that hold it.

    `reading` computes the paper's number from the values of the keys if these are not the number itself.
    """

    keys: tuple[str, ...]
    value: object
    where: str
    reading: Reading = lambda value: value


def one(key: str, value: object, where: str) -> Stated:
    return Stated((key,), value, where)


def product(keys: Sequence[str], value: object, where: str) -> Stated:
    return Stated(tuple(keys), value, where, lambda *values: math.prod(values))


def margins(strides: Sequence[int]) -> tuple[int, int]:
    """Return the margin that valid convolutions remove in the plane and across it: two per level down and up."""
    factors = [math.prod(strides[:level]) for level in range(len(strides) + 1)]
    across = [math.prod(strides[2:level]) for level in range(len(strides) + 1)]
    return (
        sum(4 * factor for factor in factors[:-1]) + 2 * factors[-1],
        sum(4 * factor for factor in across[2:-1]) + 2 * across[-1],
    )


ADAM = 0.0
"""The weight decay of Adam."""

RAHIMI2022 = (
    one("network.kind", "unet", "II"),  # "We choose 3D U-Nets as the architecture for segmentation"
    one("network.dropout", 0.5, "III"),  # "with dropout probability, p=0.5"
    one("training.epochs", 24, "III"),  # "with 24 training epochs per run"
    one("training.validation_cases", 6, "III"),  # "22 images for training, 22 for testing, and 6 for validation set"
    one("prediction.repeats", 5, "III"),  # "by running inference T=5 times"
    one("query.strategy", "variance", "II"),  # eq. 1, "sum up all the pixel uncertainty values for the whole 3D image"
    one("query.start_strategy", "random_volumes", "III"),  # "our network on 11 randomly selected images"
    one("query.start", 11, "III"),
    one("query.size", 5, "III"),  # "select 5 images with the highest total uncertainties"
)

NATH2022 = (
    one("network.kind", "residual_unet", "3"),  # "residual blocks at every level"
    one("network.dropout", 0.2, "4.2"),  # "the dropout ratio was set to 0.2"
    one("preprocessing.spacing_mm", (1.5, 1.5, 2.0), "4.1"),  # "re-sampled to 1.5x1.5x2 mm3 spacing"
    one("proxy.window_hu", 50, "3.1"),  # "W:50 L:125"
    one("proxy.level_hu", 125, "3.1"),
    one("proxy.epochs", 100, "4.2"),  # "trained for 100 epochs on all data"
    one("proxy.patch_size", (96, 96, 96), "4.2"),  # "Cubic patch size of 96x96x96"
    one("proxy.learning_rate", 1e-4, "4.2"),  # "Learning rate was set to 1e-4"
    one("proxy.loss", "patch_dice_ce", "3.1"),  # "Dice and Cross-entropy (DiceCE) loss"; "MONAI v0.8"
    one("proxy.augmentation", "intensity", "4.1"),  # "shifting, scaling intensity and gaussian noise"
    one("proxy.validate_every", 5, "4.2"),  # "The validation frequency was once every 5 epochs"
    one("proxy.repeats", 10, "4.2"),  # "m was set to 10"
    one("proxy.cold_start", "proxy_rank", "3.1"),  # "The most uncertain volumes are selected for the initial pool"
    one("proxy.pretrained_weights", True, "3.2"),  # "uses all the layers of the pre-trained checkpoint"
    product(["training.epochs", "training.steps_per_epoch"], 2000, "4.2"),  # "2,000 steps were used for both datasets"
    one("training.patch_size", (96, 96, 96), "4.2"),  # "kept consistent with proxy task hyper-parameters"
    one("training.foreground_share", 1 / 2, "4.2"),  # "a foreground and background ratio of 1:1"
    one("training.learning_rate", 1e-4, "4.2"),
    one("training.weight_decay", ADAM, "4.2"),  # "Adam optimizer was used"
    one("training.loss", "patch_dice_ce", "3.2"),  # "as defined in section 3.1 is used for training"
    one("training.augmentation", "intensity", "4.1"),
    one("training.from_previous", False, "3.2"),  # "the pre-trained checkpoint from the proxy task"
    one("training.validation_cases", 26, "4.1"),  # "105 volumes for training and 26 for validation"
    one("semi_supervised.enabled", True, "3.3"),
    one("semi_supervised.steps", 2000, "4.2"),
    one("semi_supervised.learning_rate", 1e-4, "4.2"),
    one("semi_supervised.threshold", 0.9, "4.2"),  # "The threshold tau for probability maps p(xi) was set to 0.9"
    one("semi_supervised.foreground_share", 9 / 10, "4.2"),  # "this ratio was kept at 9:1"
    one("semi_supervised.alpha", 1, "4.2"),  # "alpha and beta were set to 1 and 0.001"
    one("semi_supervised.beta", 0.001, "4.2"),
    one("prediction.repeats", 10, "4.2"),
    one("query.strategy", "mean_variance", "3.4"),  # "we use the mean across all the 3D voxels"
    one("query.start_strategy", "random_volumes", "4.2"),
    one("query.start", 5, "4.2"),  # "k was set to 5 volumes"
    one("query.size", 5, "4.2"),
)

USS = {"slices": (1410, 1610, 1810, 2010, 2210, 2410), "liver": (501, 669, 797, 947, 1123, 1292)}
"""Table 2, the column of USS: annotated slices and liver slices of the initial model and after each round."""
USS_STEPS = (12000, 40000, 61000, 71000, 91000, 98000)
"""Table 3, the column of USS, the initial model first."""
POOL_LIVER_SLICES, POOL_STEPS = 26400, 825000
"""Tables 2 and 3, the whole data pool."""


def table_3() -> tuple[tuple[float, int], ...]:
    """Return steps by effort: a liver slice of a whole volume costs a third (IV, 1), one asked for alone costs 1."""
    whole = USS["liver"][0] / 3
    efforts = [whole + liver - USS["liver"][0] for liver in USS["liver"]]
    pairs = [*zip(efforts, USS_STEPS, strict=True), (POOL_LIVER_SLICES / 3, POOL_STEPS)]
    return tuple((float(round(effort)), steps) for effort, steps in pairs)


CHLEBUS2022 = (
    one("network.kind", "anisotropic_unet", "II.A"),  # fig. 1
    Stated(("network.strides",), (92, 20), "II.B", margins),  # "92 voxels along x and y and 20 along z"
    one("network.residual_units", 0, "II.A"),
    one("network.dropout", 0.25, "II.A"),  # "with a drop rate p = 0.25"
    one("network.normalisation", "batch", "II.A"),  # "followed by batch normalisation and ReLU"
    one("network.upsampling", "transposed", "II.A"),  # "Max pooling (transposed 3D conv) layers"
    one("preprocessing.spacing_mm", (1.0, 1.0, 1.5), "II.C"),  # "1.0 mm x 1.0 mm x 1.5 mm voxel size"
    one("training.epochs", 30, "IV.A"),  # "All models were trained for a max of 30 epochs"
    one("training.steps_by_effort", table_3(), "V"),
    product(["training.batch_size", "training.patches_per_volume"], 2, "II.B"),  # "a mini-batch size of 2"
    one("training.learning_rate", 1e-5, "II.B"),  # "the Adam optimizer with 10^-5 learning rate"
    one("training.weight_decay", ADAM, "II.B"),
    one("training.loss", "partial_dice", "II.B"),  # eq. 1
    one("training.from_previous", False, "IV.A"),  # "we trained a model from scratch"
    one("training.validate_every_steps", 1000, "II.B"),  # "applied to the validation data every 1000 iterations"
    one("training.best_by", "jaccard", "II.B"),  # "the best model according to the Jaccard index"
    one("training.validation_cases", 10, "III"),  # "240, 10, and 234 cases"
    one("prediction.repeats", 20, "II.D"),  # "n = 20 samples via MC dropout"
    one("regions.dilation_kernel", 11, "II.D"),  # "11 x 11 x 11 kernel"
    one("query.strategy", "uncertainty_slices", "II.E"),
    one("query.start", 5, "IV.A"),  # "a model trained on five fully annotated cases"
    one("query.size", 200, "V.A"),  # "NS = 200 (576/3) slices"
    one("query.volumes", 5, "IV.A"),  # "we added five volumes to the training set in each iteration"
    one("query.random_until_foreground", True, "IV.A"),  # "random slices until NS liver slices were selected"
    one("query.min_slice_distance", 5, "II.E"),  # "a minimum distance between peaks to be five slices"
)

MA2024 = (
    one("network.kind", "unet2d", "3.1"),  # "a designed Unet"
    one("training.epochs", 100, "3.1"),  # "with a maximum epoch of 100"
    one("training.sampling", "slices", "3.1"),  # "we adopted 2D slices"
    product(["training.batch_size", "training.patches_per_volume"], 32, "3.1"),  # "Batch sizes of 32 and 16"
    one("training.learning_rate", 0.0001, "3.1"),  # "Adam optimizer was utilized with a learning rate of 0.0001"
    one("training.weight_decay", ADAM, "3.1"),
    one("training.loss", "bce", "3.1"),  # "with BCE loss"
    one("training.augmentation", "blur_rotate_flip", "3.1"),  # "Gaussian blur, rotations, and flips"
    one("training.from_previous", True, "3.1"),  # "fine-tuned based on the previous round"
    one("prediction.repeats", 0, "3.3"),  # "picks samples with maximum prediction entropy"
    one("query.strategy", "selective_entropy_slices", "2.1.3"),
    one("query.start", 500, "3.1"),  # "The initial data size for BraTS and MSD is 500 and 150"
    one("query.size", 100, "3.1"),  # "with 100 and 50 queries per cycle"
    one("query.random_until_foreground", False, "3.3"),  # "but with many blank slices"
)

PAPERS: Mapping[str, tuple[Stated, ...]] = {
    "rahimi2022": RAHIMI2022,
    "nath2022": NATH2022,
    "chlebus2022": CHLEBUS2022,
    "ma2024": MA2024,
}
