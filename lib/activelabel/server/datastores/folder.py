"""The host's studies folder, with the ledger as the truth about labels.

The layout is the host's: images in the studies folder, labels in `labels/TAG/IMAGE.nii.gz`, everything listed in
`datastore_v2.json`, so that its clients and other tools go on working. But the JSON is only a view here. It is written
whole or not at all, by the server alone, after the fact; what it says of labels comes from the ledger, and every
version of every label is kept in the project folder before the client hears that it was saved.
"""

import copy
import json
import logging
import os
import shutil
import tempfile
import threading
import time
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore, LocalDatastoreModel

from activelabel.annotation.archive import Kept, LabelArchive
from activelabel.annotation.coverage import ASKED_BACK, ORIGINAL, WHOLE
from activelabel.data.file_names import ENDINGS, ending_of, label_words_off, no_image
from activelabel.data.files import write_atomically
from activelabel.data.given_splits import GivenSplit
from activelabel.data.links import LINKS_OUT, leads_out
from activelabel.data.studies_folder import LABEL_ENDING, FolderContent, find_images, lines_on
from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import (
    ActiveLabelError,
    AskedBackError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    NotReadyError,
)
from activelabel.project.listing import FILE, file_of, listed_labels
from activelabel.project.readability import has_changed, may_be_mended, note_image, set_aside, set_aside_unreadable
from activelabel.server.client_info import read_label_info
from activelabel.server.datastores.delayed_call import DelayedCall
from activelabel.server.datastores.folder_watch import FolderWatch
from activelabel.server.datastores.found_labels import FoundLabels
from activelabel.store.ledger import Ledger
from activelabel.store.records import FINAL, Annotation, Draft

logger = logging.getLogger(__name__)

DELAY_SECONDS = 1.0
COVERED = "annotated_slices"
SLICE_AXIS = "slice_axis"
NOT_USED = "labels_not_used"
REMOVED = "removed_images"
"""Below the project folder: images that were taken out of the studies."""


