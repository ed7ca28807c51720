"""Every version of every label: checked, kept in a file that never changes, and recorded in the ledger."""

import hashlib
import logging
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from activelabel.annotation.beside_asked import asked_back
from activelabel.annotation.coverage import ORIGINAL, Coverage, SentLabel
from activelabel.annotation.finishing import Finishing, Verdict
from activelabel.annotation.label_info import LabelInfo
from activelabel.data.grids import Grid
from activelabel.data.labels import LabelArray, check_label, write_label
from activelabel.data.partial_labels import PartialLabel, merge
from activelabel.data.slice_places import slice_places
from activelabel.data.slices import SlicePlane
from activelabel.errors import AskedBackError, InvalidInputError, NotFoundError
from activelabel.project.client_kind import client_kind
from activelabel.project.kept_labels import sound_file
from activelabel.project.label_record_files import write_records
from activelabel.project.project import Project
from activelabel.project.slice_names import slices_named
from activelabel.project.slicing import fixed_axis
from activelabel.store.annotations import LabelChangedError
from activelabel.store.case_states import DraftReason, FinishedBy
from activelabel.store.ledger import Ledger
from activelabel.store.records import FINAL, Annotation, Draft

logger = logging.getLogger(__name__)

Kept = Annotation | Draft
"""What becomes of a label that was sent."""


