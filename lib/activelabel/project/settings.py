"""The settings of a running server: every `--conf KEY VALUE`, parsed once into one frozen object."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from activelabel.data.files.guard import LARGEST_IMAGE_VOXELS
from activelabel.errors import InvalidInputError
from activelabel.recipes import first_problem
from activelabel.store.copies import KEPT


def _split_names(value: object) -> object:
    """`liver, spleen` becomes `("liver", "spleen")`; an empty text becomes nothing."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value


def _default_if_empty(value: object) -> object:
    """The default instead of an empty path, which would mean the server's working directory."""
    return None if value == "" else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split_names)]
Origin = Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://[^/\s]+/?$")]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_split_names)]

LONGEST_LEASE_MINUTES = 366 * 24 * 60
LONGEST_SKIP_SECONDS = 24 * 60 * 60
LONGEST_SESSION_HOURS = 31 * 24


class Settings(BaseModel):
    """The keys and values of `--conf`. A number that is left out is the recipe's.

    A user reads a description when the value of its key is wrong, so each says what is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field(default="quick", description="the name of a recipe, or the path of a .toml file")
    labels: Names = Field(
        default=(),
        description="names of the structures, separated by commas: liver,spleen; with the values of label files where "
        "these are not 1, 2, …: liver=1+2,tumour=2,ignore=3",
    )
    database_url: str = Field(
        default="",
        description="an SQLAlchemy URL without a password, which would be seen in the list of processes; "
        "default an SQLite file in the project folder",
    )
    database_url_file: Annotated[Path | None, BeforeValidator(_default_if_empty)] = Field(
        default=None,
        description="a file that holds the database URL with its password, readable by nobody else",
    )
    ledger_copies: int = Field(
        default=KEPT, ge=0, le=1000, description="how many daily copies of an SQLite ledger are kept, 0 for none"
    )
    project_dir: Annotated[Path | None, BeforeValidator(_default_if_empty)] = Field(
        default=None,
        description="where ledger, models and label versions are kept; default activelabel/ beside the images",
    )
    modality: str = Field(
        default="auto",
        min_length=1,
        max_length=200,
        description="what all images are: CT, MR, PET, …, or by commas one for each channel: CT,PET; auto finds out "
        "once, when the project begins",
    )
    channels: Names = Field(
        default=(),
        description="names of the channels of an image, separated by commas, in the order of the network: FLAIR,T1; "
        "default those of the recipe, else those of a dataset.json, else images have one channel",
    )
    channel_files: Names = Field(
        default=(),
        description="what the names of the channels' files end in, by commas, in the order of the channels: "
        "_flair,_t1,_t1ce,_t2; default _0000,_0001,… as nnU-Net has them. A file of another name holds all channels as "
        "its frames. On a PACS, what the description or sequence of a channel's series says",
    )
    shown_channel: str = Field(
        default="", max_length=64, description="the channel that viewers show, by its name; default the recipe's"
    )
    splits: Annotated[Path | None, BeforeValidator(_default_if_empty)] = Field(
        default=None,
        description="a file that says which cases are for training, validation and test: nnU-Net's splits_final.json, "
        "a dataset.json of the Decathlon, or a text file with a case and its role a line",
    )
    patients: Annotated[str | None, BeforeValidator(_default_if_empty)] = Field(
        default=None,
        description="whose images are whose, so that no patient is in two parts of a split: a regular expression with "
        "one group, which is the patient in the id of an image; a table (.csv, .tsv) with the columns image and "
        "patient; names, as common data sets name patients; or images, so that each is a patient of its own. Default "
        "the PatientID in a PACS, else names, in a project that has begun with it",
    )
    splits_fold: int = Field(default=0, ge=0, description="which split of a splits_final.json, counted from 0")
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="auto, float32 or bfloat16; auto takes bfloat16 where the hardware has it and it is faster",
    )
    repeats: int | None = Field(
        default=None, ge=0, le=1000, description="Monte Carlo repeats, 1 to 1000, or 0: a single pass with dropout off"
    )
    racing: bool | None = Field(
        default=None, description="true or false: make all repeats only for cases that may be asked for next"
    )
    strategy: str | None = Field(default=None, min_length=1, description="the strategy that asks, by its name")
    start: int | None = Field(default=None, ge=1, description="training labels before the first model, 1 or more")
    query_size: int | None = Field(default=None, ge=1, description="cases or slices of a round, 1 or more")
    retrain_after: int | None = Field(default=None, ge=1, description="new labels until the next training, 1 or more")
    largest_image_voxels: int = Field(
        default=LARGEST_IMAGE_VOXELS, ge=1, le=2**40, description="how many voxels an image may have, 1 or more"
    )
    links_out_of_studies: bool = Field(
        default=False,
        description="true or false: follow links in the studies folder to images and labels outside of it",
    )
    largest_upload_mb: int = Field(
        default=2048,
        ge=1,
        le=2**20,
        description="how many megabytes a request may have, 1 or more; a larger one is refused",
    )
    uploads_at_once: int = Field(default=16, ge=1, le=1000, description="how many uploads are taken at once, 1 or more")
    uploads_per_minute: int = Field(
        default=600, ge=1, description="how many uploads are taken a minute from one address, 1 or more"
    )
    sessions_at_once: int = Field(
        default=100, ge=1, description="how many sessions keep images outside the studies at once, 1 or more"
    )
    slice_plane: Literal["acquisition", "sagittal", "coronal", "axial"] | None = Field(
        default=None, description="the plane of the slices to annotate: acquisition, sagittal, coronal or axial"
    )
    prepared_gb: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="how many gigabytes of prepared images are kept on the disk, so that no image is read and prepared "
        "in every round; 0 keeps none; default a fifth of what is free",
    )
    cache_gb: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="how many gigabytes of memory the prepared cases of a training take at most; further ones are read "
        "from the disk; default half of what is free when it begins",
    )
    prepared_dir: Annotated[Path | None, BeforeValidator(_default_if_empty)] = Field(
        default=None,
        description="where prepared images are kept, on a fast disk; default prepared/ in the project folder",
    )
    uncertainty_window: int = Field(
        default=10,
        ge=1,
        description="over how many of the last labels uncertainty is compared with errors, 1 or more; "
        "doubt_window means the same",
    )
    min_correlation: float = Field(
        default=0.1,
        ge=-1,
        le=1,
        description="from which rank correlation of uncertainty and errors on uncertainty is trusted, -1 to 1; "
        "min_doubt means the same",
    )
    fallback: bool = Field(
        default=False, description="true or false: ask at random, by foreground, while uncertainty is not trusted"
    )
    lease_minutes: float = Field(
        default=120.0,
        gt=0,
        le=LONGEST_LEASE_MINUTES,
        description=f"how many minutes a query is kept for one annotator, above 0 and at most {LONGEST_LEASE_MINUTES}",
    )
    finished_by: Literal["estimate", "client", "saving"] = Field(
        default="estimate",
        description="estimate, client or saving: who decides that a whole volume is finished where its client does not "
        "say so: estimate asks back what looks far from complete, client asks back every one, saving none",
    )
    skip_by_asking_again: float = Field(
        default=0.0,
        ge=0,
        le=LONGEST_SKIP_SECONDS,
        description="an annotator who asks again within so many seconds, and has sent nothing, skips the case for now; "
        f"0 to {LONGEST_SKIP_SECONDS}, 0 is never",
    )
    readers: int = Field(
        default=1, ge=1, le=2, description="1 or 2: how many annotators read a case; 2 for the share readers_share"
    )
    readers_share: float = Field(
        default=0.2, gt=0, le=1, description="which share of the cases two annotators read, validation cases first"
    )
    agreement: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="from which Dice of each structure two readings agree; else a reviewer decides, 0 to 1",
    )
    review: bool = Field(
        default=False,
        description="true or false: learn only from labels that a reviewer has approved; a returned one never counts",
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="what fixes all that is random: a whole number from 0")
    tracking: Literal["none", "mlflow", "tensorboard", "both"] = Field(
        default="none",
        description="what tracks each training: mlflow in the project's mlflow.db, tensorboard by event files in the "
        "folder of its run, both, or none",
    )
    read_ahead: bool = Field(
        default=True,
        description="true or false: while an annotator draws, fetch and read the image that they would be given next",
    )
    autopilot: bool = Field(default=True, description="true or false: train and score without being asked")
    allow_remote: bool = Field(
        default=False,
        description="true or false: answer other machines although nobody has to log in here, because something before "
        "this server, such as a reverse proxy, asks for a login",
    )
    session_hours: float = Field(
        default=12.0, gt=0, le=LONGEST_SESSION_HOURS,
        description=f"after how many hours a login ends, above 0 and at most {LONGEST_SESSION_HOURS}",
    )  # fmt: skip
    session_idle_minutes: float = Field(
        default=30.0, ge=0, le=LONGEST_SESSION_HOURS * 60,
        description="after how many minutes without a request the login of a browser ends, 0 to "
        f"{LONGEST_SESSION_HOURS * 60}, 0 is never before session_hours",
    )  # fmt: skip
    slicer_downloads: bool = Field(
        default=True,
        description="true or false: with a login, let 3D Slicer fetch the image that it was just given, once, without "
        "a token",
    )
    allowed_origins: Origins = Field(
        default=(), description="web addresses of viewers served elsewhere, by commas: https://viewer.example"
    )


def parse_settings(conf: Mapping[str, str]) -> Settings:
    """Read the host's `--conf` dictionary.

    `server_mode` and `models` are keys of the host itself and are passed over.

    Raises:
        InvalidInputError: a key is unknown or its value wrong; the message names key, value and what is allowed.
    """
    given: dict[str, str] = {}  # by the name of a setting, the key under which it is given
    for key in (key for key in conf if key not in _HOST_KEYS):
        name = _EARLIER_NAMES.get(key, key)
        if name not in Settings.model_fields:
            raise InvalidInputError(
                f"{_shown(key, conf[key])}: there is no such setting; use one of {', '.join(Settings.model_fields)}"
            )
        if name in given:
            raise InvalidInputError(f"--conf {key}: it means the same as {given[name]}, which is given too: leave one")
        given[name] = key
    try:
        return Settings.model_validate({name: conf[key] for name, key in given.items()})
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        allowed = Settings.model_fields[name].description
        shown = _shown(given[name], conf[given[name]])
        raise InvalidInputError(f"{shown}: {first_problem(error)}; allowed is {allowed}") from error


def links_allowed(conf: Mapping[str, str]) -> bool:
    """Whether the settings allow links out of the studies folder; False if the settings are wrong."""
    try:
        return parse_settings(conf).links_out_of_studies
    except InvalidInputError:
        return False


def setting_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """The settings of a command line, each `KEY=VALUE`; `--conf KEY VALUE` has been converted to this form before.

    Raises:
        InvalidInputError: a setting has no value.
    """
    for pair in pairs:
        if "=" not in pair:
            raise InvalidInputError(f"--conf {pair}: expected a value, like --conf recipe quick or --conf recipe=quick")
    return dict(pair.split("=", 1) for pair in pairs)


def _shown(key: str, value: str) -> str:
    """A setting as it was given, on one line."""
    return " ".join(f"--conf {key} {value}".split())


_HOST_KEYS = frozenset({"server_mode", "models"})
_EARLIER_NAMES = {"doubt_window": "uncertainty_window", "min_doubt": "min_correlation"}
"""Names that settings had in earlier versions, which still mean the same."""
