"""Keeps the labels of cases that two annotators read, neither of them seeing the other's, and compares both."""

import logging
from dataclasses import replace

from activelabel.annotation.agreement import agreement_of, agrees
from activelabel.annotation.coverage import Coverage, SentLabel
from activelabel.annotation.finishing import Verdict
from activelabel.annotation.history_reader import HistoryReader
from activelabel.annotation.label_files import LabelFiles, annotation_of, new_name
from activelabel.data.labels.label_map import label_map_of
from activelabel.data.labels.partial_labels import PartialLabel
from activelabel.errors import InvalidInputError
from activelabel.store.cases.new_annotation import Compared, KeptFile
from activelabel.store.coverage_case import CoverageCase
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import SECOND, Annotation

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

    def keep(self, sent: SentLabel, first: Annotation, verdict: Verdict, name: str) -> Annotation:
        """Keep a finished label that its annotator has drawn without seeing the first, and compare both.

        Args:
            sent: what the client sent.
            first: the label that counts.
            verdict: the draft that it finishes, and the model that drew it, if any.
            name: the name of the kept file without its ending; empty for a new name.
        """
        compared = self._compared(sent, first)
        label = PartialLabel(sent.array, sent.axis, sent.all_slices)

        def record(file: KeptFile) -> Annotation:
            new = replace(
                annotation_of(sent, SECOND, label, file, self._labels),
                unchanged_from=verdict.unchanged_from,
                finishes=None if verdict.finishes is None else verdict.finishes.id,
                coverage=COVERAGE.case,
                compared=compared,
            )
            return self._ledger.keep_annotation(new)

        kept = self._files.keep(sent, label.array, name or new_name(SECOND), record)
        if compared is not None:
            outcome = "agree" if compared.agrees else "differ: a reviewer decides"
            logger.info("second reading of '%s' by %s: both readings %s", kept.image_id, kept.annotator, outcome)
        return kept

    def _compared(self, sent: SentLabel, first: Annotation) -> Compared | None:
        """A second reading compared with the first; None if that cannot be read, which must not lose the second."""
        try:
            array = self._reader.read(first, sent.image)
        except InvalidInputError as error:
            logger.warning("the second reading of '%s' is compared with nothing: %s", sent.image_id, error)
            return None
        structures = agreement_of(array, sent.array, self._labels, sent.image.spacing_mm)
        return Compared(first.id, structures, agrees(structures, self._agreement))