class LabelArchive:
    """The one way in which a label enters the project, wherever its image is kept.

    Attributes:
        labels: names of the values 1..N of every label that is kept.
    """

    def __init__(
        self,
        ledger: Ledger,
        coverage: Coverage,
        slice_plane: SlicePlane,
        finished_by: FinishedBy = FinishedBy.SAVING,
    ) -> None:
        """Keep labels where `coverage` finds them, and record them in `ledger`, slices counted across `slice_plane`.

        `finished_by` says of a whole volume that it is finished, where its client does not.
        """
        self.labels = tuple(coverage.labels)
        self._ledger = ledger
        self._coverage = coverage
        self._slice_plane = slice_plane
        self._finishing = Finishing(coverage, finished_by)

    def keep(
        self,
        image_id: str,
        tag: str,
        file: Path | str,
        image: Grid,
        info: LabelInfo,
        name: str = "",
        *,
        answers_any: bool = False,
    ) -> Kept:
        """Check a label, keep it and record it; when this returns it survives a power cut.

        A final label of some slices is merged with what was drawn before, and becomes the `original` too, with which
        Slicer opens the image. One that is not finished is kept as a draft, with which it opens for its annotator.

        Args:
            image_id: whose label it is.
            tag: its tag.
            file: the label as it was received.
            image: the grid on which it must lie.
            info: who made it, and what their client said of it.
            name: what the kept file is called, without its ending; default its tag and the time.
            answers_any: whether it is the answer to the one query for this image that somebody is working on, if its
                maker was asked for nothing.

        Raises:
            InvalidInputError: the label cannot be kept; the line says why, and what was there stays.
            AskedBackError: it is kept as a draft, and does not count until it is sent once more.
        """
        array = check_label(file, image, self.labels, info.segment_names).array
        axis = self.slice_axis(image_id, image)
        sent = SentLabel(
            image_id,
            info.annotator,
            array,
            image,
            axis,
            info.annotated_slices,
            answers_any,
            info.finished,
            info.confirmed,
        )
        while True:
            try:
                return self._keep(sent, tag, name)
            except LabelChangedError:  # Somebody saved other slices of it at this very moment: merge with those too.
                continue

    @property
    def project_folder(self) -> Path:
        """The folder of the project, in which the versions of labels are."""
        return self._coverage.kept.parent

    def file(self, annotation: Annotation) -> Path:
        """The kept file of a label version: what training reads."""
        return self._coverage.kept / annotation.file

    def sound_file(self, label: Kept) -> Path:
        """The same, if it is as it was kept.

        Raises:
            InvalidInputError: it is gone or was changed.
        """
        return sound_file(label, self._coverage.kept, self._ledger)

    def write_records(self, image_id: str) -> None:
        """Say beside the files of an image's labels what the ledger knows of them now."""
        write_records(self._ledger, self._coverage.kept, image_id)

    def slice_axis(self, image_id: str, image: Grid) -> int:
        """The axis of an image along which the slices of its labels are counted.

        Raises:
            InvalidInputError: the image is another one than that whose slices were annotated.
        """
        return fixed_axis(self._ledger, image_id, image, self._slice_plane)

    def is_shown_as_original(self, image_id: str) -> bool:
        """Whether what opens with an image is one of its final labels, not a prediction."""
        return self._ledger.shows(image_id, ORIGINAL)

    def finish(self, image_id: str, annotator: str, image: Grid) -> Annotation:
        """Make an annotator's draft, as it is, the label that counts; whoever asks for it has looked it over.

        Raises:
            NotFoundError: they have no open draft of this image.
        """
        draft = self._ledger.open_draft(image_id, annotator)
        if draft is None:
            raise NotFoundError(f"image '{image_id}': {annotator} has no draft of it: save one first")
        info = LabelInfo(annotator, finished=True, confirmed=True)
        kept = self.keep(image_id, FINAL, self.sound_file(draft), image, info)
        assert isinstance(kept, Annotation)
        return kept

    def _keep(self, sent: SentLabel, tag: str, name: str) -> Kept:
        if tag == FINAL:
            return self._keep_final(sent, name)
        return self._record(sent, tag, PartialLabel(sent.array, sent.axis, sent.all_slices), name)

    def _keep_final(self, sent: SentLabel, name: str) -> Kept:
        if sent.finished is False:  # Whatever it covers: it does not count yet.
            return self._keep_draft(sent, self._finishing.judge(sent, set(), None), name)
        current = self._ledger.current_annotation(sent.image_id)
        covered = self._coverage.of(sent, current)
        verdict = self._finishing.judge(sent, covered, current)
        if verdict.reason is not None:
            return self._keep_draft(sent, verdict, name)
        if covered is None:
            label, merged_with = PartialLabel(sent.array, sent.axis, sent.all_slices), None
        else:
            self._check_same_image(sent.image_id, current)
            label = merge(self._partial(current, sent), sent.array, sent.axis, covered)
            merged_with = 0 if current is None else current.version
            self._ask_back(sent, current, label, verdict, name)
        kept = self._record(sent, FINAL, label, name, merged_with, verdict)
        if covered is not None:
            self._carry_over(sent, covered)
        return kept

    def _record(
        self,
        sent: SentLabel,
        tag: str,
        label: PartialLabel,
        name: str,
        merged_with: int | None = None,
        verdict: Verdict | None = None,
    ) -> Annotation:
        file, sha256, stamp = self._write(sent, label.array, name or f"{tag}-{time.time_ns()}")
        # A file without a row is harmless. If recording fails it stays: the row may have been made all the same.
        annotation = self._ledger.record_annotation(
            image_id=sent.image_id,
            tag=tag,
            file=file,
            sha256=sha256,
            file_stamp=stamp,
            annotator=sent.annotator,
            slices=label.slices,
            foreground_slices=label.foreground_slices,
            merged_with=merged_with,
            shown_as=ORIGINAL if tag == FINAL else None,
            unchanged_from=None if verdict is None else verdict.unchanged_from,
            finishes=None if verdict is None or verdict.finishes is None else verdict.finishes.id,
            label_names=self.labels,
        )
        self.write_records(sent.image_id)
        return annotation

    def _ask_back(
        self, sent: SentLabel, current: Annotation | None, label: PartialLabel, verdict: Verdict, name: str
    ) -> None:
        """Do not believe what looks drawn on the wrong slices, unless it was confirmed: keep it, and say so.

        Raises:
            AskedBackError: it is kept as it was sent, as a draft.
        """
        told = verdict.finishes is not None and verdict.finishes.reason is DraftReason.UNCONFIRMED
        if sent.confirmed or told:  # sent once more: that confirms it
            return
        beside = self._coverage.beside_asked(sent, current, label)
        if not beside:
            return
        places = slice_places(sent.image, sent.axis)
        line = asked_back(sent.image_id, beside, lambda slices: slices_named(places, slices, client_kind.get()))
        self._keep_draft(sent, replace(verdict, reason=DraftReason.UNCONFIRMED, why=line), name)
        raise AskedBackError(line)

    def _keep_draft(self, sent: SentLabel, verdict: Verdict, name: str) -> Draft:
        """Keep it for whoever was asked: the author of a SEG may go by another name there."""
        assert verdict.reason is not None
        same = verdict.finishes
        if same is not None and same.reason is verdict.reason:  # as a client keeps it every so often
            return same
        query = self._coverage.query(sent)
        file, sha256, stamp = self._write(sent, sent.array, name or f"draft-{time.time_ns()}")
        draft = self._ledger.record_draft(
            sent.image_id,
            file,
            sha256,
            sent.annotator if query is None else query.annotator,
            file_stamp=stamp,
            reason=verdict.reason,
            why=verdict.why,
            shown_as=ORIGINAL,
            slices=None if query is None else query.slices,
            lease_id=None if query is None else query.id,
            label_names=self.labels,
        )
        self.write_records(sent.image_id)
        return draft

    def _carry_over(self, sent: SentLabel, covered: Collection[int]) -> None:
        """Bring an annotator's draft that stays open up to date on the slices that they have finished."""
        draft = self._ledger.open_draft(sent.image_id, sent.annotator)
        if draft is None:
            return
        try:
            before = check_label(self.sound_file(draft), sent.image, self.labels).array
        except InvalidInputError as error:  # what was finished is kept all the same
            logger.warning("%s", error)
            return
        label = merge(PartialLabel(before, sent.axis, sent.all_slices), sent.array, sent.axis, covered)
        file, sha256, stamp = self._write(sent, label.array, f"draft-{time.time_ns()}")
        self._ledger.record_draft(
            sent.image_id,
            file,
            sha256,
            sent.annotator,
            reason=draft.reason,
            why=draft.why,
            shown_as=ORIGINAL,
            slices=draft.slices,
            lease_id=draft.lease_id,
            file_stamp=stamp,
            label_names=self.labels,
        )
        self.write_records(sent.image_id)

    def _write(self, sent: SentLabel, array: LabelArray, name: str) -> tuple[str, str, tuple[int, int]]:
        """Keep voxels as a file that never changes: its place among the kept ones, its checksum, its size and time."""
        file = self._coverage.kept / sent.image_id / f"{name}.nii.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_label(file, array, sent.image.affine_ras)
        status, sha256 = file.stat(), hashlib.sha256(file.read_bytes()).hexdigest()
        return str(file.relative_to(self._coverage.kept)), sha256, (status.st_size, status.st_mtime_ns)

    def _check_same_image(self, image_id: str, current: Annotation | None) -> None:
        """Refuse to merge slices that were drawn on two images of one name."""
        drawn_on = None if current is None else current.image_sha256
        if drawn_on is not None and self._ledger.image(image_id).content_sha256 not in (None, drawn_on):
            raise InvalidInputError(
                f"label of '{image_id}': its earlier slices were drawn on another image of this name: put that file "
                'back, or delete the label first, or send a whole volume, "annotated_slices": "all"'
            )

    def _partial(self, current: Annotation | None, sent: SentLabel) -> PartialLabel | None:
        if current is None:
            return None
        slices = sent.all_slices if current.slices is None else frozenset(current.slices)
        return PartialLabel(self._coverage.read(current, sent.image), sent.axis, slices)


def open_archive(project: Project) -> LabelArchive:
    """The labels of a project."""
    coverage = Coverage(
        project.ledger,
        project.labels,
        project.labels_folder,
        project.predictions_folder,
        project.recipe.query.asks_slices,
    )
    return LabelArchive(project.ledger, coverage, project.slice_plane, FinishedBy(project.settings.finished_by))
