"""The shape of a recipe: every number of a method, typed, named and frozen.

A recipe is a TOML file in this folder (or one of the user's own). Reading it checks every key, so that a misspelt one
is an error that names the known ones, not a silent default.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Size3D = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
Spacing3D = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkSettings(_Section):
    """Which network, and its size. `channels` has one entry a level, `strides` one less.

    Networks that work in the plane, `unet2d` and the upper levels of `anisotropic_unet`, take a stride for the first
    two axes only.
    """

    kind: str = "unet"
    channels: tuple[int, ...] = (32, 64, 128, 256)
    strides: tuple[int, ...] = (2, 2, 2)
    residual_units: int = 2
    dropout: Fraction = 0.5
    normalisation: Literal["instance", "batch"] = "instance"


class PreprocessingSettings(_Section):
    """From a file to the network's grid and range. `spacing_mm` left out keeps each image's own voxels.

    `slice_plane` is the plane in which images are annotated, by default the one in which each was acquired. With
    `slices_last` the axis across it is the last one that the network sees, as networks want it that work in the plane;
    `spacing_mm` then says in-plane, in-plane, through-plane.
    """

    orientation: Literal["RAS", "LPS"] = "RAS"
    spacing_mm: Spacing3D | None = None
    intensity: Literal["auto", "window", "zscore"] = "auto"
    window_hu: tuple[float, float] = (-160.0, 240.0)
    slice_plane: Literal["acquisition", "sagittal", "coronal", "axial"] = "acquisition"
    slices_last: bool = False


class TrainingSettings(_Section):
    """How a model version is made from the annotated cases.

    A step of the optimiser learns from `patches_per_volume` patches of each of `batch_size` cases. Of two patches or
    more of a case, one holds foreground if the case has any (chlebus2022, II.B). An epoch visits each case once, or
    makes `steps_per_epoch` steps. `patience` is after how many validations without a better one training ends.
    `from_previous` begins with the weights of the model in use. Without `weight_decay` the optimiser, AdamW, is Adam.
    """

    epochs: int = Field(ge=1)
    steps_per_epoch: int | None = Field(default=None, ge=1)
    batch_size: int = Field(ge=1)
    patch_size: Size3D
    patches_per_volume: int = Field(default=2, ge=1)
    learning_rate: float = Field(gt=0)
    learning_rate_decay: bool = True
    weight_decay: float = Field(default=0.01, ge=0)
    loss: Literal["bce", "dice", "dice_ce", "partial_dice"] = "dice_ce"
    augmentation: Literal["none", "scan", "blur_rotate_flip"] = "scan"
    from_previous: bool = False
    validate_every: int = Field(default=1, ge=1)
    validation_cases: int = Field(default=3, ge=0)
    best_by: Literal["dice", "jaccard"] = "dice"
    patience: int | None = Field(default=None, ge=1)


class RegionSettings(_Section):
    """Which voxels count for a score: thresholds of ma2024's target and boundary, and chlebus2022's dilation.

    ma2024 gives no value for its two thresholds. Its released code has some for three of the five base methods (margin,
    BALD, MC dropout), between 0.17 and 0.31 for the target and 0.08 and 0.11 for the boundary; the defaults lie inside.
    """

    target_threshold: Fraction = 0.25
    boundary_width: Fraction = 0.1
    dilation_kernel: int = Field(default=11, ge=1)


class PredictionSettings(_Section):
    """How a network is run over a volume, and how often for Monte Carlo dropout.

    With `racing`, only volumes that can still be among those asked for next get all `repeats`.
    """

    repeats: int = Field(ge=1)
    window_size: Size3D
    window_overlap: Fraction = 0.25
    skip_outside_body: bool = True
    racing: bool = False


class QuerySettings(_Section):
    """What is asked of the annotator: `start` volumes or slices before the first model, then `size` a round.

    `start` counts what `start_strategy` asks for, `size` what `strategy` asks for. Peaks of a slice profile are at
    least `min_slice_distance` slices apart (chlebus2022, II.E); `strided_slices` asks for every `slice_stride`-th slice.
    """

    strategy: str
    start: int = Field(ge=1)
    size: int = Field(ge=1)
    start_strategy: Literal["random_volumes", "random_slices", "strided_slices"] = "random_volumes"
    min_slice_distance: int = Field(default=5, ge=1)
    slice_stride: int = Field(default=5, ge=1)

    @property
    def asks_slices(self) -> bool:
        """Whether a round asks for slices, not for volumes."""
        return asks_slices(self.strategy)

    @property
    def starts_with_slices(self) -> bool:
        """Whether slices are asked for before the first model."""
        return asks_slices(self.start_strategy)


def asks_slices(strategy: str) -> bool:
    """Whether a strategy of this name asks for slices: the names of all that do end so."""
    return strategy.endswith("_slices")


class Recipe(_Section):
    """A named set of all of these: one method, ready to run."""

    name: str
    title: str
    source: str
    network: NetworkSettings = NetworkSettings()
    preprocessing: PreprocessingSettings = PreprocessingSettings()
    training: TrainingSettings
    prediction: PredictionSettings
    regions: RegionSettings = RegionSettings()
    query: QuerySettings
