"""The shape of a recipe: every number of a method, typed, named and frozen.

A recipe is a TOML file in this folder, or a user's own. Reading it checks every key: a misspelt key is an error that
names the known keys, not a silent default.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from activelabel.recipes.network_section import NetworkSettings
from activelabel.recipes.section import Section
from activelabel.recipes.sections import (
    PredictionSettings,
    PreprocessingSettings,
    ProxySettings,
    RegionSettings,
    SemiSupervisedSettings,
    TrainingSettings,
)
from activelabel.recipes.strategy_traits import TRAITS, Needs, traits_of

_LONGEST_NAME = 100
LEAST_REPEATS = 2
"""With fewer, variance and mutual information are 0 everywhere."""


class QuerySettings(Section):
    """The queries: `start` volumes or slices before the first model, then `size` per round."""

    strategy: str = Field(description="the name of the strategy that asks; see the reference of strategies")
    start: int = Field(ge=1, description="volumes or slices, as `start_strategy` asks for, before the first model")
    size: int = Field(ge=1, description="volumes or slices, as `strategy` asks for, of a round")
    volumes: int | None = Field(
        default=None, ge=1, description="volumes of a round, for strategies of volumes where `strategy` asks for slices"
    )
    slices: int | None = Field(
        default=None, ge=1, description="slices of a round, for strategies of slices where `strategy` asks for volumes"
    )
    random_until_foreground: bool = Field(
        default=False,
        description="whether a round of `random_slices` goes on until `size` slices with foreground are drawn, however "
        "many without are drawn in between (chlebus2022, IV.A, RSS)",
    )
    start_strategy: Literal["random_volumes", "random_slices", "strided_slices"] = Field(
        default="random_volumes", description="the strategy that asks before there is a model"
    )
    min_slice_distance: int = Field(
        default=5, ge=1, description="the least distance of two peaks of a slice profile, in slices (chlebus2022, II.E)"
    )
    slice_stride: int = Field(
        default=5, ge=1, description="`strided_slices` asks for each slice that is so many slices after the one before"
    )

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
        """Whether a round ends when `size` slices *with foreground* are annotated."""
        return self.strategy == "random_slices" and self.random_until_foreground

    def round_size(self, *, of_slices: bool) -> int:
        """The number of slices, or of volumes, in a round of a strategy that asks for them; by default `size`."""
        other = self.slices if of_slices else self.volumes
        return self.size if of_slices == self.asks_slices or other is None else other

    def asked_by(self, strategy: str, size: int | None = None) -> "QuerySettings":
        """These settings with another strategy, whose rounds have `size`, by default the number for its unit.

        Raises:
            NotFoundError: there is no strategy of that name.
            ValueError: it asks for volumes, the recipe's own for slices, and the recipe has no number of volumes.
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
    """Whether a strategy uses the proxy model in all rounds; an unknown strategy is refused elsewhere."""
    return strategy in TRAITS and TRAITS[strategy].needs is Needs.PROXY


def _require_file_name(name: str) -> str:
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or name[0] == "." or set(name) & {"/", "\\"}:
        raise ValueError(
            f"files are named by it: 1 to {_LONGEST_NAME} characters, no / or \\ among them, and no dot first"
        )
    return name


class Recipe(Section):
    """A recipe: one method, ready to run. A stage without its section is left out."""

    name: Annotated[str, AfterValidator(_require_file_name)] = Field(
        description="the recipe's name, with which the names of model files begin"
    )
    title: str = Field(description="one line for people, which clients show")
    source: str = Field(description="where its numbers come from")
    channels: tuple[str, ...] = Field(
        default=(),
        description="the channels of an image, by name and in the network's order, such as `FLAIR` and `T1`; CT is "
        "windowed, MR and others are z-scored. Without it an image has one channel, or those of its `dataset.json`",
    )
    shown_channel: str = Field(
        default="", description="the channel that viewers show, and on whose grid labels are drawn; default the first"
    )
    network: NetworkSettings = Field(default=NetworkSettings(), description="the network and its size")
    preprocessing: PreprocessingSettings = Field(
        default=PreprocessingSettings(), description="how an image of a file becomes the input of the network"
    )
    training: TrainingSettings = Field(description="how a model version is made from the annotated cases")
    prediction: PredictionSettings = Field(description="how a network is run over a volume, and how often")
    regions: RegionSettings = Field(default=RegionSettings(), description="which voxels count for a score")
    query: QuerySettings = Field(description="what is asked of the annotator")
    proxy: ProxySettings | None = Field(
        default=None, validate_default=True, description="the proxy task; without this section there is none"
    )
    semi_supervised: SemiSupervisedSettings | None = Field(
        default=None, description="the second stage of a round; without this section there is none"
    )

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
    def channel_count(self) -> int:
        """The number of channels of an image, 1 if none is named."""
        return max(1, len(self.channels))

    @property
    def needs_proxy(self) -> bool:
        """Whether any part of the recipe needs a proxy model."""
        if self.proxy is None:
            return False
        return self.proxy.pretrained_weights or self.proxy.cold_start != "none" or self.always_asks_proxy

    @property
    def always_asks_proxy(self) -> bool:
        """Whether all rounds, not only the first queries, use the proxy model's scores."""
        return _always_asks_proxy(self.query.strategy)

    def goes_by_features(self, strategy: str) -> bool:
        """Whether cases that a strategy asks for with this recipe may be chosen by features, if only at the start.

        Raises:
            NotFoundError: there is no strategy of that name.
        """
        by_start = self.proxy is not None and self.proxy.cold_start in ("typiclust", "coreset")
        return by_start or traits_of(strategy).needs is Needs.FEATURES

    @property
    def fine_tunes(self) -> bool:
        """Whether a round has a second, semi-supervised stage."""
        return self.semi_supervised is not None and self.semi_supervised.enabled
