"""The labels of a studies folder: the ledger's are put where the host looks for them, those of others taken in."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from activelabel.annotation.archive import Kept
from activelabel.annotation.coverage import WHOLE
from activelabel.annotation.history_reader import ORIGINAL
from activelabel.data.files.behind import write_behind
from activelabel.data.files.digest import file_sha256
from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.data.files.writing import file_stamp
from activelabel.data.volumes import read_grid
from activelabel.errors import (
    ActiveLabelError,
    InvalidInputError,
)
from activelabel.project.listing import listed_labels
from activelabel.project.rebuilding import UNKNOWN
from activelabel.server.client_info import read_label_info
from activelabel.server.datastores.folder_images import FolderImages
from activelabel.server.datastores.listed import (
    COVERED,
    NOT_USED,
    SLICE_AXIS,
    is_listed,
    listed_label,
)
from activelabel.server.datastores.segmentation_meta import meta_of
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.labels import FINAL, Annotation, Draft

logger = logging.getLogger(__name__)


class FolderLabels(FolderImages):
    """The part of `LedgerDatastore` that keeps the folder of labels consistent with the ledger."""

    def _list_current(self, image_id: str, tag: str) -> None:
        """List a label that a child process has saved; labels of this process are already listed."""
        self._ledger.look_anew()
        with self._lock:
            annotation = self._ledger.current_annotation(image_id, tag)
            if annotation is not None and image_id in self._objects and not self._lists(annotation):
                self._show_label(annotation, {})
                self._changed_label(image_id, tag)

    def _reconcile_labels(self) -> None:
        current = {(item.image_id, item.tag): item for item in self._ledger.current_labels()}
        if self._follows:
            self._take_in_foreign_labels(current)
        for image_id, shown in self._objects.labelled().items():
            if any((image_id, tag) not in current for tag in shown.labels):
                shown.labels = {tag: label for tag, label in shown.labels.items() if (image_id, tag) in current}
        for (image_id, _), annotation in current.items():
            if image_id not in self._objects:
                continue
            listed = self._lists(annotation)
            if self._follows and not (listed and self._is_in_place(annotation)):
                self._put_back(annotation, listed)
            if not listed:
                self._show_label(annotation, {})
        if self._follows:
            self._cut_before_ns = 0

    def _is_in_place(self, annotation: Annotation) -> bool:
        """Whether the label's copy for other tools is there; at a start only its beginning may be, after a power cut.

        Later such a file is one that another program is writing.
        """
        file = self._label_path(annotation.image_id, annotation.tag)
        if not file.is_file():
            return False
        status, kept = file.stat(), self._archive.file(annotation)
        is_shorter = annotation.file_size is not None and status.st_size < annotation.file_size
        if not is_shorter or status.st_mtime_ns >= self._cut_before_ns or not kept.is_file():
            return True
        return not kept.read_bytes().startswith(file.read_bytes().rstrip(b"\0"))

    def _put_back(self, annotation: Annotation, listed: bool) -> None:
        """Copy a kept label to its place in the studies, unless its archived file has changed on disk."""
        try:
            self._place(annotation)
        except InvalidInputError as error:
            if str(error) not in self._logged_label_errors:
                logger.warning("%s", error)
            self._logged_label_errors.add(str(error))
            return
        if listed:
            tag, image_id = annotation.tag, annotation.image_id
            logger.warning("the label '%s' of '%s' was gone from its folder, or cut short, and is back", tag, image_id)

    def _take_in_foreign_labels(self, current: dict[tuple[str, str], Annotation]) -> None:
        """Record foreign label files (of other projects, or put there by hand) that pass the checks, also in `current`.

        The listed information about an unused label is kept with its image as long as the file exists: it may say which
        slices the file covers, and without it the other slices would count as background.
        """
        not_used = defaultdict[str, dict[str, Any]](dict)
        beside = {} if self._beside is None else listed_labels(self._beside)

        def take(path: Path, image_id: str, tag: str, name: str) -> None:
            shown = self._objects[image_id]
            known = shown.labels[tag].info if tag in shown.labels else (shown.noted(NOT_USED) or {}).get(tag, {})
            known = beside.get((image_id, tag), known)
            try:
                if not known and not name:
                    self._check_slices_are_known(path, image_id, tag)
                self._take_in(path, image_id, tag, known, name)
            except ActiveLabelError:
                if known:
                    not_used[image_id][tag] = known
                raise
            for kept_tag in (tag, ORIGINAL):
                annotation = self._ledger.current_annotation(image_id, kept_tag)
                if annotation is not None:
                    current[image_id, kept_tag] = annotation

        if self._content is not None:
            self._found_labels.take_in(self._content, current.keys(), take)
        had = {image_id for image_id, shown in self._objects.noted.items() if shown.noted(NOT_USED) is not None}
        for image_id in sorted(had | not_used.keys()):
            shown = self._objects[image_id]
            info = {key: value for key, value in shown.image.info.items() if key != NOT_USED}
            shown.image.info = {**info, NOT_USED: not_used[image_id]} if image_id in not_used else info

    def _check_slices_are_known(self, path: Path, image_id: str, tag: str) -> None:
        """Refuse the copy of a label of this project whose record was lost, as it may cover a few slices only.

        Raises:
            InvalidInputError: it is one.
        """
        lost = {label.sha256 for label in self._ledger.history(image_id) if label.annotator == UNKNOWN}
        if tag == FINAL and lost and file_sha256(path) in lost:
            raise InvalidInputError(
                "nobody knows which slices it covers, as its record is lost and so is the listing: draw the image "
                f"again; or, if all of it was drawn, rename the file to IMAGE_label{LABEL_ENDING}"
            )

    def _take_in(self, path: Path, image_id: str, tag: str, known: Mapping[str, Any], name: str) -> None:
        """Keep a label file that covers the slices in `known`, or the whole volume if `known` names none."""
        info = {"client_id": f"found in labels/{tag}", COVERED: WHOLE, **known, "finished": True, "confirmed": True}
        if tag == FINAL and info[COVERED] != WHOLE:
            listed = info.get(SLICE_AXIS)
            axis = self._archive.slice_axis(image_id, read_grid(self.image_files(image_id)))
            if listed != axis:
                raise InvalidInputError(
                    f"its slices are listed along axis {listed}, expected {axis}: choose the --conf slice_plane in "
                    "which they were drawn"
                )
        self._archive.keep(image_id, tag, path, read_grid(self.image_files(image_id)), read_label_info(info), name)
        self._show_current(image_id, tag, info)

    def _show_kept(self, kept: Kept, info: dict[str, Any]) -> CaseHistory:
        return self._show_current(kept.image_id, ORIGINAL if isinstance(kept, Draft) else kept.tag, info)

    def _show_current(self, image_id: str, tag: str, info: dict[str, Any]) -> CaseHistory:
        """Show the ledger's current label, which may have been saved after the one of the caller; return the case.

        If the label under `original` is a final label too, it is shown along with the final one.
        """
        self._ledger.look_anew()
        with self._lock:
            case = self._ledger.case_history(image_id)
            both = tag == FINAL and case.shows(ORIGINAL)
            for shown in (FINAL, ORIGINAL) if both else (tag,):
                annotation = case.current(shown)
                if annotation is not None:
                    self._place(annotation)
                    self._show_label(annotation, info, case)
                self._changed_label(image_id, shown)
            return case

    def _place(self, annotation: Annotation) -> None:
        """Copy the kept label to the place where the host and other tools look for it.

        Nothing waits for the disk: a copy that a power cut has damaged is made again, see `_is_in_place`.
        """
        target = self._label_path(annotation.image_id, annotation.tag)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._require_within(target.parent, Path(self._datastore_path))
        self._found_labels.keep_copy(target, annotation.image_id, annotation.tag)
        write_behind(target, self._archive.sound_file(annotation).read_bytes())
        with suppress(FileNotFoundError):
            self._placed[target] = file_stamp(target.stat())

    def _has_placed(self, target: Path) -> bool:
        """Whether this process has put in place the label that is there, and lists it."""
        placed = self._placed.pop(target, None)
        try:
            return placed is not None and placed == file_stamp(target.stat())
        except FileNotFoundError:
            return False

    def _label_path(self, image_id: str, tag: str) -> Path:
        return Path(self._datastore.label_path(tag)) / f"{image_id}{LABEL_ENDING}"

    def _show_label(self, annotation: Annotation, info: Mapping[str, Any], case: CaseHistory | None = None) -> None:
        """List a label; see `listed_label`. `case` is what the ledger knows of its image, if that was read already."""
        case = case or self._ledger.case_history(annotation.image_id)
        decision = case.decisions.get(annotation.id)
        info = info if decision is None else {**meta_of(decision), **info}
        listed = listed_label(annotation, info, self._archive.labels, case.image.slice_axis)
        image = self._objects[annotation.image_id]
        image.labels = {**image.labels, annotation.tag: listed}

    def _lists(self, annotation: Annotation) -> bool:
        return is_listed(annotation, self._objects[annotation.image_id])
