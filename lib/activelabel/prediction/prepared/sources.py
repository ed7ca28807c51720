"""What a prepared image is made of: the content of an image's files, known by its SHA-256, and the preparation."""

import hashlib
import json
import time
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from activelabel.data.files.digest import file_sha256
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.writing import Stamp, file_stamp
from activelabel.data.preprocessing import OUTLIER_PERCENT, OUTLIER_RANGE
from activelabel.recipes import PreprocessingSettings

FORMAT = 1
"""To be raised whenever `prepare_image` or the files of prepared images change, so that earlier ones are not used."""

_SETTLED_NS = 2_000_000_000
"""A file that was changed less than this ago may be changed again within the resolution of its time."""
_NAME_DIGITS = 32

Stamps = tuple[Stamp, ...]
"""The stamp of each file."""


def stamps_of(image: ImageFiles) -> Stamps:
    """The stamps of an image's files. Raises `OSError`."""
    return tuple(file_stamp(file.stat()) for path in image.paths for file in _files(path))


def is_settled(stamps: Stamps) -> bool:
    """Whether the last change is so long ago that another one would give another stamp."""
    newest = max((time_ns for _, *times_ns in stamps for time_ns in times_ns), default=0)
    return time.time_ns() - newest > _SETTLED_NS


def digest_of(image: ImageFiles) -> str:
    """The SHA-256 of the content of all files of an image and of what its channels are in them. Raises `OSError`."""
    contents = {path: _content(path) for path in image.paths}
    channels = [(contents[channel.path], channel.frame) for channel in image.channels]
    return _short_hash([contents[image.path], channels, image.shown, image.frame_count])


def transform_of(settings: PreprocessingSettings) -> str:
    """The hash of everything besides the files on which a prepared image depends."""
    return _transform(settings)


def place_of(paths: Sequence[str]) -> str:
    """The hash of the paths of an image's files, whatever is in them."""
    return _short_hash(list(paths))


@lru_cache(maxsize=16)
def _transform(settings: PreprocessingSettings) -> str:
    used = settings.model_dump(mode="json")
    if not settings.slices_last:  # The plane of the slices then makes no difference.
        del used["slice_plane"]
    return _short_hash([FORMAT, used, OUTLIER_PERCENT, OUTLIER_RANGE, version("monai")])


def _content(path: Path) -> str:
    """The SHA-256 of a file, or of the names and contents of the files of a folder."""
    if path.is_dir():
        return _short_hash([(file.name, _content(file)) for file in _files(path)])
    return file_sha256(path)


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]


def _short_hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:_NAME_DIGITS]
