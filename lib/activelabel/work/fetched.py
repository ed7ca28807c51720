"""Copies of images that a worker has fetched: the last ones, and those that its threads read."""

import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from activelabel.data.files.image_files import ImageFiles
from activelabel.prediction.prepared.one_reader import OneReader

KEPT = 8
"""How many images are kept beside those that are read: a worker reads each once, perhaps some ahead."""


class FetchedImages:
    """Keeps images, each in a folder of its own, and removes the oldest ones that no thread reads.

    A thread reads what it asked for last, until it asks for another image or ends.
    """

    def __init__(self) -> None:
        """Keep them in a folder for temporary files, which goes with this object."""
        self._parent = tempfile.TemporaryDirectory(prefix="activelabel-images-", ignore_cleanup_errors=True)
        self._kept: OrderedDict[str, tuple[Path, ImageFiles]] = OrderedDict()  # by image, its folder and files
        self._readers: dict[threading.Thread, str] = {}
        self._changing = threading.Lock()
        self._fetching = OneReader()

    def get(self, image_id: str, fetch: Callable[[str, Path], ImageFiles]) -> ImageFiles:
        """The files of an image, for the thread that asks: those that are kept, or fetched into an empty folder.

        Of several threads that ask for the same image one fetches it. Nothing is kept of what `fetch` breaks off.
        """
        with self._fetching.alone(image_id):
            files, removed = self._begin(image_id)
            for folder in removed:
                shutil.rmtree(folder, ignore_errors=True)
            if files is not None:
                return files
            Path(self._parent.name).mkdir(mode=0o700, exist_ok=True)  # what cleans the folder above may have taken it
            folder = Path(tempfile.mkdtemp(dir=self._parent.name))
            try:
                files = fetch(image_id, folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            with self._changing:
                self._kept[image_id] = folder, files
            return files

    def _begin(self, image_id: str) -> tuple[ImageFiles | None, list[Path]]:
        """Note who reads the image; its files if they are kept and there, and the folders that are not any more."""
        with self._changing:
            self._readers[threading.current_thread()] = image_id
            self._readers = {thread: read for thread, read in self._readers.items() if thread.is_alive()}
            removed: list[Path] = []
            if image_id in self._kept:
                folder, files = self._kept[image_id]
                if files.all_exist():
                    self._kept.move_to_end(image_id)
                    return files, removed
                del self._kept[image_id]  # what cleans the folder for temporary files has taken some
                removed.append(folder)
            old = [one for one in self._kept if one not in self._readers.values()]
            removed.extend(self._kept.pop(one)[0] for one in old[: max(len(old) - KEPT + 1, 0)])
            return None, removed
