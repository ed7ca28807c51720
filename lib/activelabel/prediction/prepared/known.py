"""What is known of images' files, so that only files that have changed are read for the hash of their content."""

import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activelabel.data.files.image_files import ImageFiles
from activelabel.prediction.prepared.sources import Stamps, digest_of, is_settled, place_of, stamps_of

logger = logging.getLogger(__name__)


class Source(BaseModel):
    """The files of an image as they were: paths, size and times of each, and the hash of all content."""

    model_config = ConfigDict(frozen=True)

    paths: tuple[str, ...]
    stamp: Stamps
    digest: str = Field(pattern=r"^[0-9a-f]+$")

    def is_unchanged(self, files: ImageFiles) -> bool:
        """Whether the files have still the same sizes and times."""
        return _stamp(files) == self.stamp

    @property
    def is_missing(self) -> bool:
        """Whether a file has been removed from its folder; a folder that is gone or does not answer may come back."""
        try:
            return any(Path(path).parent.is_dir() and not Path(path).exists() for path in self.paths)
        except OSError:
            return False


class KnownFiles:
    """A folder with a small file for the paths of each image. Without one of them, an image's files are read again."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when something is known."""
        self._folder = folder

    def source(self, files: ImageFiles, *, note: bool) -> tuple[Source | None, Source | None]:
        """The source that an image's files are now, and the earlier one if they were another.

        The first is None where a file cannot be read: reading the image says why. `note`: whether it is kept.
        """
        stamp, before = _stamp(files), self.before(files)
        if stamp is None or (before is not None and before.stamp == stamp):
            return (None if stamp is None else before), None
        try:
            source = Source(paths=_paths(files), stamp=stamp, digest=digest_of(files))
        except OSError:
            return None, None
        if note:
            # Without a stamp they are read again next time.
            self._write(files, source if is_settled(stamp) else source.model_copy(update={"stamp": ()}))
        return source, before if before is not None and before.digest != source.digest else None

    def before(self, files: ImageFiles) -> Source | None:
        """What is known of the files of these paths, whether or not they are there and the same."""
        return _read(self._file(files))

    def missing(self) -> list[Source]:
        """Sources of which a file has been removed."""
        known = (_read(file) for file in self._folder.glob("*.json"))
        return [source for source in known if source is not None and source.is_missing]

    def forget(self, source: Source) -> None:
        """Remove what is known of a source's files."""
        try:
            (self._folder / f"{place_of(source.paths)}.json").unlink(missing_ok=True)
        except OSError as error:
            logger.debug("what is known of %s stays: %s", source.paths[0], error)

    def _file(self, files: ImageFiles) -> Path:
        return self._folder / f"{place_of(_paths(files))}.json"

    def _write(self, files: ImageFiles, source: Source) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file(files).write_text(source.model_dump_json(), encoding="utf-8")
        except OSError as error:
            logger.debug("%s is not noted: %s", files.name, error)


def _paths(files: ImageFiles) -> tuple[str, ...]:
    return tuple(str(path) for path in files.located().paths)


def _stamp(files: ImageFiles) -> Stamps | None:
    try:
        return stamps_of(files)
    except OSError:
        return None


def _read(file: Path) -> Source | None:
    """The source in a file; None if the file is missing or damaged."""
    try:
        return Source.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError):
        return None
