"""Every version of every label: checked, kept in a file that never changes, and recorded in the ledger."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from activelabel.annotation.beside_asked import asked_back
from activelabel.annotation.coverage import Coverage, SentLabel, covered, named_slices
from activelabel.annotation.draft_keeper import DraftKeeper
from activelabel.annotation.finishing import Finishing, Verdict
from activelabel.annotation.history_reader import ORIGINAL, HistoryReader
from activelabel.annotation.label_files import LabelFiles, annotation_of, new_name
from activelabel.annotation.label_info import LabelInfo
from activelabel.annotation.merging import merged
from activelabel.annotation.repeats import repeated_label
from activelabel.annotation.second_readings import COVERAGE, SecondReadings
from activelabel.data.grids import Grid
from activelabel.data.label_checking import check_kept_grid, check_label
from activelabel.data.labels.label_map import label_map_of
from activelabel.data.labels.partial_labels import PartialLabel
from activelabel.data.slice_places import slice_places
from activelabel.data.slices import SlicePlane
from activelabel.errors import AskedBackError, InvalidInputError, NotFoundError
from activelabel.project.client_kind import client_kind
from activelabel.project.labels.kept import sound_file
from activelabel.project.project import Project
from activelabel.project.slices.names import slices_named
from activelabel.project.slices.slicing import axis_of_label, fixed_axis
from activelabel.store.case_states import DraftReason, FinishedBy
from activelabel.store.case_states import Verdict as ReviewVerdict
from activelabel.store.cases.case_records import RecordsByFile
from activelabel.store.cases.new_annotation import KeptFile, LabelChangedError
from activelabel.store.ledger import Ledger
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.labels import FINAL, Annotation, Draft
from activelabel.store.records.queries import Lease

logger = logging.getLogger(__name__)

Kept = Annotation | Draft
"""What becomes of a label that was sent."""


class LabelArchive:
    """The only way for a label into the project, wherever its image is kept.

    Attributes:
        labels: the label map, whose values every kept label has.
    """

    def __init__(
        self,
        ledger: Ledger,
        reader: HistoryReader,
        slice_plane: SlicePlane,
        finished_by: FinishedBy = FinishedBy.SAVING,
        agreement: float = 0.8,
    ) -> None:
        """Keep labels where `reader` finds them, and record them in `ledger`, with slices counted across `slice_plane`.

        `finished_by` decides whether a whole volume is finished if its client does not say so. `agreement` is the Dice
        of each structure from which two readings agree.
        """
        self.labels = label_map_of(reader.labels)
        self._ledger = ledger
        self._reader = reader
        self._files = LabelFiles(ledger, reader.kept)
        self._slice_plane = slice_plane
        self._drafts = DraftKeeper(ledger, reader, self._files)
        self._finishing = Finishing(reader, finished_by)
        self._second_readings = SecondReadings(ledger, reader, self._files, agreement)

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
        decided: bool = False,
    ) -> Kept:
        """Check a label, keep it and record it; when this returns it survives a power cut.

        A final label of some slices is merged with what was drawn before, and becomes the `original` too, with which
        Slicer opens the image. One that is not finished is kept as a draft, with which its annotator goes on.

        Args:
            image_id: the image that the label belongs to.
            tag: its tag.
            file: the label as it was received.
            image: the grid on which it must lie.
            info: the annotator, and the client's statements about the label.
            name: the name of the kept file without its ending; by default its tag and the time.
            answers_any: whether a label of an annotator without a query answers the only active query for this image,
                another annotator's.
            decided: whether a reviewer has chosen it of two readings, so that it counts.

        Raises:
            InvalidInputError: the label cannot be kept; the message says why, and the labels before it stay.
            AskedBackError: the label is kept as a draft, and does not count until it is sent once more.
        """
        array = check_label(file, image, self.labels, info.segment_names, info.segment_numbers).array
        sent = SentLabel(
            image_id,
            info.annotator,
            array,
            image,
            axis_of_label(self._ledger, image_id, image, self._slice_plane),
            named_slices=info.annotated_slices,
            answers_any=answers_any,
            finished=info.finished,
            confirmed=info.confirmed,
            decided=decided,
            unanswered=info.unanswered,
        )
        while True:
            try:
                return self._keep(sent, tag, name)
            except LabelChangedError:  # Somebody saved other slices of it at the same moment: merge with those too.
                sent = replace(sent, axis=axis_of_label(self._ledger, image_id, image, self._slice_plane))

    @property
    def project_folder(self) -> Path:
        """The folder of the project, in which the versions of labels are."""
        return self._reader.kept.parent

    def file(self, annotation: Annotation) -> Path:
        """The kept file of a label version: what training reads."""
        return self._reader.kept / annotation.file

    def sound_file(self, label: Kept) -> Path:
        """The kept file of a label version or draft, if it is as it was kept.

        Raises:
            InvalidInputError: it is gone or was changed.
        """
        return sound_file(label, self._reader.kept, self._ledger)

    def check_grid(self, annotation: Annotation, image: Grid) -> None:
        """Check that the header of an image says what it said when a label was drawn on it.

        Raises:
            InvalidInputError: it does not, or the file of the label was changed.
        """
        try:
            check_kept_grid(self.sound_file(annotation), image)
        except InvalidInputError as error:
            raise InvalidInputError(f"{annotation.image_id}: {error}; or draw it again") from error

    def write_records(self, image_id: str) -> None:
        """Write the current records of an image's labels beside their files."""
        self._files.write_records(image_id)

    def slice_axis(self, image_id: str, image: Grid) -> int:
        """The axis of an image along which the slices of its labels are counted.

        Raises:
            InvalidInputError: the image is not the one whose slices were annotated.
        """
        return fixed_axis(self._ledger, image_id, image, self._slice_plane)

    def is_shown_as_original(self, image_id: str) -> bool:
        """Whether clients open an image with one of its final labels, not with a prediction."""
        return self._ledger.case_history(image_id).shows(ORIGINAL)

    def finish(self, image_id: str, annotator: str, image: Grid) -> Annotation:
        """Make an annotator's draft, unchanged, the label that counts. The caller vouches that somebody has checked it.

        It covers the slices that the draft's client has named, as a label that was sent with them.

        Raises:
            NotFoundError: the annotator has no open draft of this image.
            InvalidInputError: it would be a second reading, and names some slices only.
        """
        draft = self._ledger.open_draft(image_id, annotator)
        if draft is None:
            raise NotFoundError(f"image '{image_id}': {annotator} has no draft of it: save one first")
        named = list(draft.named_slices) if isinstance(draft.named_slices, tuple) else draft.named_slices
        info, file = LabelInfo(annotator, None, named, finished=True, confirmed=True), self.sound_file(draft)
        check_kept_grid(file, image)
        kept = self.keep(image_id, FINAL, file, image, info)
        if not isinstance(kept, Annotation):
            raise InvalidInputError(f"image '{image_id}': {kept.why}")
        return kept

    def _keep(self, sent: SentLabel, tag: str, name: str) -> Kept:
        if tag == FINAL:
            return self._keep_final(sent, name)
        label = PartialLabel(sent.array, sent.axis, sent.all_slices)
        return self._files.keep(
            sent,
            label.array,
            name or new_name(tag),
            lambda file: self._ledger.keep_label(annotation_of(sent, tag, label, file, self.labels)),
        )

    def _keep_final(self, sent: SentLabel, name: str) -> Kept:
        named = named_slices(sent)  # before anything is looked for or kept
        case = self._reader.case(sent.image_id)
        query, current = self._reader.query(sent, case), case.current()
        repeated = repeated_label(sent, query, case, self._reader)
        if repeated is not None:
            return repeated
        if sent.finished is False:
            return self._drafts.keep(sent, query, self._finishing.judge_unfinished(sent, case), name)
        if case.is_kept_beside(sent.annotator, query) and not sent.decided:
            if isinstance(named, tuple) and len(named) < len(sent.all_slices):
                return self._drafts.keep(sent, query, self._finishing.judge_part(sent, named, case), name)
            verdict = self._finishing.judge(sent, COVERAGE, self._reader.shown(sent), case, None)
            if verdict.reason is not None:
                return self._drafts.keep(sent, query, verdict, name)
            return self._second_readings.keep(sent, verdict, case, name)
        history = self._reader.history(sent, query, case)
        coverage = covered(sent, query, history)
        counts = None if current is None or case.is_decided(current, ReviewVerdict.RETURNED) else current
        verdict = self._finishing.judge(sent, coverage, history.shown, case, counts)
        if verdict.reason is not None:
            return self._drafts.keep(sent, query, verdict, name)
        label, merged_with = merged(sent, coverage, case, self._reader)
        self._ask_back(sent, query, coverage.beside, verdict, name)
        kept = self._record_final(sent, coverage, label, merged_with, verdict, case, name)
        if coverage.slices is not None:
            self._drafts.carry_over(sent, coverage.slices)
        return kept

    def _record_final(
        self,
        sent: SentLabel,
        coverage: Coverage,
        label: PartialLabel,
        merged_with: int | None,
        verdict: Verdict,
        case: CaseHistory,
        name: str,
    ) -> Annotation:
        beside, compared = self._second_readings.beside_final(sent, label, case)
        current = case.current()
        onto_returned = current is not None and case.is_decided(current, ReviewVerdict.RETURNED)

        def record(file: KeptFile) -> tuple[Annotation, RecordsByFile]:
            new = replace(
                annotation_of(sent, FINAL, label, file, self.labels),
                merged_with=merged_with,
                onto_returned=onto_returned,
                shown_as=ORIGINAL,
                unchanged_from=verdict.unchanged_from,
                finishes=None if verdict.finishes is None else verdict.finishes.id,
                coverage=coverage.case,
                beside=beside,
                compared=compared,
            )
            return self._ledger.keep_label(new)

        kept = self._files.keep(sent, label.array, name or new_name(FINAL), record)
        slices = "the whole volume" if kept.slices is None else f"slices {', '.join(map(str, kept.slices))}"
        logger.info("label of '%s' by %s: %s; now covers %s", kept.image_id, kept.annotator, coverage.case, slices)
        return kept

    def _ask_back(
        self, sent: SentLabel, query: Lease | None, beside: Mapping[int, int], verdict: Verdict, name: str
    ) -> None:
        """Keep a label that looks drawn on the wrong slices as a draft, unless it is confirmed.

        Raises:
            AskedBackError: the label is kept as a draft, as it was sent.
        """
        was_asked_back = verdict.finishes is not None and verdict.finishes.reason is DraftReason.UNCONFIRMED
        if not beside or sent.confirmed or was_asked_back:  # sending the same label again confirms it
            return
        places = slice_places(sent.image, sent.axis)
        line = asked_back(sent.image_id, beside, lambda slices: slices_named(places, slices, client_kind.get()))
        self._drafts.keep(sent, query, replace(verdict, reason=DraftReason.UNCONFIRMED, why=line), name)
        raise AskedBackError(line)


def open_archive(project: Project) -> LabelArchive:
    """The label archive of a project."""
    reader = HistoryReader(
        project.ledger,
        project.labels,
        project.labels_folder,
        project.predictions_folder,
        project.recipe.query.asks_slices,
    )
    settings = project.settings
    return LabelArchive(
        project.ledger, reader, project.slice_plane, FinishedBy(settings.finished_by), settings.agreement
    )
