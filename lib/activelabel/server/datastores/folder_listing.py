"""The host's listing of a studies folder: read once, kept in memory, and written when somebody needs it.

`datastore_v2.json` is only a view: the server alone writes it, atomically, when images come or go, when somebody asks
for it, and when it stops. A label that changes meanwhile is one more line beside it (see `project.listing`).
"""

import json
import logging
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from monailabel.datastore.local import DataModel, LocalDatastore

from activelabel.data.files.many.path_table import PathTable
from activelabel.data.files.writing import write_if_changed
from activelabel.project.listing import CHANGES, FILE, LISTING, changes, note_change
from activelabel.server.datastores.delayed_call import DelayedCall, with_pauses
from activelabel.server.datastores.kept_listing import KEPT, LARGE, KeptListing
from activelabel.server.datastores.listed import ListedImage
from activelabel.server.datastores.listed_images import ListedImages, Times
from activelabel.store.records.labels import FINAL

logger = logging.getLogger(__name__)

DELAY_SECONDS = 1.0
_PIECE = 2**18
"""The bytes of a piece in which the listing is sent."""
VIEW_SHARE = 100.0
"""While images come and go, writing the listing takes at most a hundredth of the time."""


class BrokenOffError(Exception):
    """Nobody waits for the listing any more."""


