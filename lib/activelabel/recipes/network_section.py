"""The section of a recipe for its network."""

from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator
from typing_extensions import Self

from activelabel.recipes.section import Fraction, Section


class NetworkSettings(Section):
    """The network and its size.

    Levels that work in the plane, those of `unet2d` and the upper ones of `anisotropic_unet`, apply a stride to the
    first two axes only. A network of your own (`type` or `bundle`) has only `settings`.
    """

    kind: str = Field(
        default="unet", description="the network: `unet`, `unet2d`, `residual_unet` or `anisotropic_unet`"
    )
    channels: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(32, 64, 128, 256), description="feature channels of each level, from the finest to the coarsest"
    )
    strides: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(2, 2, 2), description="the stride between each two levels, so one entry fewer than `channels`"
    )
    residual_units: int = Field(
        default=2,
        ge=0,
        description="convolutions with a residual connection in each level; an `anisotropic_unet` takes 0",
    )
    dropout: Fraction = Field(default=0.5, description="dropout rate, which Monte Carlo repeats use too")
    normalisation: Literal["instance", "batch"] = Field(
        default="instance", description="the kind of normalisation layers: `instance` or `batch`"
    )
    upsampling: Literal["transposed", "smoothed"] = Field(
        default="transposed",
        description="how a `unet` or `unet2d` goes to a finer level: `transposed` convolutions, whose kernel is larger "
        "than their stride and leaves a grid in the prediction, or `smoothed` ones, which leave none",
    )
    padding: Literal["zeros", "repeated"] = Field(
        default="zeros",
        description="what convolutions see beyond the ends of a window: `zeros`, or the outermost voxels `repeated`, "
        "with which scores of the first and last slices are not larger than their content makes them",
    )
    type: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="a network of your own, as `package.module:function`; the function gets `in_channels`, "
        "`out_channels` and `settings`, and returns the network",
    )
    bundle: str | None = Field(
        default=None,
        min_length=1,
        description="the folder of a MONAI bundle whose network is used; `activelabel model import` takes its weights",
    )
    settings: dict[str, JsonValue] = Field(
        default={}, description="arguments for the function of `type`, or for the network of `bundle`"
    )

    @property
    def is_own(self) -> bool:
        """Whether the network is code from elsewhere."""
        return self.type is not None or self.bundle is not None

    @property
    def code(self) -> str:
        """The code from elsewhere that builds the network: a function, or the name of a bundle's folder; or nothing."""
        return self.type or (PurePath(self.bundle).name if self.bundle else "")

    @model_validator(mode="after")
    def _names_one_network(self) -> Self:
        if self.type is not None and self.bundle is not None:
            raise ValueError("type and bundle each name a network: leave one out")
        if not self.is_own and self.settings:
            raise ValueError("settings are those of a network of your own: name it with type or bundle")
        own = {"type", "bundle", "settings"}
        fields = type(self).model_fields.items()
        other = [name for name, field in fields if name not in own and getattr(self, name) != field.default]
        if self.is_own and other:
            raise ValueError(f"{other[0]} is not known to a network of your own: write it into network.settings")
        return self
