"""The sections of a recipe for preprocessing, training, prediction and scores."""

import itertools
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from activelabel.recipes.section import Fraction, Margin3D, OddLength, Section, Share, Size3D, Spacing3D

Intensity = Literal["auto", "window", "zscore"]
Loss = Literal["bce", "dice", "dice_ce", "patch_dice_ce", "partial_dice"]
Augmentation = Literal["none", "scan", "blur_rotate_flip", "intensity"]
_AUGMENTATION = (
    "how patches are changed at random: `none`; `scan` turns and scales a little, changes gain and adds noise; "
    "`blur_rotate_flip` works within slices (ma2024, 3.1); `intensity` leaves voxels where they are (nath2022, 4.1)"
)
_LOSS = "the loss: `bce`, `dice`, `dice_ce`, `patch_dice_ce` or `partial_dice` (chlebus2022, eq. 1)"


def _require_width(window: tuple[float, float]) -> tuple[float, float]:
    if window[0] >= window[1]:
        raise ValueError("the first must be below the second")
    return window


class PreprocessingSettings(Section):
    """How an image file becomes the network's input."""

    orientation: Literal["RAS", "LPS"] = Field(
        default="RAS", description="the orientation of the axes that the network sees: `RAS` or `LPS`"
    )
    spacing_mm: Spacing3D | None = Field(
        default=None,
        description="the voxel size to which images are resampled, in mm; without it each image keeps its own. With "
        "`slices_last` it is in-plane, in-plane, through-plane",
    )
    intensity: Intensity | Annotated[tuple[Intensity, ...], Field(min_length=1)] = Field(
        default="auto",
        description="`window` clips and scales Hounsfield units, `zscore` normalises each image; `auto` takes `window` "
        "for CT and `zscore` for everything else. A list has one of them for each of the `channels`",
    )
    window_hu: Annotated[tuple[float, float], AfterValidator(_require_width)] = Field(
        default=(-160.0, 240.0), description="the lowest and highest Hounsfield unit of the window"
    )
    slice_plane: Literal["acquisition", "sagittal", "coronal", "axial"] = Field(
        default="acquisition",
        description="the plane in which slices are annotated; `acquisition` is the one in which an image was acquired",
    )
    slices_last: bool = Field(
        default=False,
        description="whether the axis across the slices is the last one that the network sees, as networks need "
        "that work in the plane",
    )

    def intensities(self, channels: int) -> tuple[Intensity, ...]:
        """The intensity setting of each of so many channels; as many as there are if the settings list them."""
        return self.intensity if isinstance(self.intensity, tuple) else (self.intensity,) * channels

    @property
    def decides_itself(self) -> bool:
        """Whether the intensity setting of any channel is `auto`."""
        return "auto" in self.intensities(1)


def _require_rising(pairs: tuple[tuple[float, int], ...]) -> tuple[tuple[float, int], ...]:
    for column in zip(*((0, 0), *pairs), strict=True):
        if any(after <= before for before, after in itertools.pairwise(column)):
            raise ValueError("efforts and steps must be above 0 and rise from pair to pair")
    return pairs


StepsByEffort = Annotated[tuple[tuple[float, int], ...], Field(min_length=1), AfterValidator(_require_rising)]


