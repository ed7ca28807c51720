"""The shape of a recipe: every number of a method, typed, named and frozen.

A recipe is a TOML file in this folder (or one of the user's own). Reading it checks every key, so that a misspelt one
is an error that names the known ones, not a silent default.
"""

import itertools
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from activelabel.recipes.strategy_traits import TRAITS, Needs, traits_of

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Size3D = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
Margin3D = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
LEAST_REPEATS = 2
"""With fewer, variance and mutual information are 0 everywhere."""
Loss = Literal["bce", "dice", "dice_ce", "patch_dice_ce", "partial_dice"]
Spacing3D = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkSettings(_Section):
    """Which network, and its size. `channels` has one entry a level, `strides` one less.

    Networks that work in the plane, `unet2d` and the upper levels of `anisotropic_unet`, take a stride for the first
    two axes only. `upsampling` says what leads up in a `unet` or `unet2d`: MONAI's transposed convolutions, whose
    kernel is larger than their stride and leaves a grid in what is predicted, or `smoothed` ones, which leave none.
    """

    kind: str = "unet"
    channels: tuple[int, ...] = (32, 64, 128, 256)
    strides: tuple[int, ...] = (2, 2, 2)
    residual_units: int = 2
    dropout: Fraction = 0.5
    normalisation: Literal["instance", "batch"] = "instance"
    upsampling: Literal["transposed", "smoothed"] = "transposed"


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


def _rising(pairs: tuple[tuple[float, int], ...]) -> tuple[tuple[float, int], ...]:
    for column in zip(*((0, 0), *pairs), strict=True):
        if any(after <= before for before, after in itertools.pairwise(column)):
            raise ValueError("efforts and steps must be above 0 and rise from pair to pair")
    return pairs


StepsByEffort = Annotated[tuple[tuple[float, int], ...], Field(min_length=1), AfterValidator(_rising)]


class TrainingSettings(_Section):
    """How a model version is made from the annotated cases.

    A step of the optimiser learns from `patches_per_volume` patches of each of `batch_size` cases. Of two patches or
    more, one holds foreground (chlebus2022, II.B): the case's own, or another case's if nothing is drawn in it. An
    epoch visits each case once, or makes `steps_per_epoch` steps. `patience` is after how many validations without a
    better one training ends. `from_previous` begins with the weights of the model in use. Without `weight_decay` the
    optimiser, AdamW, is Adam. With a `foreground_share`, that share of all patches lies around foreground and the rest
    around background (nath2022, 4.2), whatever `patches_per_volume` is.

    With `sampling` by `slices`, what is drawn is an annotated slice, all of all cases equally likely, instead of a
    case: a step learns from `patches_per_volume` patches for each of `batch_size` slices, and an epoch visits each
    slice once. One of them lies around the slice; of two or more, the first holds foreground of any case. It needs
    `preprocessing.slices_last`.

    `steps_by_effort` says how many steps a training has in all, by the effort of what it learns from, in the units of
    chlebus2022 (IV): a foreground slice that was asked for by itself is 1, one of a whole volume 1/3. Its pairs are
    effort and steps, both rising; between two, and from (0, 0) to the first, the steps lie on a line, and after the
    last they stay. They are spread over the `epochs`. `validate_every_steps` validates after so many steps, not after
    `validate_every` epochs; where a training has fewer, at its end.
    """

    epochs: int = Field(ge=1)
    steps_per_epoch: int | None = Field(default=None, ge=1)
    steps_by_effort: StepsByEffort | None = None
    sampling: Literal["volumes", "slices"] = "volumes"
    batch_size: int = Field(ge=1)
    patch_size: Size3D
    patches_per_volume: int = Field(default=2, ge=1)
    foreground_share: Share | None = None
    learning_rate: float = Field(gt=0)
    learning_rate_decay: bool = True
    weight_decay: float = Field(default=0.01, ge=0)
    loss: Loss = "dice_ce"
    augmentation: Literal["none", "scan", "blur_rotate_flip", "intensity"] = "scan"
    from_previous: bool = False
    validate_every: int = Field(default=1, ge=1)
    validate_every_steps: int | None = Field(default=None, ge=1)
    validation_cases: int = Field(default=3, ge=0)
    best_by: Literal["dice", "jaccard"] = "dice"
    patience: int | None = Field(default=None, ge=1)


