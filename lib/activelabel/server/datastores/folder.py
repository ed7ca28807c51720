"""The host's studies folder, with the ledger as the only record of labels.

The layout is the host's: images in the studies folder, labels in `labels/TAG/IMAGE.nii.gz`, and the listing
`datastore_v2.json`, so that the host's clients and other tools work. The listing is only a view: the server alone
writes it, atomically, and takes its labels from the ledger. Every version of every label is kept
in the project folder before the client hears that it was saved.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from activelabel.annotation.archive import Kept
from activelabel.annotation.history_reader import ORIGINAL
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.data.volumes import read_grid
from activelabel.errors import (
    AskedBackError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from activelabel.project.readability import note_image
from activelabel.project.setting_aside import set_aside_unreadable
from activelabel.server.client_info import read_label_info
from activelabel.server.datastores.folder_labels import FolderLabels
from activelabel.server.datastores.image_files import zip_of
from activelabel.server.datastores.segmentation_meta import meta_of
from activelabel.store.case_states import Verdict
from activelabel.store.records.labels import FINAL, Annotation, Draft
from activelabel.store.records.queries import SECOND_READING
from activelabel.store.records.reviews import Review

logger = logging.getLogger(__name__)

REMOVED = "removed_images"
"""Folder below the project folder for images that were removed from the studies."""


class LedgerDatastore(FolderLabels):
    """The host's `LocalDatastore`, which checks labels, keeps every version, and records them in the ledger."""

    # Images

    def fetch(self, image_id: str, go_on: Callable[[], bool]) -> None:
        """Fetch the files of an image that lies elsewhere; an error says why, and nothing is set aside.

        Args:
            image_id: the image.
            go_on: asked between files; if it is False, nothing is kept.

        Raises:
            UnavailableError: what has the image does not answer, or this was not to go on.
            NotFoundError: it no longer has the image.
            InvalidInputError: it is no volume.
        """

    # Labels

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Keep a label as `keep_label` does, and return the id that the host expects."""
        self.keep_label(image_id, label_filename, label_tag, label_info)
        return image_id

    def keep_label(
        self,
        image_id: str,
        label_filename: str,
        label_tag: str,
        label_info: dict[str, Any],
        *,
        decided: bool = False,
    ) -> Kept:
        """Check, keep and record a label, which survives a power cut once this method returns.

        `decided`: a reviewer has chosen it of two readings, so that it counts.

        Raises:
            InvalidInputError: the label cannot be kept; the line says why, and the earlier label stays.
            AskedBackError: the label is kept as a draft, and does not count until it is sent once more.
        """
        tag = str(getattr(label_tag, "value", label_tag))
        info = dict(label_info or {})
        image = self.image_files(image_id)
        with self._ledger.one_look():
            return self._keep_label(image_id, image, label_filename, tag, info, decided=decided)

    def _keep_label(
        self, image_id: str, image: ImageFiles, file: str, tag: str, info: dict[str, Any], *, decided: bool
    ) -> Kept:
        try:
            grid = read_grid(image)
        except InvalidInputError as error:  # damaged since it was asked for; without this it would be asked for again
            set_aside_unreadable(image_id, self, self._ledger, was_scored=True)
            raise InvalidInputError(f"{error}; it is set aside, ask for another") from error
        self._ledger.case_history(image_id)  # by one look, in which whatever else is asked of the image is known
        note_image(image_id, image, self._ledger)
        try:
            kept = self._archive.keep(image_id, tag, file, grid, read_label_info(info), decided=decided)
        except AskedBackError:
            self._show_current(image_id, ORIGINAL, info)
            raise
        case = self._show_kept(kept, info)
        if tag == FINAL and case.image.unreadable_reason is not None:
            self._ledger.mark_readable(image_id)  # it was just read, and the label fits it
        return kept

    def finish_draft(self, image_id: str, annotator: str) -> Annotation:
        """Make an annotator's draft the final label.

        Raises:
            NotFoundError: the annotator has no draft of this image.
        """
        kept = self._archive.finish(image_id, annotator, read_grid(self.image_files(image_id)))
        self._show_kept(kept, {})
        return kept

    def open_for(self, image_id: str, annotator: str) -> Draft | None:
        """Show an annotator's own draft under `original`, which Slicer opens with the image, and return the draft."""
        self._ledger.look_anew()
        with self._lock, self._ledger.one_look():
            draft, file = self._ledger.open_draft(image_id, annotator), self._label_path(image_id, ORIGINAL)
            blind = draft is None and self._reads_second(image_id, annotator)
            anothers = draft is None and self._ledger.shows_draft(image_id, ORIGINAL)
            if anothers or (blind and self._ledger.shows_drawing(image_id, ORIGINAL)):
                # Removed first: after a kill in between, it is put back, not taken in as a foreign label.
                file.unlink(missing_ok=True)
            elif draft is None:  # all is shown as it should be, and nothing is written for that
                return None
            show = self._ledger.hide_drawing if blind else partial(self._ledger.show_draft, annotator=annotator)
            if show(image_id, tag=ORIGINAL):
                shown = self._objects[image_id]
                shown.labels = {tag: label for tag, label in shown.labels.items() if tag != ORIGINAL}
                self._show_current(image_id, ORIGINAL, {})
                self._archive.write_records(image_id)
        return draft

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label from the studies. Its versions stay in the archive."""
        if label_tag == FINAL and self._archive.is_shown_as_original(label_id):
            self.remove_label(label_id, ORIGINAL)
        with self._lock:
            shown = self._objects[label_id]
            # The file goes first: after a kill in between, it is put back, not taken in as a foreign label.
            if label_tag in shown.labels:
                path = self._label_path(label_id, label_tag)
                self._found_labels.keep_copy(path, label_id, label_tag)
                path.unlink(missing_ok=True)
            self._ledger.delete_annotation(label_id, label_tag)
            self._archive.write_records(label_id)
            shown.labels = {tag: label for tag, label in shown.labels.items() if tag != label_tag}
        self._changed_label(label_id, label_tag)

    def status(self) -> dict[str, Any]:
        """The host's counts, in which one annotated slice completes a volume, and counts of annotated slices."""
        progress = self._ledger.progress()
        return {
            **super().status(),
            "annotated_slices": progress.annotated_slices,
            "annotated_volumes": progress.annotated,
            "partly_annotated_volumes": progress.partly_annotated,
        }

    def label_file(self, image_id: str, tag: str) -> Path:
        """The archived file of the current label, which is never overwritten.

        Raises:
            NotFoundError: there is no such label.
            InvalidInputError: the file has changed on disk since it was kept.
        """
        annotation = self._ledger.current_annotation(image_id, tag)
        if annotation is None:
            raise NotFoundError(f"image '{image_id}' has no label tagged '{tag}'")
        return self._archive.sound_file(annotation)

    def rtstruct(self, image_id: str, tag: str) -> bytes:
        """The current label as DICOM RTSTRUCT, which only an image of a PACS can have.

        Raises:
            InvalidInputError: the image is a file.
        """
        raise InvalidInputError(
            f"image '{image_id}': it is a file, and an RTSTRUCT refers to a DICOM series: make it of the label's file "
            "and the series with `activelabel rtstruct`"
        )

    def series_folder(self, image_id: str) -> Path:
        """The folder with the DICOM files of an image, which only an image of a PACS has.

        Raises:
            InvalidInputError: the image is a file.
        """
        raise InvalidInputError(f"image '{image_id}': it is a file, not a DICOM series")

    def _reads_second(self, image_id: str, annotator: str) -> bool:
        """Whether an annotator holds an image for a second reading, and so must not see the first."""
        held = self._ledger.active_lease(annotator)
        return held is not None and (held.image_id, held.strategy) == (image_id, SECOND_READING)

    def kept_file(self, label: Kept) -> Path:
        """The archived file of a label version or draft.

        Raises:
            InvalidInputError: the file has changed on disk since it was kept.
        """
        return self._archive.sound_file(label)

    # Images

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels from the studies. The project folder keeps all files."""
        image = self._files(image_id)
        files = image.paths
        if not os.access(files[0].parent, os.W_OK):
            raise ForbiddenError(f"image '{image_id}' cannot be taken out: its folder cannot be written")
        for tag in list(self._objects[image_id].labels):
            if tag in self._objects[image_id].labels:  # removing a final label may have removed its original
                self.remove_label(image_id, tag)
        self._prepared.forget(image)
        for file in files:
            if file.exists():
                kept = self._archive.project_folder / REMOVED / f"{time.time_ns()}-{file.name}"
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(file, kept)
                logger.warning("image '%s' is taken out of the studies: its file is %s now", image_id, kept)
        self.refresh()

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Annotated images and their labels."""
        return [
            {"image": self._image_path(image_id), "label": self.get_label_uri(image_id, FINAL)}
            for image_id in self.get_labeled_images()
        ]

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """A ZIP file of the annotated images and their labels, each under its id."""
        files = [
            (image_id, self.image_files(image_id), self.label_file(image_id, FINAL))
            for image_id in self.get_labeled_images()[:limit_cases]
        ]
        return zip_of(files, self.listing())

    def show_decision(self, review: Review, *, listed: bool = True) -> None:
        """Show what a reviewer has decided: a returned label as the one that clients open, and in the listing.

        `listed` is False if the listing already says what the reviewer's client knows of the final label.
        """
        image_id = review.image_id
        self._archive.write_records(image_id)
        if review.outcome == Verdict.RETURNED.value:
            self._show_current(image_id, ORIGINAL, {})
        if listed and FINAL in self._objects[image_id].labels:
            self.update_label_info(image_id, FINAL, meta_of(review))

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add entries to the information about a label."""
        with self._lock:
            self._objects[label_id].labels[label_tag].info.update(info)
        self._changed_label(label_id, label_tag)

    # Folder and ledger

    def on_put_in_place(self, target: Path) -> None:
        """React to an image or a label that another program, a child process or this one has put in place."""
        if not self._is_open:
            self.on_change(target)
            return
        image_id = target.name.removesuffix(LABEL_ENDING)
        is_label = target.parent.parent == Path(self._datastore.label_path(None))
        if is_label and self._has_placed(target):
            return
        if is_label and self._ledger.current_annotation(image_id, target.parent.name) is not None:
            self._list_current(image_id, target.parent.name)
        elif target != Path(self._datastore_config_path):
            self.on_change(target)