class TrainingSettings(Section):
    """How a model version is made from the annotated cases.

    Of two or more patches of a case, one holds foreground (chlebus2022, II.B): the case's own, or another case's if it
    has none. With `sampling` by `slices`, one patch lies around the slice, and the first of two or more patches holds
    foreground of any case.
    """

    epochs: int = Field(ge=1, description="how many epochs a training has")
    steps_per_epoch: int | None = Field(
        default=None, ge=1, description="steps of the optimiser an epoch; without it an epoch visits each case once"
    )
    steps_by_effort: StepsByEffort | None = Field(
        default=None,
        description="pairs of effort and steps of a whole training, both rising; in between, and from (0, 0) to the "
        "first pair, steps are interpolated, and after the last pair they stay. Effort is in units of chlebus2022 "
        "(IV): a foreground slice that was asked for by itself is 1, one of a whole volume 1/3. The steps are spread "
        "over `epochs`",
    )
    sampling: Literal["volumes", "slices"] = Field(
        default="volumes",
        description="what a step draws: cases (`volumes`), or annotated slices of all cases, all equally likely "
        "(`slices`, which needs `preprocessing.slices_last`; an epoch then visits each slice once)",
    )
    batch_size: int = Field(ge=1, description="cases, or slices, of a step")
    patch_size: Size3D = Field(description="the size of a patch, in voxels")
    patches_per_volume: int = Field(
        default=2, ge=1, description="patches of each case of a step, or of each slice with `sampling` by `slices`"
    )
    foreground_share: Share | None = Field(
        default=None,
        description="the share of all patches that lie around foreground; the others lie around background "
        "(nath2022, 4.2)",
    )
    learning_rate: float = Field(gt=0, description="the learning rate at the first step")
    learning_rate_decay: bool = Field(
        default=True, description="whether the learning rate falls during a training, or stays as it is"
    )
    weight_decay: float = Field(
        default=0.01, ge=0, description="weight decay of the optimiser, AdamW; with 0 it is Adam"
    )
    loss: Loss = Field(default="dice_ce", description=_LOSS)
    augmentation: Augmentation = Field(default="scan", description=_AUGMENTATION)
    from_previous: bool = Field(
        default=False, description="whether a training begins with the weights of the model in use, or from scratch"
    )
    continued_share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="with `from_previous`: the epochs of such a training as a share of `epochs`; without it, all",
    )
    continued_learning_rate: float | None = Field(
        default=None,
        gt=0,
        description="with `from_previous`: the learning rate at the first step of such a training; without it, "
        "`learning_rate`",
    )
    replay_share: Share | None = Field(
        default=None,
        description="with `from_previous`: the share of steps on cases whose labels the model in use has learnt; the "
        "other steps are on new labels. Without it, all cases are equally frequent",
    )
    shrink: Share | None = Field(
        default=None,
        description="with `from_previous`: the weights of the model in use are multiplied by this, and random ones, "
        "multiplied by the rest, are added; without it, they stay as they are",
    )
    validate_every: int = Field(default=1, ge=1, description="epochs between two validations")
    validate_every_steps: int | None = Field(
        default=None,
        ge=1,
        description="steps between two validations, instead of epochs; a training with fewer validates at its end",
    )
    validation_cases: int = Field(
        default=3, ge=0, description="how many images are set aside to judge models; they are never trained on"
    )
    best_by: Literal["dice", "jaccard"] = Field(
        default="dice", description="the metric by which the best epoch of a training is kept: `dice` or `jaccard`"
    )
    patience: int | None = Field(
        default=None, ge=1, description="a training ends after so many validations without a better one"
    )


class ProxySettings(Section):
    """The proxy task, which ranks a pool without labels. Its defaults are the numbers of nath2022 (3.1, 4.2).

    The network is the recipe's, including its dropout, with two classes; images are prepared as for the task.
    """

    modality: Literal["auto", "ct", "other"] = Field(
        default="auto",
        description="`ct`: the pseudo-label is the tissue within `level_hu` ± `window_hu` / 2; `other`: a foreground "
        "by intensity; `auto` finds out image by image",
    )
    window_hu: float = Field(
        default=50.0,
        gt=0,
        allow_inf_nan=False,
        description="the width of the pseudo-label's window, in Hounsfield units",
    )
    level_hu: float = Field(
        default=125.0, allow_inf_nan=False, description="the middle of the pseudo-label's window, in Hounsfield units"
    )
    epochs: int = Field(default=100, ge=1, description="how many epochs the training of the proxy model has")
    batch_size: int = Field(default=1, ge=1, description="cases of a step")
    patch_size: Size3D = Field(default=(96, 96, 96), description="the size of a patch, in voxels")
    patches_per_volume: int = Field(default=2, ge=1, description="patches of each case of a step")
    learning_rate: float = Field(default=1e-4, gt=0, description="the learning rate")
    loss: Loss = Field(default="patch_dice_ce", description=_LOSS)
    augmentation: Augmentation = Field(default="intensity", description=_AUGMENTATION)
    validate_every: int = Field(default=5, ge=1, description="epochs between two validations")
    repeats: int = Field(default=10, ge=1, description="Monte Carlo repeats of the proxy model that rank the pool")
    measure: Literal["variance", "entropy"] = Field(
        default="variance", description="the measure whose mean ranks the pool: `variance` or `entropy`"
    )
    cold_start: Literal["none", "proxy_rank", "typiclust", "coreset"] = Field(
        default="proxy_rank",
        description="what asks for the first queries: `proxy_rank` takes the largest mean measure, `typiclust` and "
        "`coreset` a spread over the proxy model's features, `none` leaves them to `query.start_strategy`",
    )
    pretrained_weights: bool = Field(
        default=True,
        description="whether each training of the task begins with all layers of the proxy model but the last",
    )