class LedgerDatastore(LocalDatastore):
    """`LocalDatastore` whose labels are checked, kept in every version, and recorded in the ledger."""

    watches_folder: ClassVar[bool] = True

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
    ) -> None:
        """Open the studies folder.

        Args:
            studies: the folder with the images, the labels as the host lays them out, and its listing.
            ledger: where annotations are recorded.
            archive: where labels are checked and kept.
            validation_cases: how many images are set aside for validation when first seen.
            follow_changes: watch the folder and write the JSON view; for the server, not for its children.
            images: the folder with the images, if it is another, in which then nothing is written.
            links_out: links out of the folder with the images are followed.
            split: which images judge and which learn, where people say so; those that test are never asked for.

        Raises:
            InvalidInputError: the folder of labels is a link that must not be followed.
        """
        self._ledger = ledger
        self._archive = archive
        self._validation_cases = validation_cases
        self._follows = follow_changes
        self._split = split
        self._view_was_read = False
        self._lock = threading.RLock()
        self._view = DelayedCall(self._write_view, DELAY_SECONDS)
        self._look = DelayedCall(self.refresh, DELAY_SECONDS)
        self._written = b""  # what the JSON view was last
        self._content: FolderContent | None = None
        self._said: list[str] = []
        self._said_of_labels: set[str] = set()
        self._links_out = links_out
        self._beside = None if images is None else Path(images)
        self._found_labels = FoundLabels(
            self._beside or Path(studies),
            ledger,
            archive.project_folder,
            ours_elsewhere=self._beside is not None,
            links_out=links_out,
        )
        self._images_dir = str(images or ".")
        for tag in ("", FINAL, ORIGINAL):
            self._require_within(Path(studies) / "labels" / tag, Path(studies))
        super().__init__(
            studies,
            images_dir=self._images_dir,
            extensions=tuple(f"*{ending}" for ending in ENDINGS),
            auto_reload=False,
        )
        if follow_changes and self.watches_folder:
            watched = [Path(studies), *([] if self._beside is None else [self._beside])]
            self._observer = FolderWatch(watched, self, self._is_on_mount(str(watched[-1])))
            self._observer.start()

    # Labels

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """As `keep_label`, for the host, which asks for no more than an id."""
        self.keep_label(image_id, label_filename, label_tag, label_info)
        return image_id

    def keep_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> Kept:
        """Check a label, keep it and record it; when this returns it survives a power cut.

        Raises:
            InvalidInputError: the label cannot be kept; the line says why, and what was there stays.
            AskedBackError: it is kept, and shown as one that its annotator has still to confirm.
        """
        tag = str(getattr(label_tag, "value", label_tag))
        info = dict(label_info or {})
        image = Path(self.get_image_uri(image_id))
        try:
            grid = read_grid(image)
        except InvalidInputError as error:  # damaged since it was asked for; else it would be asked for again
            set_aside_unreadable(image_id, self, self._ledger, was_scored=True)
            raise InvalidInputError(f"{error}; it is set aside, ask for another") from error
        note_image(image_id, image, self._ledger)
        try:
            kept = self._archive.keep(image_id, tag, label_filename, grid, read_label_info(info))
        except AskedBackError:
            self._show_current(image_id, ASKED_BACK, {})
            raise
        if tag == FINAL and self._ledger.image(image_id).unreadable_reason is not None:
            self._ledger.mark_readable(image_id)  # it was just read, and has a label that fits it
        self._show_kept(kept, info)
        self._settle(kept)
        return kept

    def finish_draft(self, image_id: str, annotator: str) -> Annotation:
        """Make an annotator's draft the label that counts.

        Raises:
            NotFoundError: they have no draft of this image.
        """
        kept = self._archive.finish(image_id, annotator, read_grid(self.get_image_uri(image_id)))
        self._show_kept(kept, {})
        self._settle(kept)
        return kept

    def open_for(self, image_id: str, annotator: str) -> Draft | None:
        """Show under `original`, with which Slicer opens an image, an annotator's draft, and nobody else's; theirs."""
        with self._lock:
            draft, file = self._ledger.open_draft(image_id, annotator), self._label_path(image_id, ORIGINAL)
            if draft is None and self._ledger.shows_draft(image_id, ORIGINAL):
                file.unlink(missing_ok=True)  # first: killed in between, it is put back, not taken for another label
            if self._ledger.show_draft(image_id, annotator, ORIGINAL):
                shown = self._datastore.objects[image_id]
                shown.labels = {tag: label for tag, label in shown.labels.items() if tag != ORIGINAL}
                self._show_current(image_id, ORIGINAL, {})
                self._archive.write_records(image_id)
        return draft

    def _settle(self, kept: Kept) -> None:
        """Forget what its annotator was asked back, now that they have sent a label that counts."""
        if isinstance(kept, Draft):
            return
        open_question = self._ledger.current_annotation(kept.image_id, ASKED_BACK)
        if kept.tag == FINAL and open_question is not None and open_question.annotator == kept.annotator:
            self.remove_label(kept.image_id, ASKED_BACK)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Take a label back. Its versions stay in the archive."""
        if label_tag == FINAL and self._archive.is_shown_as_original(label_id):
            self.remove_label(label_id, ORIGINAL)
        with self._lock:
            shown = self._datastore.objects[label_id]
            # The file first: killed in between, it is put back, not taken for a label that somebody else made.
            if label_tag in shown.labels:
                path = self._label_path(label_id, label_tag)
                self._found_labels.keep_copy(path, label_id, label_tag)
                path.unlink(missing_ok=True)
            self._ledger.delete_annotation(label_id, label_tag)
            self._archive.write_records(label_id)
            shown.labels = {tag: label for tag, label in shown.labels.items() if tag != label_tag}
        self._view.request()

    def status(self) -> dict[str, Any]:
        """The host's counts, which count a volume of which one slice is annotated as completed, and those of slices."""
        progress = self._ledger.progress()
        return {
            **super().status(),
            "annotated_slices": progress.annotated_slices,
            "annotated_volumes": progress.annotated,
            "partly_annotated_volumes": progress.partly_annotated,
        }

    def label_file(self, image_id: str, tag: str) -> Path:
        """The kept file of the label that counts: no other is ever written in its place.

        Raises:
            NotFoundError: there is none.
            InvalidInputError: it has changed on disk since it was kept.
        """
        annotation = self._ledger.current_annotation(image_id, tag)
        if annotation is None:
            raise NotFoundError(f"image '{image_id}' has no label tagged '{tag}'")
        return self._archive.sound_file(annotation)

    # Images

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Add an image that can be read, under an id that is free.

        Raises:
            InvalidInputError: the image cannot be read.
            NotReadyError: there is an image of that id already.
        """
        source = Path(image_filename)
        problem = no_image(source.name)
        if problem == "":
            problem = f"expected a file that ends in {', '.join(ENDINGS)}: convert it"
        if problem is None and any(label_words_off(image_id)):
            problem = f"the id '{image_id}' is that of a label: choose another"
        if problem is not None:
            raise InvalidInputError(f"{source.name}: {problem}")
        read_volume(source)
        target = Path(self._datastore.image_path()) / f"{image_id}{ending_of(source.name).lower()}"
        with self._lock:
            if image_id in self._datastore.objects or target.exists():
                raise NotReadyError(f"there is an image '{image_id}' already: remove it first, or choose another id")
            write_atomically(target, source.read_bytes())
            added = ImageLabelModel(image=_new_image(image_id, target.name, image_info))
            self._datastore.objects = {**self._datastore.objects, image_id: added}
            self._sync_ledger()
        self._view.request()
        return image_id

    def remove_image(self, image_id: str) -> None:
        """Take an image and its labels out of the studies. No file is lost: the project folder keeps both."""
        file = Path(self._image_path(image_id))
        if not os.access(file.parent, os.W_OK):
            raise ForbiddenError(f"image '{image_id}' cannot be taken out: its folder cannot be written")
        for tag in list(self._datastore.objects[image_id].labels):
            if tag in self._datastore.objects[image_id].labels:  # a final label may have taken its original along
                self.remove_label(image_id, tag)
        if file.exists():
            kept = self._archive.project_folder / REMOVED / f"{time.time_ns()}-{file.name}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, kept)
            logger.warning("image '%s' is taken out of the studies: its file is %s now", image_id, kept)
        self.refresh()

    def get_image_uri(self, image_id: str) -> str:
        """The file of an image; a link as it is called in the studies. Empty for an unknown id.

        Raises:
            InvalidInputError: it has become a link out of the studies folder.
        """
        path = self._image_path(image_id)
        if path:
            self._require_within(Path(path), Path(self._datastore.image_path()))
        return path

    def _require_within(self, path: Path, folder: Path) -> None:
        if not self._links_out and leads_out(path, folder):
            raise InvalidInputError(f"{path.name}: {LINKS_OUT}")

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is known of an image, with its path; nothing for an unknown id."""
        image = self._datastore.objects.get(image_id)
        return {} if image is None else {**copy.deepcopy(image.image.info), "path": self._image_path(image_id)}

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Annotated images and their labels."""
        return [
            {"image": self._image_path(image_id), "label": self.get_label_uri(image_id, FINAL)}
            for image_id in self.get_labeled_images()
        ]

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """A ZIP file of the annotated images and their labels, each under its id."""
        labelled = self.get_labeled_images()[:limit_cases]
        with (
            tempfile.NamedTemporaryFile(suffix=".zip", delete=False) as file,
            zipfile.ZipFile(file, mode="w") as archive,
        ):
            for image_id in labelled:
                image = Path(self.get_image_uri(image_id))
                archive.write(image, f"image/{image_id}{ending_of(image.name).lower()}")
                archive.write(self.label_file(image_id, FINAL), f"label/{image_id}.nii.gz")
            archive.writestr("metadata.json", self._datastore.model_dump_json(exclude={"base_path"}))
        return file.name

    def passed_over(self) -> list[str]:
        """What lies in the studies folder and is not used: one line a reason."""
        images = {} if self._content is None else self._content.passed_over
        return lines_on({**images, **self._found_labels.passed_over})

    def _image_path(self, image_id: str) -> str:
        image = self._datastore.objects.get(image_id)
        if image is None:
            return ""
        return os.path.join(os.path.realpath(self._datastore.image_path()), _file_below(image_id, image.image))

    def patients(self) -> dict[str, str]:
        """Of an image, whose it is, where that is known: all images of a patient are for training, or for validation.

        Of files in a folder nobody says it, and each counts as a patient of its own.
        """
        return {}

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what is known of an image."""
        with self._lock:
            self._datastore.objects[image_id].image.info.update(info)
        self._view.request()

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is known of a label."""
        with self._lock:
            self._datastore.objects[label_id].labels[label_tag].info.update(info)
        self._view.request()

    # What the host does behind its datastore's back, made safe

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        """Read the JSON view once, at the start. A damaged one is set aside: the ledger and the folder know better."""
        path = Path(self._datastore_config_path)
        if self._beside is not None and not path.is_file():  # A server may have written beside the images before.
            path = self._beside / path.name
        if self._view_was_read or not path.is_file():
            return
        self._view_was_read = True
        try:
            self._datastore = LocalDatastoreModel.model_validate_json(path.read_text(encoding="utf-8"))
            self._datastore.base_path = self._datastore_path
            self._datastore.images_dir = self._images_dir
        except ValueError as error:
            damaged = Path(self._datastore_path) / f"{path.name}.damaged-{time.time_ns()}"
            shutil.copy(path, damaged)
            logger.warning("%s is damaged (%s): kept as %s and made anew", path, type(error).__name__, damaged.name)

    def _update_datastore_file(self, lock: bool = True) -> None:
        self._view.request()

    def on_change(self) -> None:
        """An image or a label came, went or was mended. Our listing is a view, and nobody's changes to it count."""
        self._look.request()

    def on_put_in_place(self, target: Path) -> None:
        """An image or a label was put in place whole: by the program that copied it, by a child, or by us."""
        image_id = target.name.removesuffix(LABEL_ENDING)
        is_label = target.parent.parent == Path(self._datastore.label_path(None))
        if is_label and self._ledger.current_annotation(image_id, target.parent.name) is not None:
            self._list_current(image_id, target.parent.name)
        elif target != Path(self._datastore_config_path):
            self._look.request()

    def _list_current(self, image_id: str, tag: str) -> None:
        """List a label that a child has saved; those of this process are listed already."""
        with self._lock:
            annotation = self._ledger.current_annotation(image_id, tag)
            if annotation is not None and image_id in self._datastore.objects and not self._lists(annotation):
                self._show_label(annotation, {})
                self._view.request()

    def _reconcile_datastore(self) -> None:
        """Bring the listing in line with the images in the folder and the labels in the ledger."""
        with self._lock:
            found, shown = self._find_images(), dict(self._datastore.objects)
            for image_id, image in found.items():
                shown.setdefault(image_id, ImageLabelModel(image=image)).image = image
            # Here as everywhere a new dictionary: other threads go through the one that was there.
            self._datastore.objects = {image_id: shown[image_id] for image_id in sorted(found)}
            self._sync_ledger()
            if self._follows:
                self.readmit_mended()
            self._reconcile_labels()
            self._say_passed_over()
        if self._follows and self.watches_folder:
            self._notice_changed()
        self._view.request()

    def _find_images(self) -> dict[str, DataModel]:
        """The images that there are now, by id, with what is known of them."""
        folder, shown = Path(self._datastore.image_path()), self._datastore.objects
        known = {image_id: _file_below(image_id, shown[image_id].image) for image_id in shown}
        ours = self._archive.project_folder
        without = () if folder.resolve().is_relative_to(ours.resolve()) else (ours,)
        self._content = find_images(folder, known, without, links_out=self._links_out)
        return {
            image_id: shown[image_id].image if known.get(image_id) == path else _new_image(image_id, path, {})
            for image_id, path in self._content.files.items()
        }

    def _say_passed_over(self) -> None:
        """Log what is passed over whenever that changes."""
        lines = self.passed_over() if self._follows else []
        for line in lines:
            if line not in self._said:
                logger.warning("%s", line)
        self._said = lines

    def readmit_mended(self, at_start: bool = False) -> None:
        """Take images back that were set aside, and whose files, or whose labels' files, have changed since.

        Those of which nobody noted what their files were like get another chance at each start.
        """
        if not self.watches_folder:
            return
        for image in self._ledger.images_set_aside():
            if image.id not in self._datastore.objects:
                continue
            label = self._ledger.current_annotation(image.id)
            kept = None if label is None else self._archive.file(label)
            again = at_start and image.set_aside_stamp is None
            if again or may_be_mended(image, Path(self._image_path(image.id)), kept):
                self._ledger.mark_readable(image.id)
                logger.info("%s was set aside and is looked at again", image.id)

    def _notice_changed(self) -> None:
        """Set annotated images aside that are not those on which their labels were drawn, or whose labels changed."""
        images = {image.id: image for image in self._ledger.images() if image.id in self._datastore.objects}
        for annotation in self._ledger.annotations():
            image = images.get(annotation.image_id)
            if image is not None and image.usable and has_changed(image, Path(self._image_path(image.id))):
                set_aside_unreadable(image.id, self, self._ledger, was_scored=True)
        usable = {image.id for image in self._ledger.images() if image.usable and image.id in self._datastore.objects}
        for annotation in (label for label in self._ledger.annotations() if label.image_id in usable):
            try:
                self._archive.sound_file(annotation)
            except InvalidInputError as error:
                set_aside(annotation.image_id, error, self._ledger, self, self._archive.file(annotation))

    def _reconcile_labels(self) -> None:
        current = {(item.image_id, item.tag): item for item in self._ledger.current_labels()}
        if self._follows:
            self._take_in_foreign_labels(current)
        for image_id, shown in self._datastore.objects.items():
            shown.labels = {tag: label for tag, label in shown.labels.items() if (image_id, tag) in current}
        for (image_id, tag), annotation in current.items():
            if image_id not in self._datastore.objects:
                continue
            listed = self._lists(annotation)
            if self._follows and not (listed and self._label_path(image_id, tag).is_file()):
                self._put_back(annotation, listed)
            if not listed:
                self._show_label(annotation, {})

    def _put_back(self, annotation: Annotation, listed: bool) -> None:
        """Copy a kept label to where others look for it; not one that has changed on disk since it was kept."""
        try:
            self._place(annotation)
        except InvalidInputError as error:
            if str(error) not in self._said_of_labels:
                logger.warning("%s", error)
            self._said_of_labels.add(str(error))
            return
        if listed:
            logger.warning(
                "the label '%s' of '%s' was gone from its folder and is back", annotation.tag, annotation.image_id
            )

    def _lists(self, annotation: Annotation) -> bool:
        """Whether the listing shows this very version; not if we were killed between keeping and showing it."""
        shown = self._datastore.objects[annotation.image_id].labels.get(annotation.tag)
        if shown is None or shown.info.get("version") != annotation.version:
            return False
        return annotation.tag != FINAL or shown.info.get(COVERED) == _covered(annotation)

    def _take_in_foreign_labels(self, current: dict[tuple[str, str], Annotation]) -> None:
        """Record label files of another project, or put there by hand, if they pass the checks. They join `current`.

        What was listed of one that is not used is kept with its image, as long as the file is there: it may say which
        slices the file covers, and if it were lost, the rest would be taken for background.
        """
        not_used = defaultdict[str, dict[str, Any]](dict)
        beside = {} if self._beside is None else listed_labels(self._beside)

        def take(path: Path, image_id: str, tag: str, name: str) -> None:
            shown = self._datastore.objects[image_id]
            known = shown.labels[tag].info if tag in shown.labels else shown.image.info.get(NOT_USED, {}).get(tag, {})
            known = beside.get((image_id, tag), known)
            try:
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
        for image_id, shown in self._datastore.objects.items():
            info = {key: said for key, said in shown.image.info.items() if key != NOT_USED}
            shown.image.info = {**info, NOT_USED: not_used[image_id]} if image_id in not_used else info

    def _take_in(self, path: Path, image_id: str, tag: str, known: Mapping[str, Any], name: str) -> None:
        """Keep a label file that covers the slices that are `known`, or the whole volume if nothing is."""
        info = {"client_id": f"found in labels/{tag}", COVERED: WHOLE, **known, "finished": True, "confirmed": True}
        if tag == FINAL and info[COVERED] != WHOLE:
            listed = info.get(SLICE_AXIS)
            axis = self._archive.slice_axis(image_id, read_grid(self.get_image_uri(image_id)))
            if listed != axis:
                raise InvalidInputError(
                    f"its slices are listed along axis {listed}, expected {axis}: choose the --conf slice_plane in "
                    "which they were drawn"
                )
        self._archive.keep(image_id, tag, path, read_grid(self.get_image_uri(image_id)), read_label_info(info), name)
        self._show_current(image_id, tag, info)

    def _sync_ledger(self) -> None:
        if self._follows:
            images, given = [*self._datastore.objects], None
            if self._split is not None:
                images, given = self._split.without_test(images), self._split.is_validation
            self._ledger.sync_images(images, self._validation_cases, self.patients(), given)

    def _show_kept(self, kept: Kept, info: dict[str, Any]) -> None:
        self._show_current(kept.image_id, ORIGINAL if isinstance(kept, Draft) else kept.tag, info)

    def _show_current(self, image_id: str, tag: str, info: dict[str, Any]) -> None:
        """Show what the ledger holds now, which may be a label that was saved a moment after ours.

        With a final label goes the original that opens with the image, if that is a final label too.
        """
        with self._lock:
            both = tag == FINAL and self._archive.is_shown_as_original(image_id)
            for shown in (FINAL, ORIGINAL) if both else (tag,):
                annotation = self._ledger.current_annotation(image_id, shown)
                if annotation is not None:
                    self._place(annotation)
                    self._show_label(annotation, info)
        self._view.request()

    def _place(self, annotation: Annotation) -> None:
        """Put the kept label where the host and other tools look for it."""
        target = self._label_path(annotation.image_id, annotation.tag)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._require_within(target.parent, Path(self._datastore_path))
        self._found_labels.keep_copy(target, annotation.image_id, annotation.tag)
        write_atomically(target, self._archive.sound_file(annotation).read_bytes())

    def _label_path(self, image_id: str, tag: str) -> Path:
        return Path(self._datastore.label_path(tag)) / f"{image_id}{LABEL_ENDING}"

    def _show_label(self, annotation: Annotation, info: dict[str, Any]) -> None:
        """List a label, with the names of its values, which are those of the project whatever the client's were.

        A final one says which slices it covers, not what its client had drawn of them: another project on this folder
        goes by it.
        """
        names = {name: value for value, name in enumerate(self._archive.labels, start=1)}
        params = info.get("params")
        shown = {
            **{key: said for key, said in info.items() if key not in (COVERED, SLICE_AXIS, "finished", "confirmed")},
            "client_id": annotation.annotator,
            "version": annotation.version,
            "ts": int(annotation.created_at.timestamp()),
            "name": f"{annotation.image_id}.nii.gz",
            "label_info": [{"name": name, "idx": value} for name, value in names.items()],
            "params": {**(params if isinstance(params, Mapping) else {}), "label_names": names},
        }
        if annotation.tag == FINAL:
            axis = self._ledger.image(annotation.image_id).slice_axis
            shown |= {COVERED: _covered(annotation), SLICE_AXIS: axis}
        image = self._datastore.objects[annotation.image_id]
        image.labels = {**image.labels, annotation.tag: DataModel(info=shown, ext=".nii.gz")}

    def _write_view(self) -> None:
        if not self._follows:
            return
        with self._lock:
            content = json.dumps(self._datastore.model_dump(exclude={"base_path"}), indent=2, default=str).encode()
            path = Path(self._datastore_config_path)
            if content != self._written or not path.is_file():
                write_atomically(path, content)
                self._written = content

    def close(self) -> None:
        """Write the view if it is behind."""
        self._view.flush()


def _covered(annotation: Annotation) -> list[int] | str:
    """The slices of a final label as a client would name them."""
    return WHOLE if annotation.slices is None else list(annotation.slices)


def _file_below(image_id: str, image: DataModel) -> str:
    return file_of(image_id, image.ext, image.info)


def _new_image(image_id: str, path: str, info: dict[str, Any]) -> DataModel:
    """An image as it is listed. Its name is what clients may call the file, so no two have the same."""
    ending = ending_of(path)
    elsewhere = {} if path == f"{image_id}{ending}" else {FILE: path}
    named = {"ts": int(time.time()), "name": f"{image_id}{ending.lower()}"}
    return DataModel(info={**info, **named, **elsewhere}, ext=ending)
