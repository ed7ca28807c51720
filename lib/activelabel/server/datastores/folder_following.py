"""Keeps the listing of a studies folder consistent with what lies there and with the ledger.

At the start all of the folder is read, and later what has changed.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import ClassVar

from activelabel.annotation.archive import LabelArchive
from activelabel.data.files.channels import ChannelLayout
from activelabel.data.files.files_of_id import files_of_id
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.many.path_table import PathTable, difference
from activelabel.data.files.studies_folder import FolderContent, alike_line, find_changed, find_images, lines_on
from activelabel.data.given_splits import GivenSplit
from activelabel.data.patients.given import GivenPatients, PatientsOf
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.project.setting_aside import readmit_mended
from activelabel.server.datastores.changed_images import ChangedImages
from activelabel.server.datastores.delayed_call import DelayedCall
from activelabel.server.datastores.folder_listing import FolderListing
from activelabel.server.datastores.folder_watch import ToldChanges
from activelabel.server.datastores.found_labels import FoundLabels
from activelabel.server.datastores.kept_copies import forget_copies
from activelabel.server.datastores.listed import ListedImage
from activelabel.server.datastores.listed_images import ListedImages
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)


class FolderFollowing(FolderListing):
    """The part of `LedgerDatastore` that follows the folder."""

    watches_folder: ClassVar[bool] = True
    _archive: LabelArchive
    _begin: Callable[[], None] | None
    _changed_images: ChangedImages
    _check_images: Callable[[Mapping[str, str]], None] | None
    _checked: FolderContent | None
    _content: FolderContent | None
    _cut_before_ns: int
    _found_labels: FoundLabels
    _is_open: bool
    _layout: ChannelLayout
    _ledger: Ledger
    _links_out: bool
    _logged_lines: list[str]
    _look: DelayedCall
    _patients: GivenPatients | None
    _prepared: PreparedImages
    _split: GivenSplit | None
    _told: ToldChanges
    _validation_cases: int

    def passed_over(self) -> list[str]:
        """The files of the studies folder that are not used: one line for each reason."""
        images = {} if self._content is None else self._content.passed_over
        return lines_on({**images, **self._found_labels.passed_over})

    def patients(self) -> Mapping[str, str]:
        """The patient of each image, if known, found when somebody asks.

        All images of a patient have the same role: training or validation.
        For files in a folder only the settings tell the patient; without them, each image is a patient of its own.
        """
        given = self._patients
        return {} if given is None or not given.tells_any else PatientsOf(given, self._objects)

    def on_change(self, path: Path | None = None) -> None:
        """React to an image or a label that came, went or changed at a path; without a path, to anything anywhere.

        What changes while the folder is read for the first time is looked at after it.
        """
        self._told.note(path)
        if self._is_open:
            self._look.request()

    def look_for(self, image_id: str) -> None:
        """List the image of this id if its file came a moment ago, so that nobody has told of it yet.

        Only files that it may be are looked for, unless nobody can say which these are.
        """
        folder = Path(self._datastore.image_path())
        by_name = self.watches_folder and self._content is not None and not self._layout
        paths = files_of_id(image_id, folder) if by_name else None
        if paths is None:
            self.refresh()
            return
        for path in paths:
            self._told.note(folder / path)
        if paths:
            self._catch_up()

    def _catch_up(self) -> None:
        """Read again what has changed, or all if nobody can say what that is."""
        try:
            with self._lock:  # first, so that what others change meanwhile is among what was told
                told = self._told.take()
                content = None if told is None or not self.watches_folder else self._content
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
        before = self._told_of()
        as_before, self._content = content is self._content, content
        came, gone = ({}, {}) if as_before else self._list_changed(content)
        if came or gone:
            self._sync_changed(came, gone)
            self._say_alike(came)
            self._forget_copies(gone)
        self.readmit_mended()
        self._reconcile_labels()
        self._say_passed_over()
        if came or gone or self._told_of() != before:
            self._revision += 1
        if came or gone or not self._is_written():
            self._view.request()
        else:
            self._view.note()

    def _list_changed(self, content: FolderContent) -> tuple[Mapping[str, str], dict[str, ListedImage]]:
        """List the images of a folder; return the paths of those that came, and the entries of those that are gone."""
        files = PathTable.of(content.files)
        came, without = difference(self._listed_paths(), files)
        gone = {image_id: self._objects[image_id] for image_id in without}
        if came or gone:
            self._objects = self._objects.changed(files, came, gone)
        return came, gone

    def _sync_changed(self, came: Collection[str], gone: Collection[str]) -> None:
        if self._split is not None:  # it may concern all images
            self._sync_ledger()
            return
        self._begin_with(came)
        patients = {} if self._patients is None else self._patients.of_all(came)
        self._ledger.sync_changed(came, gone, self._validation_cases, patients)

    def _reconcile_datastore(self) -> None:
        """Update the listing to the images in the folder and the labels in the ledger."""
        with self._lock:
            before, shown = self._told_of(), self._objects
            # Always another object: other threads go through the old one.
            self._objects = self._find_images()
            came, without = difference(shown.files, self._listed_paths())
            gone = {image_id: shown[image_id] for image_id in without}
            self._apply_changes()
            self._sync_ledger()
            if self._follows and gone:
                self._forget_copies(gone)
            if self._follows:
                self.readmit_mended()
            self._reconcile_labels()
            self._say_passed_over()
            self._say_alike(came)
            if came or gone or self._told_of() != before:
                self._revision += 1
        if self._follows and self.watches_folder:
            self._notice_changed()
        if came or gone or not self._is_written():
            self._view.request()
        else:
            self._view.note()

    def _told_of(self) -> object:
        """On what `status`, `passed_over` and `patients` depend, beside the images that there are."""
        return self._listed_tags(), self.passed_over()

    def _listed_tags(self) -> dict[str, list[str]]:
        """The tags of the labels of each image that has some."""
        return {image_id: sorted(shown.labels) for image_id, shown in self._objects.labelled().items()}

    def _forget_copies(self, gone: Mapping[str, ListedImage]) -> None:
        """Remove what is kept of images that are gone and can be made again."""
        forget_copies(gone, self._archive.project_folder, self._prepared)

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        """Read the listing, and check the images that are found first, before the host makes folders beside them."""
        super()._init_from_datastore_file(throw_exception)
        check, self._check_images = self._check_images, None
        if check is not None:
            self._checked = self._read_folder()
            check(self._checked.files)

    def _read_folder(self) -> FolderContent:
        folder, ours = Path(self._datastore.image_path()), self._archive.project_folder
        without = () if folder.resolve().is_relative_to(ours.resolve()) else (ours,)
        return find_images(folder, self._listed_paths(), without, links_out=self._links_out, layout=self._layout)

    def _find_images(self) -> ListedImages:
        """The images that exist now, with what is listed of them."""
        content, self._checked = self._read_folder() if self._checked is None else self._checked, None
        self._content = content if self._patients is None else self._patients.known_only(content)
        return self._objects.with_files(self._content.files)

    def _say_alike(self, came: Mapping[str, str]) -> None:
        """Log the images that came and have nearly the name of another one."""
        line = alike_line(self._content.files, came) if self._follows and came and self._content is not None else None
        if line is not None:
            logger.warning("%s", line)

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
        labels = [label for label in self._ledger.annotations() if label.image_id in self._objects]
        self._changed_images.set_aside(labels, self._files, self)

    def _sync_ledger(self) -> None:
        if self._follows:
            images: Collection[str] = self._listed_paths()
            given = None
            if self._split is not None:
                images, given = self._split.without_test(images), self._split.is_validation
            self._begin_with(images)
            rule = None if self._patients is None else self._patients.rule
            patients = self.patients()
            told = patients if isinstance(patients, PatientsOf) or patients else None  # those are not counted
            self._ledger.sync_images(images, self._validation_cases, told, given, rule)

    def _begin_with(self, images: Collection[str]) -> None:
        """Let the project begin if these are the first images of this start that are registered."""
        if images and self._begin is not None:
            self._begin()
            self._begin = None

    def _listed_files(self, image_id: str) -> ImageFiles | None:
        return self._files(image_id) if image_id in self._objects else None

    def image_files(self, image_id: str) -> ImageFiles:
        """All files of an image."""
        raise NotImplementedError

    def _files(self, image_id: str) -> ImageFiles:
        """The files of an image that is listed, links not checked."""
        raise NotImplementedError

    def _reconcile_labels(self) -> None:
        """Update the listing to the labels in the ledger."""
        raise NotImplementedError