class ProxySettings(_Section):
    """The proxy task, which ranks a pool without a single label; by default with the numbers of nath2022 (3.1, 4.2).

    Of CT images the pseudo-label is the tissue within `level_hu` ± `window_hu` / 2, of others a foreground by
    intensity; `modality` says which they are, `auto` finds out image by image. The network is the recipe's with two
    classes, its dropout included, and the images are prepared as for the task.

    `cold_start` is what asks for the first queries: the largest mean `measure` over `repeats` Monte Carlo repeats of
    the proxy model (`proxy_rank`), or a spread over its features; `none` leaves them to `query.start_strategy`. With
    `pretrained_weights`, each training of the task begins with all layers of the proxy model but the last.
    """

    modality: Literal["auto", "ct", "other"] = "auto"
    window_hu: float = Field(default=50.0, gt=0, allow_inf_nan=False)
    level_hu: float = Field(default=125.0, allow_inf_nan=False)
    epochs: int = Field(default=100, ge=1)
    batch_size: int = Field(default=1, ge=1)
    patch_size: Size3D = (96, 96, 96)
    patches_per_volume: int = Field(default=2, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    loss: Loss = "patch_dice_ce"
    augmentation: Literal["none", "scan", "blur_rotate_flip", "intensity"] = "intensity"
    validate_every: int = Field(default=5, ge=1)
    repeats: int = Field(default=10, ge=1)
    measure: Literal["variance", "entropy"] = "variance"
    cold_start: Literal["none", "proxy_rank", "typiclust", "coreset"] = "proxy_rank"
    pretrained_weights: bool = True


class SemiSupervisedSettings(_Section):
    """The second stage of a round, on unannotated volumes too; by default with the numbers of nath2022 (3.3, 4.2).

    The volumes are those that are most certain, by the mean of `measure` over them; the paper does not say by which.
    A voxel of a noisy label is foreground where the most probable foreground class has more than `threshold`. A share
    of `foreground_share` of the patches lies around such voxels. A step's loss is `alpha` times the supervised one plus
    `beta` times the consistency between a patch as it is and under `augmentation`, which leaves voxels where they are.
    """

    enabled: bool = True
    steps: int = Field(default=2000, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    measure: Literal["variance", "entropy"] = "variance"
    threshold: Fraction = 0.9
    foreground_share: Share = 0.9
    alpha: float = Field(default=1.0, ge=0)
    beta: float = Field(default=0.001, ge=0)
    augmentation: Literal["intensity"] = "intensity"


class RegionSettings(_Section):
    """Which voxels count for a score: thresholds of ma2024's target and boundary, chlebus2022's dilation, the object.

    Kernels are odd numbers of voxels.

    ma2024 gives no value for its two thresholds. Its released code has some for three of the five base methods (margin,
    BALD, MC dropout), between 0.17 and 0.31 for the target and 0.08 and 0.11 for the boundary; the defaults lie inside.
    """

    target_threshold: Fraction = 0.25
    boundary_width: Fraction = 0.1
    dilation_kernel: int = Field(default=11, ge=1)
    object_kernel: int = Field(default=11, ge=1)


class PredictionSettings(_Section):
    """How a network is run over a volume, and how often for Monte Carlo dropout.

    `repeats` 0 is a single pass with dropout off: the entropy, least confidence and margin of ma2024 (3.3), who has no
    dropout in them. Windows reach `window_margin` voxels beyond the ends of a volume, which is reflected there: the
    ends then see context, not the zeros with which convolutions pad a window, which a network is most uncertain about.
    With `racing`, only volumes that can still be among those asked for next get all `repeats`.
    """

    repeats: int = Field(ge=0)
    window_size: Size3D
    window_overlap: Fraction = 0.25
    window_margin: Margin3D = (0, 0, 0)
    skip_outside_body: bool = True
    racing: bool = False


class QuerySettings(_Section):
    """What is asked of the annotator: `start` volumes or slices before the first model, then `size` a round.

    `start` counts what `start_strategy` asks for, `size` what `strategy` asks for. A round of a strategy that asks for
    the other unit has `volumes`, where `strategy` asks for slices, or `slices`, where it asks for volumes. With
    `random_until_foreground`, a round of `random_slices` has `size` slices with foreground, however many without are
    drawn in between (chlebus2022, IV.A, RSS). Peaks of a slice profile are at least `min_slice_distance` slices apart
    (chlebus2022, II.E); `strided_slices` asks for each `slice_stride`-th slice.
    """

    strategy: str
    start: int = Field(ge=1)
    size: int = Field(ge=1)
    volumes: int | None = Field(default=None, ge=1)
    slices: int | None = Field(default=None, ge=1)
    random_until_foreground: bool = False
    start_strategy: Literal["random_volumes", "random_slices", "strided_slices"] = "random_volumes"
    min_slice_distance: int = Field(default=5, ge=1)
    slice_stride: int = Field(default=5, ge=1)

    @property
    def asks_slices(self) -> bool:
        """Whether a round asks for slices, not for volumes."""
        return traits_of(self.strategy).asks_slices

    @property
    def starts_with_slices(self) -> bool:
        """Whether slices are asked for before the first model."""
        return traits_of(self.start_strategy).asks_slices

    @property
    def counts_foreground(self) -> bool:
        """Whether a round is over when so many slices *with foreground* are annotated."""
        return self.strategy == "random_slices" and self.random_until_foreground

    def round_size(self, *, of_slices: bool) -> int:
        """How many slices, or volumes, a round of a strategy that asks for these has; without a number `size`."""
        other = self.slices if of_slices else self.volumes
        return self.size if of_slices == self.asks_slices or other is None else other

    def asked_by(self, strategy: str, size: int | None = None) -> "QuerySettings":
        """The same with another strategy, whose rounds have `size`, by default the number that goes with its unit.

        Raises:
            NotFoundError: there is no strategy of that name.
            ValueError: it asks for volumes, the recipe's own for slices, and how many volumes a round has is not said.
        """
        of_slices = traits_of(strategy).asks_slices
        if self.asks_slices and not of_slices and self.volumes is None and size is None:
            raise ValueError(f"{strategy} asks for volumes, and query.size, {self.size}, counts slices")
        changed = {"strategy": strategy, "size": size or self.round_size(of_slices=of_slices)}
        if of_slices != self.asks_slices:
            left = "volumes" if of_slices else "slices"
            changed |= {"volumes": None, "slices": None, left: self.size}
        return self.model_copy(update=changed)


def _always_asks_proxy(strategy: str) -> bool:
    """Whether all rounds of a strategy go by a proxy model; what does not exist is refused elsewhere."""
    return strategy in TRAITS and TRAITS[strategy].needs is Needs.PROXY


class Recipe(_Section):
    """A named set of all of these: one method, ready to run. Without its section, a stage is left out."""

    name: str
    title: str
    source: str
    network: NetworkSettings = NetworkSettings()
    preprocessing: PreprocessingSettings = PreprocessingSettings()
    training: TrainingSettings
    prediction: PredictionSettings
    regions: RegionSettings = RegionSettings()
    query: QuerySettings
    proxy: ProxySettings | None = Field(default=None, validate_default=True)
    semi_supervised: SemiSupervisedSettings | None = None

    @field_validator("proxy")
    @classmethod
    def _goes_with_the_queries(cls, proxy: ProxySettings | None, info: ValidationInfo) -> ProxySettings | None:
        query = info.data.get("query")
        if query is None:
            return proxy
        if proxy is None and _always_asks_proxy(query.strategy):
            raise ValueError(f"query.strategy {query.strategy} asks a proxy model: add a section [proxy]")
        if proxy is not None and proxy.cold_start != "none" and query.starts_with_slices:
            raise ValueError(
                f"proxy.cold_start {proxy.cold_start} asks for volumes and query.start_strategy "
                f'{query.start_strategy} for slices: set cold_start to "none", or leave start_strategy out'
            )
        return proxy

    @property
    def needs_proxy(self) -> bool:
        """Whether anything that the recipe does asks for a proxy model."""
        if self.proxy is None:
            return False
        return self.proxy.pretrained_weights or self.proxy.cold_start != "none" or self.always_asks_proxy

    @property
    def always_asks_proxy(self) -> bool:
        """Whether all rounds, not only the first queries, go by what the proxy model says."""
        return _always_asks_proxy(self.query.strategy)

    @property
    def fine_tunes(self) -> bool:
        """Whether a round has a second, semi-supervised stage."""
        return self.semi_supervised is not None and self.semi_supervised.enabled