class SemiSupervisedSettings(Section):
    """The second stage of a round, which learns from unannotated volumes too. Defaults: nath2022 (3.3, 4.2)."""

    enabled: bool = Field(default=True, description="whether a round has this stage")
    steps: int = Field(default=2000, ge=1, description="steps of the optimiser")
    learning_rate: float = Field(default=1e-4, gt=0, description="the learning rate")
    measure: Literal["variance", "entropy"] = Field(
        default="variance",
        description="the measure whose mean says which volumes are most certain, from which the stage learns; the "
        "paper does not name it",
    )
    threshold: Fraction = Field(
        default=0.9,
        description="a voxel of a noisy label is foreground where the probability of a foreground class is above this",
    )
    foreground_share: Share = Field(default=0.9, description="the share of patches that lie around such voxels")
    alpha: float = Field(default=1.0, ge=0, description="the weight of the supervised loss in a step's loss")
    beta: float = Field(
        default=0.001,
        ge=0,
        description="the weight of the consistency between a patch as it is and under `augmentation`",
    )
    augmentation: Literal["intensity"] = Field(
        default="intensity", description="how the second view of a patch is made: `intensity` leaves voxels in place"
    )


class RegionSettings(Section):
    """Which voxels count for a score.

    ma2024 gives no values for its two thresholds. Its released code has values for three of the five base methods
    (margin, BALD, MC dropout): 0.17 to 0.31 for the target and 0.08 to 0.11 for the boundary. The defaults lie inside.
    """

    target_threshold: Fraction = Field(
        default=0.25, description="region `target`: the least foreground probability of a voxel (ma2024, eq. 1)"
    )
    boundary_width: Fraction = Field(
        default=0.1,
        description="region `boundary`: half the largest difference of the two largest probabilities (ma2024, eq. 2)",
    )
    dilation_kernel: OddLength = Field(
        default=11,
        description="region `dilated_foreground`: the side of the dilation's cube, an odd number of voxels",
    )
    object_kernel: OddLength = Field(
        default=11, description="region `object`: the side of the dilation's cube, an odd number of voxels"
    )


class PredictionSettings(Section):
    """How a network is run over a volume, and how often for Monte Carlo dropout."""

    repeats: int = Field(
        ge=0,
        description="Monte Carlo repeats; 0 is a single pass with dropout off, which the entropy, least confidence and "
        "margin of ma2024 (3.3) use",
    )
    window_size: Size3D = Field(description="the size of a window, in voxels")
    window_overlap: Fraction = Field(default=0.25, description="the share of a window that overlaps the next one")
    window_margin: Margin3D = Field(
        default=(0, 0, 0),
        description="how many voxels windows reach beyond the ends of a volume, which is reflected there; without it "
        "the ends see the zeros with which convolutions pad a window, and scores of end slices are too large",
    )
    skip_outside_body: bool = Field(
        default=True,
        description="whether constant windows, which lie outside the body, are passed over and count as background",
    )
    random_layers: int | None = Field(
        default=None,
        ge=1,
        description="how many of the network's dropout layers, counted from its output, are random in the repeats; "
        "what lies before them runs once for all repeats. By default all are",
    )
    racing: bool = Field(
        default=False,
        description="whether only volumes that can still be among those asked for next get all `repeats`",
    )
