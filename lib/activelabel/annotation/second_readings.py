"""Keeps second readings: labels of annotators who have not seen the first one. Compares both, whoever sends anew."""

import logging
from dataclasses import replace

from activelabel.annotation.agreement import agreement_of, agrees
from activelabel.annotation.coverage import Coverage, SentLabel
from activelabel.annotation.finishing import Verdict
from activelabel.annotation.history_reader import HistoryReader
from activelabel.annotation.label_files import LabelFiles, annotation_of, new_name
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.labels.label_map import label_map_of
from activelabel.data.labels.partial_labels import PartialLabel
from activelabel.errors import InvalidInputError
from activelabel.store.cases.case_records import RecordsByFile
from activelabel.store.cases.new_annotation import Compared, KeptFile
from activelabel.store.coverage_case import CoverageCase
from activelabel.store.ledger import Ledger
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.labels import FINAL, SECOND, Annotation

logger = logging.getLogger(__name__)

COVERAGE = Coverage(CoverageCase.VOLUME_ANSWER, None)
"""A second reading is of the whole volume."""


class SecondReadings:
    """Keeps second readings as files and in the ledger, beside the first, which goes on to count."""

    def __init__(self, ledger: Ledger, reader: HistoryReader, files: LabelFiles, agreement: float) -> None:
        """Two readings agree if the Dice of each structure is `agreement` or more."""
        self._ledger = ledger
        self._reader = reader
        self._files = files
        self._agreement = agreement
        self._labels = label_map_of(reader.labels)

    def keep(self, sent: SentLabel, verdict: Verdict, case: CaseHistory, name: str) -> Annotation:
        """Keep a finished label beside the one that counts, and compare it with the other reader's newest one.

        Args:
            sent: what the client sent.
            verdict: the draft that it finishes, and the model that drew it, if any.
            case: what the ledger knows of the image.
            name: the name of the kept file without its ending; empty for a new name.
        """
        other = case.other_reading(sent.annotator, SECOND)
        compared = None if other is None else self._compared(sent, sent.array, other)
        label = PartialLabel(sent.array, sent.axis, sent.all_slices)

        def record(file: KeptFile) -> tuple[Annotation, RecordsByFile]:
            new = replace(
                annotation_of(sent, SECOND, label, file, self._labels),
                unchanged_from=verdict.unchanged_from,
                finishes=None if verdict.finishes is None else verdict.finishes.id,
                coverage=COVERAGE.case,
                beside=0 if other is None else other.id,
                compared=compared,
            )
            return self._ledger.keep_label(new)

        return self._files.keep(sent, label.array, name or new_name(SECOND), record)

    def beside_final(
        self, sent: SentLabel, label: PartialLabel, case: CaseHistory
    ) -> tuple[int | None, Compared | None]:
        """`beside` and `compared` of a final label that is about to be recorded (see `NewAnnotation`).

        It is compared if it is a reading: if its annotator is one of two readers who sends theirs again. What a
        reviewer decides is none.
        """
        if sent.decided or label.slices != sent.all_slices:
            return None, None
        other = case.other_reading(sent.annotator, FINAL)
        if other is None:
            return 0, None
        return other.id, self._compared(sent, label.array, other)

    def _compared(self, sent: SentLabel, array: LabelArray, other: Annotation) -> Compared | None:
        """A reading compared with the other one; None if that cannot be read, which must not lose the new one."""
        try:
            before = self._reader.read(other, sent.image)
        except InvalidInputError as error:
            logger.warning("the label of '%s' by %s is compared with nothing: %s", sent.image_id, sent.annotator, error)
            return None
        structures = agreement_of(before, array, self._labels, sent.image.spacing_mm)
        compared = Compared(other.id, structures, agrees(structures, self._agreement))
        outcome = "agree" if compared.agrees else "differ: a reviewer decides"
        logger.info("'%s': the readings of %s and %s %s", sent.image_id, other.annotator, sent.annotator, outcome)
        return compared
