"""Cache of PACS series on the local disk. The first process that needs a series fetches it, completely."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from monailabel.config import settings as host_settings
from monailabel.utils.others.generic import md5_digest

from activelabel.data.dicom_objects.series import read_series, write_volume
from activelabel.errors import NotFoundError, UnavailableError
from activelabel.server.pacs.client import Pacs

logger = logging.getLogger(__name__)

_UNFINISHED = ".unfinished-"


def _always() -> bool:
    return True


class SeriesCache:
    """A folder that holds, for each series, the DICOM files in `UID/` and the volume in `UID.nii.gz`."""

    def __init__(self, pacs: Pacs, folder: Path) -> None:
        """Cache series of `pacs` in `folder`, which is created."""
        self._pacs = pacs
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def volume(self, uid: str, study_uid: str | None, go_on: Callable[[], bool] = _always) -> Path:
        """The series as a NIfTI file, fetched if it is not in the cache; `go_on` is asked after each step.

        Raises:
            UnavailableError: the series must be fetched, and the PACS does not answer, or `go_on` is False.
            NotFoundError: the series must be fetched, and the PACS does not have it.
            InvalidInputError: the series is no regular volume; nothing is cached.
        """
        path = self.folder / f"{uid}.nii.gz"
        if not self.has(uid):
            self._fetch(uid, study_uid, go_on)
        return path

    def remove_abandoned(self) -> None:
        """Remove what processes left that ended while they fetched: it has a patient's images, and nobody asks for it.

        What a process is fetching stays: the system frees its lock only when it ends.
        """
        for folder in self.folder.glob(f"{_UNFINISHED}*"):
            try:
                with self._only_us(folder.name.removeprefix(_UNFINISHED)).acquire(timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
            except OSError:  # in use, or of another user
                continue

    def has(self, uid: str) -> bool:
        """Whether the volume of a series is in the cache, so that the PACS is not asked for it."""
        return (self.folder / f"{uid}.nii.gz").is_file()

    def is_given(self, uid: str, study_uid: str | None) -> bool:
        """Whether the PACS gives a series now, also if it is in the cache; what it gives is not kept."""
        try:
            with self._unfinished(f"asked-{uid}") as unfinished:
                self._pacs.download(uid, study_uid or self._pacs.study_of(uid), unfinished)
        except (NotFoundError, UnavailableError):
            return False
        return True

    def slices(self, uid: str, study_uid: str | None) -> Path:
        """The folder with the DICOM files of the series, fetched if it is not in the cache. Raises as `volume`."""
        path = self.folder / uid
        if not path.is_dir():
            self._fetch(uid, study_uid)
        return path

    def forget(self, uid: str) -> None:
        """Remove a series that has changed in the PACS; the next access fetches it again."""
        with self._only_us(uid):
            (self.folder / f"{uid}.nii.gz").unlink(missing_ok=True)
            shutil.rmtree(self.folder / uid, ignore_errors=True)

    def _fetch(self, uid: str, study_uid: str | None, go_on: Callable[[], bool] = _always) -> None:
        volume, slices = self.folder / f"{uid}.nii.gz", self.folder / uid
        with self._unfinished(uid) as unfinished:
            if volume.is_file() and slices.is_dir():
                return
            started = time.monotonic()
            fetched = unfinished / uid
            fetched.mkdir()
            self._pacs.download(uid, study_uid or self._pacs.study_of(uid), fetched, go_on)
            _check(go_on, uid)
            images = read_series(fetched)
            _check(go_on, uid)
            write_volume(unfinished / volume.name, images)
            shutil.rmtree(slices, ignore_errors=True)
            fetched.rename(slices)
            (unfinished / volume.name).replace(volume)
            logger.info("fetched series %s in %.1f s", uid, time.monotonic() - started)

    @contextmanager
    def _unfinished(self, name: str) -> Iterator[Path]:
        """A folder for what is being fetched, which no other thread or process uses; it is gone afterwards."""
        folder = self.folder / f"{_UNFINISHED}{name}"
        with self._only_us(name):
            shutil.rmtree(folder, ignore_errors=True)  # a process that was killed may have left it
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                shutil.rmtree(folder)

    def _only_us(self, name: str) -> FileLock:
        """A lock that keeps other threads and processes from fetching the same series."""
        return FileLock(self.folder / f".{name}.lock")


def _check(go_on: Callable[[], bool], uid: str) -> None:
    if not go_on():
        raise UnavailableError(f"the series {uid} is not fetched to its end")


def cache_folder(pacs: Pacs) -> Path:
    """The host's cache folder of this PACS, in a sub-folder of our own, as the host's files there may be incomplete."""
    configured = (host_settings.MONAI_LABEL_DICOMWEB_CACHE_PATH or "").strip()
    base = Path(configured) if configured else Path.home() / ".cache" / "monailabel" / "dicom"
    return base / md5_digest(pacs.address) / "activelabel"
