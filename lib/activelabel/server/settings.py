"""The settings of a running server: every `--conf KEY VALUE`, parsed once into one frozen object."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from activelabel.errors import InvalidInputError
from activelabel.recipes import first_problem


def _split_names(value: object) -> object:
    """`liver, spleen` becomes `("liver", "spleen")`; an empty text becomes nothing."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value


def _default_if_empty(value: object) -> object:
    """An empty path would be the folder in which the server happens to be started."""
    return None if value == "" else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split_names)]
Origin = Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://[^/\s]+/?$")]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_split_names)]

LONGEST_LEASE_MINUTES = 366 * 24 * 60


class Settings(BaseModel):
    """What `--conf` may say. A number left out is the recipe's.

    The descriptions are what a user reads when a key is wrong, so each says what is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field(default="quick", description="the name of a recipe, or the path of a .toml file")
    labels: Names = Field(default=(), description="names of the structures, separated by commas: liver,spleen")
    database_url: str = Field(default="", description="an SQLAlchemy URL; default an SQLite file in the project folder")
    project_dir: Annotated[Path | None, BeforeValidator(_default_if_empty)] = Field(
        default=None, description="where ledger, models and label versions are kept"
    )
    modality: str = Field(
        default="auto",
        min_length=1,
        max_length=32,
        description="what all images are: CT, MR, PET, …; auto finds out once, when the project begins",
    )
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto, float32 or bfloat16; auto takes bfloat16 where the hardware is good at it"
    )
    repeats: int | None = Field(default=None, ge=1, le=1000, description="Monte Carlo repeats, 1 to 1000")
    racing: bool | None = Field(
        default=None, description="true or false: all repeats only for cases that may be asked for next"
    )
    strategy: str | None = Field(default=None, min_length=1, description="the strategy that asks, by its name")
    start: int | None = Field(default=None, ge=1, description="training labels before the first model, 1 or more")
    query_size: int | None = Field(default=None, ge=1, description="cases or slices of a round, 1 or more")
    retrain_after: int | None = Field(default=None, ge=1, description="new labels until the next training, 1 or more")
    slice_plane: Literal["acquisition", "sagittal", "coronal", "axial"] | None = Field(
        default=None, description="the plane of the slices to annotate: acquisition, sagittal, coronal or axial"
    )
    doubt_window: int = Field(
        default=10, ge=1, description="how many of the last labels say whether the doubt is worth anything, 1 or more"
    )
    min_doubt: float = Field(
        default=0.1,
        ge=-1,
        le=1,
        description="the rank correlation of doubt and errors that is worth something, -1 to 1",
    )
    fallback: bool = Field(
        default=False, description="true or false: ask at random, by foreground, while the doubt is worth nothing"
    )
    lease_minutes: float = Field(
        default=120.0,
        gt=0,
        le=LONGEST_LEASE_MINUTES,
        description=f"how long a query is kept for one annotator, above 0 and at most {LONGEST_LEASE_MINUTES}",
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="a whole number from 0")
    autopilot: bool = Field(default=True, description="true or false: train and score without being asked")
    allow_remote: bool = Field(default=False, description="true or false: answer other machines without a login")
    allowed_origins: Origins = Field(
        default=(), description="web addresses of viewers served elsewhere, by commas: https://viewer.example"
    )


def parse_settings(conf: Mapping[str, str]) -> Settings:
    """Read the host's `--conf` dictionary.

    `server_mode` and `models` are keys of the host itself and are passed over.

    Raises:
        InvalidInputError: a key is unknown or its value wrong; the line names the key, the value and what is allowed.
    """
    ours = {key: value for key, value in conf.items() if key not in _HOST_KEYS}
    for key, value in ours.items():
        if key not in Settings.model_fields:
            raise InvalidInputError(
                f"{_shown(key, value)}: there is no such setting; use one of {', '.join(Settings.model_fields)}"
            )
    try:
        return Settings.model_validate(ours)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        allowed = Settings.model_fields[key].description
        raise InvalidInputError(f"{_shown(key, ours[key])}: {first_problem(error)}; allowed is {allowed}") from error


def setting_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """What `--conf KEY=VALUE` gives on our own command line, as the host's `--conf KEY VALUE` gives it to a server.

    Raises:
        InvalidInputError: one of them has no `=`.
    """
    for pair in pairs:
        if "=" not in pair:
            raise InvalidInputError(f"--conf {pair}: expected KEY=VALUE, like --conf recipe=quick")
    return dict(pair.split("=", 1) for pair in pairs)


def _shown(key: str, value: str) -> str:
    """A setting as it was given, on one line."""
    return " ".join(f"--conf {key} {value}".split())


_HOST_KEYS = frozenset({"server_mode", "models"})