class FolderListing(LocalDatastore):
    """The part of `LedgerDatastore` that reads and writes the listing."""

    _beside: Path | None
    _images_dir: str

    def __init__(
        self, studies: str, images_dir: str, extensions: tuple[str, ...], project_folder: Path, *, follow_changes: bool
    ) -> None:
        """Read the listing of `studies` and reconcile it with what there is; only `follow_changes` writes it.

        A large one is also kept in the project's folder, where it is read in a fraction of the time.
        """
        self._follows = follow_changes
        self._images_dir = images_dir
        self._view_was_read = False
        self._revision = 0
        self._lock = threading.RLock()
        self._view = DelayedCall(self._write_view, DELAY_SECONDS, share=VIEW_SHARE)
        self._changes: list[tuple[str, str, dict[str, Any] | None]] = []
        self._writing = threading.Lock()
        self._waiting: list[None] = []  # one for each who waits for it to be written
        self._is_broken_off = False
        self._kept = KeptListing(project_folder / KEPT, Path(studies) / LISTING)
        super().__init__(studies, images_dir=images_dir, extensions=extensions, auto_reload=False)

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add entries to the information about an image."""
        with self._lock:
            self._objects[image_id].image.info.update(info)
        self._revision += 1
        self._view.note()

    @property
    def revision(self) -> Hashable:
        """A value that changes whenever the result of `status`, `passed_over` or `patients` changes."""
        return self._revision

    def _changed_label(self, image_id: str, tag: str) -> None:
        """Note that the entry of a label has changed; the listing itself is not written for that."""
        self._revision += 1
        if self._follows:
            with self._lock:
                listed = self._objects.get(image_id)
                label = None if listed is None else listed.labels.get(tag)
                note_change(Path(self._datastore_path), image_id, tag, None if label is None else label.model_dump())
        self._view.note()

    # What the host's class does by going through all images

    def list_images(self) -> list[str]:
        """The ids of all images."""
        return list(self._objects)

    def lists(self, image_id: str) -> bool:
        """Whether there is such an image."""
        return image_id in self._objects

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """The ids of the images with a final label."""
        return sorted(image_id for image_id, listed in self._objects.labelled().items() if FINAL in listed.labels)

    def status(self) -> dict[str, Any]:
        """The host's counts."""
        labelled = self._objects.labelled().values()
        tags = Counter(tag for listed in labelled for tag in listed.labels)
        return {"total": len(self._objects), "completed": tags[FINAL], "label_tags": dict(tags)}

    def json(self) -> Any:
        """The listing, which is written to its file as well, since somebody asks for it, unless the disk is full."""
        self._flush_view_for_reader()
        with self._lock:
            objects = {image_id: shown.as_json() for image_id, shown in self._objects.items()}
        return {**self._head(), "objects": objects}

    def listing(self) -> str:
        """The listing as text."""
        with self._lock:
            return b"".join(self._lines(self._noted_now(), self._objects)).decode()

    def listing_in_pieces(self, shown: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Iterator[bytes]:
        """The listing as text, never as a whole in memory; it is written to its file as well, unless the disk is full.

        `shown` gives what may be told of an image that has labels, from its id and its entry.
        """
        self._flush_view_for_reader()
        with self._lock:
            noted, images = self._noted_now(), self._objects
        told = {image_id: shown(image_id, entry) for image_id, entry in noted.items()}
        lines, piece, size = self._lines(told, images), list[bytes](), 0
        for line in lines:
            piece.append(line)
            size += len(line)
            if size >= _PIECE:
                yield b"".join(piece)
                piece, size = [], 0
        yield b"".join(piece)

    def _head(self) -> dict[str, Any]:
        """What the listing says of the whole."""
        return self._datastore.model_dump(exclude={"base_path", "objects"})

    def _noted_now(self) -> dict[str, dict[str, Any]]:
        """The entries of the images of which more is listed than their file."""
        return {image_id: listed.as_json() for image_id, listed in self._objects.noted.items()}

    def _lines(self, noted: Mapping[str, Any], images: ListedImages) -> Iterator[bytes]:
        """The content of the listing's file, of which the whole is not kept in memory: a line for each image."""
        encode = json.JSONEncoder(default=str).encode
        entries = images.lines({image_id: encode(entry) for image_id, entry in noted.items()})
        start = f'{encode(self._head())[:-1]}, "objects": {{\n'
        for part in chain([start, next(entries, "")], (f",\n{entry}" for entry in entries), ["\n}}\n"]):
            yield part.encode()

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        """Read the listing once, at the start. A damaged one is set aside and made anew from ledger and folder."""
        path = Path(self._datastore_config_path)
        if self._beside is not None and not path.is_file():  # an earlier server may have written it there
            path = self._beside / path.name
        if self._view_was_read:
            return
        self._view_was_read = True
        # There may be some before the first listing is written, and so beside none.
        places = dict.fromkeys([path.parent, Path(self._datastore_path)])
        self._changes = [change for place in places for change in changes(place)]
        if not path.is_file():
            return
        try:
            kept = self._kept.read() if path == self._kept.listing else None
            self._objects = ListedImages.of(read_objects(path)) if kept is None else _listed_of(*kept)
        except ValueError as error:
            damaged = Path(self._datastore_path) / f"{path.name}.damaged-{time.time_ns()}"
            shutil.copy(path, damaged)
            logger.warning("%s is damaged (%s): kept as %s and made anew", path, type(error).__name__, damaged.name)

    def _apply_changes(self) -> None:
        """Bring the listing as it was read up to the labels that changed after it was written."""
        changed, self._changes = self._changes, []
        for image_id, tag, label in changed:
            if image_id in self._objects:
                shown = self._objects[image_id]
                new = {} if label is None else {tag: DataModel.model_validate(label)}
                shown.labels = {**{other: shown.labels[other] for other in shown.labels if other != tag}, **new}

    def _update_datastore_file(self, lock: bool = True) -> None:
        self._view.note()

    @property
    def _objects(self) -> ListedImages:
        """The listed images, which the host's class calls so too."""
        objects = self._datastore.objects
        if not isinstance(objects, ListedImages):  # as the host's class has just made it
            objects = ListedImages({}, np.zeros(0, np.int64), {})
            self._datastore.objects = objects
        return objects

    @_objects.setter
    def _objects(self, objects: ListedImages) -> None:
        self._datastore.objects = objects

    def _listed_paths(self) -> PathTable:
        """The file of each listed image, by which other programs know it."""
        return self._objects.files

    def _write_view(self) -> None:
        if not self._follows:
            return
        try:
            self._write_listing()
        except BrokenOffError:
            self._view.note()
            logger.info("the listing of %s is not written: the next start makes it anew", self._datastore_path)

    def _may_pause(self) -> bool:
        if self._is_broken_off:
            raise BrokenOffError
        return not self._waiting

    def _write_listing(self) -> None:
        with self._writing:
            path = Path(self._datastore_config_path)
            with self._lock:  # but not while it is written: with a million images that takes seconds
                images, noted, told = self._objects, self._noted_now(), _size_of(path.parent / CHANGES)
            lines = with_pauses(self._lines(noted, images), self._may_pause)
            is_new, stamp = write_if_changed(path, lines)
            if self._is_broken_off:
                raise BrokenOffError
            if is_new or not (self._kept.failed_lately or self._kept.is_current()):
                self._kept.keep(images, json.dumps(noted, default=str).encode(), stamp)
            with self._lock:
                if _size_of(path.parent / CHANGES) == told:  # else the lines are read again, which changes nothing
                    (path.parent / CHANGES).unlink(missing_ok=True)
                else:
                    self._view.note()

    def _is_written(self) -> bool:
        """Whether there is a listing, and beside a large one, where it can be written, what is read of it faster."""
        path = Path(self._datastore_config_path)
        kept = self._kept
        return path.is_file() and (path.stat().st_size < LARGE or kept.failed_lately or kept.is_current())

    def close(self) -> None:
        """Write the listing if a write is pending; afterwards nothing is written but by who asks for it.

        Without it, the next start makes the listing of the folder and the ledger.
        """
        self._waiting.append(None)
        try:
            self._view.close()
            self._flush_view()
            with self._writing:  # until a thread that is at it has written it, too: the process ends after this
                pass
        finally:
            self._waiting.pop()

    def break_off(self) -> None:
        """Have whoever writes the listing end soon, and leave no unfinished file."""
        self._is_broken_off = True

    def _flush_view_for_reader(self) -> None:
        if not self._view.failed_lately:
            self._flush_view()

    def _flush_view(self) -> None:
        was_failing = self._view.is_failing
        self._waiting.append(None)
        try:
            self._view.flush()
        except OSError as error:
            if not was_failing:
                logger.warning("the listing of %s cannot be written now: %s", self._datastore_path, error)
        finally:
            self._waiting.pop()


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _listed_of(files: PathTable, times: Times, noted: Mapping[str, Any]) -> ListedImages:
    """The images of a listing that was kept."""
    entries = ((image_id, _Entry(entry["image"], entry["labels"])) for image_id, entry in noted.items())
    return ListedImages(files, times, {image_id: _listed(image_id, entry) for image_id, entry in entries})


def read_objects(listing: Path) -> dict[str, ListedImage]:
    """The images of a listing's file by id.

    Raises:
        ValueError: the file is damaged.
    """
    made = 0

    def compact(value: dict[str, Any]) -> Any:
        nonlocal made
        entry = _compact(value)
        made += entry is not value
        return entry

    # Each entry is made as soon as it is read: those of a million images as dictionaries take gigabytes.
    objects = _entries(json.loads(listing.read_text(encoding="utf-8"), object_hook=compact))
    if made != len(objects):  # what a client has said of a label looks like an entry
        whole = _entries(json.loads(listing.read_text(encoding="utf-8")))
        objects = {image_id: _compact(entry) if isinstance(entry, dict) else entry for image_id, entry in whole.items()}
    return {str(image_id): _listed(image_id, entry) for image_id, entry in objects.items()}


def _entries(listing: object) -> dict[str, Any]:
    objects = listing.get("objects") if isinstance(listing, dict) else None
    if not isinstance(objects, dict):
        raise ValueError("expected the listing of a studies folder")
    return objects


class _Entry(NamedTuple):
    """An image of which more is listed than its file, or that has labels."""

    image: dict[str, Any]
    labels: dict[str, Any]


class _File(NamedTuple):
    """An image of which only the file is listed: its ending, its path if it is another than its id, and since when."""

    ending: str
    path: str | None
    since: int


def _compact(value: dict[str, Any]) -> Any:
    """The entry of an image in little memory; other dictionaries as they are."""
    image, labels = value.get("image"), value.get("labels")
    if len(value) != 2 or not isinstance(image, dict) or not isinstance(labels, dict) or "ext" not in image:
        return value
    info, ending = image.get("info"), image["ext"]
    if labels or not isinstance(info, dict) or not info.keys() <= {"ts", "name", FILE}:
        return _Entry(image, labels)
    path, since = info.get(FILE), info.get("ts", 0)
    known = isinstance(ending, str) and isinstance(path, (str, type(None))) and isinstance(since, int)
    return _File(sys.intern(ending), path, since) if known else _Entry(image, labels)


def _listed(image_id: str, entry: object) -> ListedImage:
    if isinstance(entry, _File):
        return ListedImage(image_id, entry.path or f"{image_id}{entry.ending}", entry.since)
    if not isinstance(entry, _Entry):
        raise ValueError(f"expected the entry of an image '{image_id}'")
    labels = {tag: DataModel.model_validate(label) for tag, label in entry.labels.items()}
    return ListedImage.of(image_id, DataModel.model_validate(entry.image), labels)
