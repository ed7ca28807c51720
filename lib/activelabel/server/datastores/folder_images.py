"""The images of a studies folder, listed in the host's format and watched for changes.

The ledger decides which images and labels the project has.
"""

import copy
import logging
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from monailabel.datastore.local import DataModel, ImageLabelModel

from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import ORIGINAL
from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.links import LINKS_OUT, leads_out
from activelabel.data.files.names import ENDINGS, ending_of
from activelabel.data.files.studies_folder import FolderContent, find_changed, find_images, lines_on
from activelabel.data.files.writing import write_atomically
from activelabel.data.given_patients import GivenPatients
from activelabel.data.given_splits import GivenSplit
from activelabel.errors import (
    InvalidInputError,
    NotReadyError,
)
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.project.given.channel_files import SHOWN, shown_channel
from activelabel.project.readability import has_changed, readmit_mended, set_aside, set_aside_unreadable
from activelabel.server.datastores.delayed_call import DelayedCall
from activelabel.server.datastores.folder_listing import DELAY_SECONDS, FolderListing
from activelabel.server.datastores.folder_watch import FolderWatch, ToldChanges
from activelabel.server.datastores.found_labels import FoundLabels
from activelabel.server.datastores.image_files import require_new_image
from activelabel.server.datastores.kept_copies import forget_copies
from activelabel.server.datastores.listed import (
    file_below,
    new_image,
)
from activelabel.store.ledger import Ledger
from activelabel.store.records.images import Image
from activelabel.store.records.labels import FINAL, Annotation

logger = logging.getLogger(__name__)

LOOK_SHARE = 10.0
"""While something changes, reading the folder takes at most a tenth of the time."""


