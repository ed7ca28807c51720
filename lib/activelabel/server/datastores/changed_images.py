"""Notices annotated images of a folder that have changed since their labels were drawn."""

from collections.abc import Callable, Collection

from activelabel.annotation.archive import LabelArchive
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.state import FileState, state_of
from activelabel.data.volumes import read_grid
from activelabel.errors import InvalidInputError
from activelabel.project.images import Images
from activelabel.project.readability import has_changed, may_be_touched_only
from activelabel.project.setting_aside import set_aside, set_aside_unreadable
from activelabel.store.ledger import Ledger
from activelabel.store.records.images import Image
from activelabel.store.records.labels import Annotation

FilesOf = Callable[[str], ImageFiles]


class ChangedImages:
    """Sets annotated images aside whose content, or the file of whose label, has changed since the annotation."""

    def __init__(self, ledger: Ledger, archive: LabelArchive) -> None:
        """Look at the images of `ledger`, whose labels `archive` keeps."""
        self._ledger = ledger
        self._archive = archive
        self._headers_seen: dict[str, FileState] = {}

    def set_aside(self, labels: Collection[Annotation], files_of: FilesOf, datastore: Images) -> None:
        """Set aside those of the images of these labels that have changed; `datastore` has their files."""
        drawn = {label.image_id: label for label in labels}
        for image in self._usable_of(drawn):
            files = files_of(image.id)
            if not has_changed(image, files):
                continue
            if may_be_touched_only(image, files):
                self._look_at_header(drawn[image.id], files, datastore)
            else:
                self._look_at_changed(drawn[image.id], files, datastore)
        usable = {image.id for image in self._usable_of(drawn)}
        for annotation in (label for label in labels if label.image_id in usable):
            try:
                self._archive.sound_file(annotation)
            except InvalidInputError as error:
                set_aside(annotation.image_id, error, self._ledger, datastore, self._archive.file(annotation))

    def _look_at_changed(self, label: Annotation, files: ImageFiles, datastore: Images) -> None:
        """Set an annotated image whose file has changed aside if it is not the one on which its label was drawn.

        The grid comes first: once the state of the file is recorded, nobody looks at it again, also after a crash. If
        the content is another one too, that is the reason in the end.
        """
        self._check_header(label, files, datastore)
        set_aside_unreadable(label.image_id, datastore, self._ledger, was_scored=True)

    def _look_at_header(self, label: Annotation, files: ImageFiles, datastore: Images) -> None:
        """Look, once, at the header of an annotated image of which nothing but the time of its entry has changed.

        After a folder was copied this is so of all of them. The voxels of each are compared when it is read the next
        time, for a training or an annotator.
        """
        state = state_of(files)
        if self._headers_seen.get(label.image_id) != state:
            self._check_header(label, files, datastore)
            self._headers_seen[label.image_id] = state

    def _check_header(self, label: Annotation, files: ImageFiles, datastore: Images) -> None:
        """Set an annotated image aside if its header no longer says what it said when its label was drawn."""
        try:
            grid = read_grid(files)
        except InvalidInputError:  # who reads it sets it aside
            return
        try:
            self._archive.check_grid(label, grid)
        except InvalidInputError as error:
            set_aside(label.image_id, error, self._ledger, datastore, self._archive.file(label))

    def _usable_of(self, ids: Collection[str]) -> list[Image]:
        """Those of these images that were not set aside."""
        return [image for image in self._ledger.images_of(ids) if image.usable]
