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
    """Which network, and its size. `channels` has one entry a level, `strides` one less."""

    kind: str = "unet"
    channels: tuple[int, ...] = (32, 64, 128, 256)
    strides: tuple[int, ...] = (2, 2, 2)
    residual_units: int = 2
    dropout: Fraction = 0.5
    normalisation: Literal["instance", "batch"] = "instance"


class PreprocessingSettings(_Section):
    """From a file to the network's grid and range. `spacing_mm` left out keeps each image's own voxels."""

    orientation: Literal["RAS", "LPS"] = "RAS"
    spacing_mm: Spacing3D | None = None
    intensity: Literal["auto", "window", "zscore"] = "auto"
    window_hu: tuple[float, float] = (-160.0, 240.0)


class TrainingSettings(_Section):
    """How a model version is made from the annotated cases."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    patch_size: Size3D
    patches_per_volume: int = Field(default=2, ge=1)
    learning_rate: float = Field(gt=0)
    loss: Literal["dice_ce", "dice"] = "dice_ce"
    augment: bool = True
    validate_every: int = Field(default=1, ge=1)
    validation_cases: int = Field(default=3, ge=0)


class RegionSettings(_Section):
    """Which voxels count for a score: thresholds of ma2024's target and boundary, and chlebus2022's dilation.

    ma2024 gives no value for its two thresholds. Its released code has other ones for every base method, between 0.17
    and 0.31 for the target and 0.08 and 0.11 for the boundary; the defaults lie inside both ranges.
    """

    target_threshold: Fraction = 0.25
    boundary_width: Fraction = 0.1
    dilation_kernel: int = Field(default=11, ge=1)


class PredictionSettings(_Section):
    """How a network is run over a volume, and how often for Monte Carlo dropout."""

    repeats: int = Field(ge=1)
    window_size: Size3D
    window_overlap: Fraction = 0.25
    skip_outside_body: bool = True


class QuerySettings(_Section):
    """What is asked of the annotator: `start` cases before the first model, then `size` a round."""

    strategy: str
    start: int = Field(ge=1)
    size: int = Field(ge=1)


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
