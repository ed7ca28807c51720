"""What the sections of a recipe have in common, and the types of their numbers."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _require_odd(length: int) -> int:
    if length % 2 == 0:
        raise ValueError("a cube around a voxel has an odd number of voxels along each side")
    return length


Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Size3D = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
Margin3D = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
Spacing3D = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]

OddLength = Annotated[int, Field(ge=1), AfterValidator(_require_odd)]


class Section(BaseModel):
    """A frozen section of a recipe. An unknown key is an error. The reference shows the description of each key."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
