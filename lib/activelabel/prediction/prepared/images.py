"""Prepared images, kept in the project's folder: each is read and prepared once, until its files or settings change."""

import logging
from collections.abc import Callable
from pathlib import Path

from activelabel.data.files.image_files import AnyImage, ImageFiles
from activelabel.data.preprocessing import PreparedImage, prepare_image
from activelabel.data.volumes import Volume, read_volume
from activelabel.errors import InvalidInputError
from activelabel.prediction.prepared.file import ENDING, open_prepared, write_prepared
from activelabel.prediction.prepared.known import KnownFiles, Source
from activelabel.prediction.prepared.one_reader import OneReader
from activelabel.prediction.prepared.room import Room, mark_used
from activelabel.prediction.prepared.sources import transform_of
from activelabel.recipes import PreprocessingSettings

logger = logging.getLogger(__name__)

_KNOWN = "known"
_PREPARING = OneReader()
"""The images that threads of this process prepare: whoever needs one meanwhile waits, and finds it kept."""
_HEADER_BYTES = 4096
"""About what a file takes beside its voxels."""


def _nothing(volume: Volume) -> None:
    """Take no notice of a volume that was read."""


class PreparedImages:
    """Prepared images by the content of their files and by all settings that change them; for one pass over images.

    Threads and processes may share a folder. A file that is damaged counts as none. Where the disk is full, or cannot
    be written, the work goes on as if nothing were kept.
    """

    def __init__(self, folder: Path | None, limit_bytes: int | None = None) -> None:
        """Use `folder`, which is made when something is kept.

        Args:
            folder: where they are kept; None keeps nothing.
            limit_bytes: how much is kept, 0 for nothing; None is a share of the free disk.
        """
        self._folder = folder if limit_bytes != 0 else None
        self._limit_bytes = limit_bytes
        self._room = None if self._folder is None else Room(self._folder, limit_bytes)

    def get(
        self,
        image: AnyImage,
        settings: PreprocessingSettings,
        seen: Callable[[Volume], None] = _nothing,
        *,
        keep: bool = True,
    ) -> PreparedImage:
        """The prepared image of some files: the kept one, else it is read, prepared and kept.

        If another thread prepares the same image, this waits for it. The tensor of a kept one is mapped into memory.
        Changes to it are not written back.

        Args:
            image: the files.
            settings: how they are prepared.
            seen: called with the volume if it had to be read.
            keep: false for files that are none of the project's images, of which nothing is kept.

        Raises:
            InvalidInputError: as `read_volume` and `prepare_image`.
        """
        files = ImageFiles.of(image)
        if self._folder is None:
            return _prepared(files, settings, seen)
        source = self._source(self._folder, files, keep)
        if source is None:
            return _prepared(files, settings, seen)
        path = self._folder / f"{source.digest}-{transform_of(settings)}{ENDING}"
        with _PREPARING.alone(path):
            kept = _opened(path)
            if kept is not None:
                return kept
            prepared = _prepared(files, settings, seen)
            if keep and source.is_unchanged(files):  # else it may have changed while it was read
                self._keep(path, prepared)
            return prepared

    def forget(self, image: AnyImage) -> None:
        """Remove all that is kept of an image, whose files may be gone."""
        if self._folder is None:
            return
        before = KnownFiles(self._folder / _KNOWN).before(ImageFiles.of(image))
        if before is not None:
            _forget(self._folder, before)

    def tidy(self) -> None:
        """Remove all that is kept of images of which a file has been removed, and what is more than the limit."""
        if self._folder is None or not self._folder.is_dir():
            return
        for source in KnownFiles(self._folder / _KNOWN).missing():
            _forget(self._folder, source)
        if self._room is not None:
            try:
                self._room.has_for(0)
            except OSError as error:
                _not_removed(self._folder, error)

    def _source(self, folder: Path, files: ImageFiles, keep: bool) -> Source | None:
        known = KnownFiles(folder / _KNOWN)
        source, earlier = known.source(files, note=keep)
        if earlier is not None:
            _remove_kept(folder, earlier)
        return source

    def _keep(self, path: Path, image: PreparedImage) -> None:
        if self._room is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if self._room.has_for(image.tensor.nbytes + _HEADER_BYTES):
                write_prepared(path, image)
        except OSError as error:
            logger.warning("prepared images are no longer kept in %s: %s", path.parent, error)
            self._room = None


def _prepared(files: ImageFiles, settings: PreprocessingSettings, seen: Callable[[Volume], None]) -> PreparedImage:
    volume = read_volume(files)
    seen(volume)
    return prepare_image(volume, settings)


def _opened(path: Path) -> PreparedImage | None:
    try:
        image = open_prepared(path)
    except FileNotFoundError:
        return None
    except InvalidInputError as error:
        logger.warning("%s: the image is prepared again", error)
        return None
    mark_used(path)
    return image


def _forget(folder: Path, source: Source) -> None:
    _remove_kept(folder, source)
    KnownFiles(folder / _KNOWN).forget(source)


def _remove_kept(folder: Path, source: Source) -> None:
    try:
        for file in folder.glob(f"{source.digest}-*{ENDING}"):
            file.unlink(missing_ok=True)
    except OSError as error:
        _not_removed(folder, error)


def _not_removed(folder: Path, error: OSError) -> None:
    logger.warning("not all that is no longer needed can be removed from %s: %s", folder, error)


def remove_all_prepared(folder: Path) -> None:
    """Remove the prepared images in a folder, and what is known of their files; nothing else that lies there."""
    for file in (*folder.glob(f"*-*{ENDING}"), *(folder / _KNOWN).glob("*.json")):
        file.unlink(missing_ok=True)