class FolderImages(FolderListing):
    """The part of `LedgerDatastore` that manages images and keeps the listing consistent with folder and ledger."""

    watches_folder: ClassVar[bool] = True
    has_series: ClassVar[bool] = False

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

        Raises:
            InvalidInputError: the folder of labels is a link that leads out and must not be followed.
        """
        self._ledger = ledger
        self._archive = archive
        self._validation_cases = validation_cases
        self._look = DelayedCall(self._catch_up, DELAY_SECONDS, share=LOOK_SHARE)
        self._told = ToldChanges()
        self._content: FolderContent | None = None
        self._logged_lines: list[str] = []
        self._logged_label_errors: set[str] = set()
        self._links_out = links_out
        self._split = split
        self._patients = patients
        self._layout = layout
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
        super().__init__(studies, str(images or "."), extensions, follow_changes=follow_changes)
        if follow_changes and self.watches_folder:
            watched = [Path(studies), *([] if self._beside is None else [self._beside])]
            self._observer = FolderWatch(watched, self)
            self._observer.start()

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
            if image_id in self._datastore.objects or target.exists():
                raise NotReadyError(f"there is an image '{image_id}' already: remove it first, or choose another id")
            write_atomically(target, source.read_bytes())
            added = ImageLabelModel(image=new_image(image_id, target.name, image_info))
            self._datastore.objects = {**self._datastore.objects, image_id: added}
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

    def _listed_files(self, image_id: str) -> ImageFiles | None:
        return self._files(image_id) if image_id in self._datastore.objects else None

    def _files(self, image_id: str) -> ImageFiles:
        """The files of an image that is listed, links not checked."""
        return self._layout.files(self._image_path(image_id))

    def _require_within(self, path: Path, folder: Path) -> None:
        if not self._links_out and leads_out(path, folder):
            raise InvalidInputError(f"{path.name}: {LINKS_OUT}")

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """The information about an image, with its path; empty for an unknown id."""
        image = self._datastore.objects.get(image_id)
        return {} if image is None else {**copy.deepcopy(image.image.info), "path": self._image_path(image_id)}

    def passed_over(self) -> list[str]:
        """The files of the studies folder that are not used: one line for each reason."""
        images = {} if self._content is None else self._content.passed_over
        return lines_on({**images, **self._found_labels.passed_over})

    def _image_path(self, image_id: str) -> str:
        image = self._datastore.objects.get(image_id)
        if image is None:
            return ""
        return os.path.join(os.path.realpath(self._datastore.image_path()), file_below(image_id, image.image))

    def patients(self) -> dict[str, str]:
        """The patient of each image, if known. All images of a patient have the same role: training or validation.

        For files in a folder only the settings tell the patient; without them, each image is a patient of its own.
        """
        return {} if self._patients is None else self._patients.of_all(self._datastore.objects)

    def on_change(self, path: Path | None = None) -> None:
        """React to an image or a label that came, went or changed at a path; without a path, to anything anywhere."""
        self._told.note(path)
        self._look.request()

    def _catch_up(self) -> None:
        """Read again what has changed, or all if nobody can say what that is."""
        told = self._told.take()
        content = None if told is None or not self.watches_folder else self._content
        try:
            with self._lock:
                found = None if told is None or content is None else self._find_changed(content, told)
                if found is not None:
                    self._reconcile_changed(found)
            if found is None:
                self.refresh()
            else:
                self._notice_changed()
        except BaseException:
            self._told.note(None)  # what was not finished is read with all the rest
            raise

    def _find_changed(self, content: FolderContent, told: Collection[Path]) -> FolderContent | None:
        """The content after changes at these paths; None if all must be read."""
        folder = Path(self._datastore.image_path())
        below = [path.relative_to(folder).as_posix() for path in told if path.is_relative_to(folder)]
        try:
            found = find_changed(content, below, self._listed_paths())
        except OSError:  # reading all says what is wrong with the folder
            found = None
        return found if found is None or self._patients is None else self._patients.known_only(found)

    def _reconcile_changed(self, content: FolderContent) -> None:
        """Do what `_reconcile_datastore` does, for the images that differ from the listed ones."""
        self._content = content
        known, shown = self._listed_paths(), dict(self._datastore.objects)
        came = {image_id: path for image_id, path in content.files.items() if known.get(image_id) != path}
        gone = {image_id: shown.pop(image_id) for image_id in known.keys() - content.files.keys()}
        for image_id, path in came.items():
            shown.setdefault(image_id, ImageLabelModel(image=new_image(image_id, path, {})))
            shown[image_id].image = new_image(image_id, path, {})
        if came or gone:
            self._datastore.objects = {image_id: shown[image_id] for image_id in sorted(shown)}
            self._sync_changed(came, gone)
            self._forget_copies(gone)
        self.readmit_mended()
        self._reconcile_labels()
        self._say_passed_over()
        self._revision += 1
        if came or gone or not Path(self._datastore_config_path).is_file():
            self._view.request()
        else:
            self._view.note()

    def _sync_changed(self, came: Collection[str], gone: Collection[str]) -> None:
        if self._split is not None:  # it may concern all images
            self._sync_ledger()
            return
        patients = {} if self._patients is None else self._patients.of_all(came)
        self._ledger.sync_changed(came, gone, self._validation_cases, patients)

    def _reconcile_datastore(self) -> None:
        """Update the listing to the images in the folder and the labels in the ledger."""
        with self._lock:
            before, images_before = self._shown(), self._listed_paths()
            found, shown = self._find_images(), dict(self._datastore.objects)
            for image_id, image in found.items():
                shown.setdefault(image_id, ImageLabelModel(image=image)).image = image
            # Always assign a new dictionary: other threads iterate over the old one.
            self._datastore.objects = {image_id: shown[image_id] for image_id in sorted(found)}
            gone = {image_id: shown[image_id] for image_id in shown.keys() - found.keys()}
            self._apply_changes()
            self._sync_ledger()
            if self._follows and gone:
                self._forget_copies(gone)
            if self._follows:
                self.readmit_mended()
            self._reconcile_labels()
            self._say_passed_over()
            if self._shown() != before:
                self._revision += 1
        if self._follows and self.watches_folder:
            self._notice_changed()
        if self._listed_paths() != images_before or not Path(self._datastore_config_path).is_file():
            self._view.request()
        else:
            self._view.note()

    def _forget_copies(self, gone: Mapping[str, ImageLabelModel]) -> None:
        """Remove what is kept of images that are gone and can be made again."""
        forget_copies(gone, self._archive.project_folder, self._prepared)

    def _shown(self) -> object:
        """The content of the listing on which `status`, `passed_over` and `patients` depend."""
        tags = {image_id: sorted(shown.labels) for image_id, shown in self._datastore.objects.items()}
        return tags, self.passed_over(), self.patients()

    def _find_images(self) -> dict[str, DataModel]:
        """The images that exist now, by id, with their listed information."""
        folder, shown = Path(self._datastore.image_path()), self._datastore.objects
        known = {image_id: file_below(image_id, shown[image_id].image) for image_id in shown}
        ours = self._archive.project_folder
        without = () if folder.resolve().is_relative_to(ours.resolve()) else (ours,)
        content = find_images(folder, known, without, links_out=self._links_out, layout=self._layout)
        self._content = content if self._patients is None else self._patients.known_only(content)
        return {
            image_id: shown[image_id].image if known.get(image_id) == path else new_image(image_id, path, {})
            for image_id, path in self._content.files.items()
        }

    def _say_passed_over(self) -> None:
        """Log each new line of `passed_over`."""
        lines = self.passed_over() if self._follows else []
        for line in lines:
            if line not in self._logged_lines:
                logger.warning("%s", line)
        self._logged_lines = lines

    def readmit_mended(self, at_start: bool = False) -> None:
        """Readmit images that were set aside and whose files, or whose labels' files, have changed since.

        Images without a recorded state of their files are readmitted at each start.
        """
        if self.watches_folder:
            readmit_mended(self._ledger, self._listed_files, self._archive.file, at_start=at_start)

    def _notice_changed(self) -> None:
        """Set aside annotated images whose content or label file has changed since the annotation."""
        labels = [label for label in self._ledger.annotations() if label.image_id in self._datastore.objects]
        for image in self._usable_of(labels):
            if has_changed(image, self._files(image.id)):
                set_aside_unreadable(image.id, self, self._ledger, was_scored=True)
        usable = {image.id for image in self._usable_of(labels)}
        for annotation in (label for label in labels if label.image_id in usable):
            try:
                self._archive.sound_file(annotation)
            except InvalidInputError as error:
                set_aside(annotation.image_id, error, self._ledger, self, self._archive.file(annotation))

    def _usable_of(self, labels: Iterable[Annotation]) -> list[Image]:
        """The images of labels, without those that were set aside."""
        return [image for image in self._ledger.images_of({label.image_id for label in labels}) if image.usable]

    def _sync_ledger(self) -> None:
        if self._follows:
            images, given = [*self._datastore.objects], None
            if self._split is not None:
                images, given = self._split.without_test(images), self._split.is_validation
            self._ledger.sync_images(images, self._validation_cases, self.patients(), given)

    def on_put_in_place(self, target: Path) -> None:
        """React to an image or a label that was put in place."""
        raise NotImplementedError

    def _reconcile_labels(self) -> None:
        """Update the listing to the labels in the ledger."""
        raise NotImplementedError
