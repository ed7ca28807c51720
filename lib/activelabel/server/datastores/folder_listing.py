"""The host's listing of a studies folder: read once, kept in memory, and written when somebody needs it.

`datastore_v2.json` is only a view: the server alone writes it, atomically, when images come or go, when somebody asks
for it, and when it stops. A label that changes meanwhile is one more line beside it (see `project.listing`).
"""

import json
import logging
import shutil
import threading
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from monailabel.datastore.local import DataModel, LocalDatastore, LocalDatastoreModel

from activelabel.data.files.writing import write_atomically
from activelabel.project.listing import CHANGES, changes, note_change
from activelabel.server.datastores.delayed_call import DelayedCall
from activelabel.server.datastores.listed import file_below

logger = logging.getLogger(__name__)

DELAY_SECONDS = 1.0
VIEW_SHARE = 100.0
"""While images come and go, writing the listing takes at most a hundredth of the time."""


class FolderListing(LocalDatastore):
    """The part of `LedgerDatastore` that reads and writes the listing."""

    _beside: Path | None
    _images_dir: str

    def __init__(self, studies: str, images_dir: str, extensions: tuple[str, ...], *, follow_changes: bool) -> None:
        """Read the listing of `studies` and reconcile it with what there is; only `follow_changes` writes it."""
        self._follows = follow_changes
        self._images_dir = images_dir
        self._view_was_read = False
        self._revision = 0
        self._lock = threading.RLock()
        self._view = DelayedCall(self._write_view, DELAY_SECONDS, share=VIEW_SHARE)
        self._changes: list[tuple[str, str, dict[str, Any] | None]] = []
        self._written = b""  # content of the listing that was written last
        super().__init__(studies, images_dir=images_dir, extensions=extensions, auto_reload=False)

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add entries to the information about an image."""
        with self._lock:
            self._datastore.objects[image_id].image.info.update(info)
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
                listed = self._datastore.objects.get(image_id)
                label = None if listed is None else listed.labels.get(tag)
                note_change(Path(self._datastore_path), image_id, tag, None if label is None else label.model_dump())
        self._view.note()

    def json(self) -> Any:
        """The listing, which is written to its file as well, since somebody asks for it."""
        self._view.flush()
        return super().json()

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
            self._datastore = LocalDatastoreModel.model_validate_json(path.read_text(encoding="utf-8"))
            self._datastore.base_path = self._datastore_path
            self._datastore.images_dir = self._images_dir
        except ValueError as error:
            damaged = Path(self._datastore_path) / f"{path.name}.damaged-{time.time_ns()}"
            shutil.copy(path, damaged)
            logger.warning("%s is damaged (%s): kept as %s and made anew", path, type(error).__name__, damaged.name)

    def _apply_changes(self) -> None:
        """Bring the listing as it was read up to the labels that changed after it was written."""
        changed, self._changes = self._changes, []
        for image_id, tag, label in changed:
            if image_id in self._datastore.objects:
                labels = self._datastore.objects[image_id].labels
                labels.pop(tag, None)
                if label is not None:
                    labels[tag] = DataModel.model_validate(label)

    def _update_datastore_file(self, lock: bool = True) -> None:
        self._view.note()

    def _listed_paths(self) -> dict[str, str]:
        """The file of each listed image, by which other programs know it."""
        return {image_id: file_below(image_id, shown.image) for image_id, shown in self._datastore.objects.items()}

    def _write_view(self) -> None:
        if not self._follows:
            return
        with self._lock:
            content = json.dumps(self._datastore.model_dump(exclude={"base_path"}), indent=2, default=str).encode()
            path = Path(self._datastore_config_path)
            if content != self._written or not path.is_file():
                write_atomically(path, content)
                self._written = content
            (path.parent / CHANGES).unlink(missing_ok=True)  # after the listing, which has them all now

    def close(self) -> None:
        """Write the listing if a write is pending."""
        self._view.flush()
