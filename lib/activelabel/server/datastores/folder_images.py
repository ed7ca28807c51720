"""The images of a studies folder, listed in the host's format and watched for changes.

The ledger decides which images and labels the project has.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import ORIGINAL
from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.links import LINKS_OUT, leads_out
from activelabel.data.files.names import ENDINGS, ending_of
from activelabel.data.files.studies_folder import FolderContent
from activelabel.data.files.writing import Stamp, write_atomically
from activelabel.data.given_splits import GivenSplit
from activelabel.data.patients.given import GivenPatients
from activelabel.errors import (
    InvalidInputError,
    NotReadyError,
)
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.project.given.channel_files import SHOWN, shown_channel
from activelabel.server.datastores.changed_images import ChangedImages
from activelabel.server.datastores.delayed_call import DelayedCall
from activelabel.server.datastores.folder_following import FolderFollowing
from activelabel.server.datastores.folder_listing import DELAY_SECONDS
from activelabel.server.datastores.folder_watch import FolderWatch, ToldChanges
from activelabel.server.datastores.found_labels import FoundLabels
from activelabel.server.datastores.image_files import require_new_image
from activelabel.server.datastores.listed import ListedImage, new_image
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import FINAL

logger = logging.getLogger(__name__)

LOOK_SHARE = 10.0
"""While something changes, reading the folder takes at most a tenth of the time."""


class FolderImages(FolderFollowing):
    """The part of `LedgerDatastore` that manages images and keeps the listing consistent with folder and ledger."""

    has_series: ClassVar[bool] = False
    _observer: FolderWatch

    def __init__(
        self,
        studies: str,
        ledger: Ledger,
        archive: LabelArchive,
        *,
        validation_cases: int,
        follow_changes: bool,
        images: Path | None = None,
        links_out: bool = False,
        split: GivenSplit | None = None,
        patients: GivenPatients | None = None,
        layout: ChannelLayout = ONE_CHANNEL,
        prepared: PreparedImages | None = None,
        check_images: Callable[[Mapping[str, str]], None] | None = None,
        begin: Callable[[], None] | None = None,
    ) -> None:
        """Open the studies folder.

        Args:
            studies: the folder with the images, the labels in the host's layout, and the listing.
            ledger: the record of annotations.
            archive: checks and keeps labels.
            validation_cases: how many images get the role validation when they are first seen.
            follow_changes: watch the folder and write the listing; true in the server, false in its children.
            images: the folder with the images if it differs from `studies`; nothing is written into it.
            links_out: whether links out of the folder with the images are followed.
            split: the given roles of images, if any; test images are never asked for.
            patients: the given patients, if any; images of unknown patients are passed over.
            layout: how the channels of an image lie in files.
            prepared: the kept prepared images, from which those of a removed image are removed.
            check_images: checks the ids and paths of the images that are found first, before any of them is registered
                or anything is written beside them.
            begin: called once before the first images are registered.

        Raises:
            InvalidInputError: `check_images` raises it, or the folder of labels is a link that leads out and must not
                be followed.
        """
        self._ledger = ledger
        self._archive = archive
        self._changed_images = ChangedImages(ledger, archive)
        self._validation_cases = validation_cases
        self._look = DelayedCall(self._catch_up, DELAY_SECONDS, share=LOOK_SHARE)
        self._told = ToldChanges()
        self._content: FolderContent | None = None
        self._logged_lines: list[str] = []
        self._logged_label_errors: set[str] = set()
        self._placed: dict[Path, Stamp] = {}  # labels that this process has put in place, until the watch tells of it
        self._cut_before_ns = time.time_ns()  # a copy of before may have been cut short; 0 once that was looked for
        self._links_out = links_out
        self._split = split
        self._patients = patients
        self._layout = layout
        self._check_images = check_images
        self._begin = begin
        self._checked: FolderContent | None = None
        self._prepared = prepared or PreparedImages(None)
        self._beside = None if images is None else Path(images)
        self._found_labels = FoundLabels(
            self._beside or Path(studies),
            ledger,
            archive.project_folder,
            ours_elsewhere=self._beside is not None,
            links_out=links_out,
        )
        for tag in ("", FINAL, ORIGINAL):
            self._require_within(Path(studies) / "labels" / tag, Path(studies))
        extensions = tuple(f"*{ending}" for ending in ENDINGS)
        self._is_open = False
        try:
            super().__init__(
                studies, str(images or "."), extensions, archive.project_folder, follow_changes=follow_changes
            )
        except BaseException:
            if hasattr(self, "_observer"):
                self._observer.stop()
            raise
        self._is_open = True
        if self._told.any():
            self._look.request()

    def close(self) -> None:
        """Watch the folder no more, and write the listing if a write is pending; what is done by now is waited for."""
        if hasattr(self, "_observer"):
            self._observer.stop()
            self._observer.join()
        self._look.close()
        super().close()

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        """Begin to watch before the folder is read for the first time, so that no change falls between the two."""
        if self._follows and self.watches_folder and not self._view_was_read:
            watched = [Path(self._datastore_path), *([] if self._beside is None else [self._beside])]
            self._observer = FolderWatch(watched, self)
            self._observer.start()
        super()._init_from_datastore_file(throw_exception)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Add a readable image under a free id.

        Raises:
            InvalidInputError: the image cannot be read.
            NotReadyError: an image already has that id.
        """
        source = Path(image_filename)
        require_new_image(image_id, source, self._layout)
        target = Path(self._datastore.image_path()) / f"{image_id}{ending_of(source.name).lower()}"
        with self._lock:
            if image_id in self._objects or target.exists():
                raise NotReadyError(f"there is an image '{image_id}' already: remove it first, or choose another id")
            write_atomically(target, source.read_bytes())
            self._told.note(target)  # the watch tells of it later, and a look before that would find it gone
            added = ListedImage.of(image_id, new_image(image_id, target.name, image_info))
            self._objects = self._objects.with_image(image_id, added)
            self._sync_ledger()
        self._revision += 1
        self._view.request()
        return image_id

    def get_image_uri(self, image_id: str) -> str:
        """The path of an image's file, with links not resolved; empty for an unknown id.

        Raises:
            InvalidInputError: the file has become a link out of the studies folder.
        """
        path = self._image_path(image_id)
        if path:
            self._require_within(Path(path), Path(self._datastore.image_path()))
        return path

    def image_files(self, image_id: str) -> ImageFiles:
        """All files of an image, of which `get_image_uri` gives the one that names it.

        Raises:
            InvalidInputError: a file has become a link out of the studies folder.
        """
        files = self._layout.files(self.get_image_uri(image_id))
        for path in files.paths[1:]:
            self._require_within(path, Path(self._datastore.image_path()))
        return files

    def shown_file(self, image_id: str) -> Path:
        """The file for viewers: the image's own, or that of its shown channel, made if the channels are frames of one.

        Raises:
            InvalidInputError: the image cannot be read.
        """
        files = self.image_files(image_id)
        return shown_channel(files, self._archive.project_folder / SHOWN, image_id) if files.in_frames else files.path

    def _files(self, image_id: str) -> ImageFiles:
        """The files of an image that is listed, links not checked."""
        return self._layout.files(self._image_path(image_id))

    def _require_within(self, path: Path, folder: Path) -> None:
        if not self._links_out and leads_out(path, folder):
            raise InvalidInputError(f"{path.name}: {LINKS_OUT}")

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """The information about an image, with its path; empty for an unknown id."""
        image = self._objects.get(image_id)
        return {} if image is None else {**image.as_json()["image"]["info"], "path": self._image_path(image_id)}

    def _image_path(self, image_id: str) -> str:
        image = self._objects.get(image_id)
        if image is None:
            return ""
        return os.path.join(os.path.realpath(self._datastore.image_path()), image.file)

    def on_put_in_place(self, target: Path) -> None:
        """React to an image or a label that was put in place."""
        raise NotImplementedError
