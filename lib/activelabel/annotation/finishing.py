"""Whether a label that was sent is finished, or a draft, and whether it is a model's own drawing."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activelabel.annotation.coverage import Coverage, SentLabel
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.labels.completeness import Expected, why_incomplete, why_structure_missing
from activelabel.data.labels.label_map import label_map_of
from activelabel.data.slice_digests import SliceDigests
from activelabel.errors import InvalidInputError
from activelabel.names import ScoreKind
from activelabel.project.models.shown_masks import shown_file
from activelabel.store.case_states import DraftReason, FinishedBy, Submission, draft_reason
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.labels import Annotation, Draft
from activelabel.store.records.models import ModelVersion

logger = logging.getLogger(__name__)

CREDIBLE_DICE = 0.5
"""A model with a lower Dice on the validation cases cannot tell what is missing: it would ask back finished labels."""
_AGAIN = "send it once more as it is"  # understood in every client; a script may also say so in its params


@dataclass(frozen=True)
class Verdict:
    """Whether a label is a draft.

    Attributes:
        reason: why it is a draft; None if it is finished.
        why: the same in one line, for the client; empty if it is finished.
        unchanged_from: the model that drew it, if nothing was changed.
        finishes: the open draft that is the same drawing.
    """

    reason: DraftReason | None
    why: str = ""
    unchanged_from: int | None = None
    finishes: Draft | None = None


@dataclass(frozen=True)
class Finishing:
    """Decides whether a label is finished, by the project's setting `finished_by`.

    Attributes:
        reader: reads kept labels and what models showed.
        finished_by: who decides that a whole volume is finished if its client does not say so.
    """

    reader: HistoryReader
    finished_by: FinishedBy

    def judge_unfinished(self, sent: SentLabel, case: CaseHistory) -> Verdict:
        """The verdict on a label that its client calls unfinished: whatever it covers, it is a draft."""
        return Verdict(DraftReason.SAID, _why(DraftReason.SAID, None, None), finishes=self._same_draft(sent, case))

    def judge_part(self, sent: SentLabel, named: Collection[int], case: CaseHistory) -> Verdict:
        """The verdict on a second reading that names some slices only: kept whole, the others would be background."""
        why = (
            f"kept as a draft: annotated_slices names {len(named)} of {len(sent.all_slices)} slices, and a second "
            'reading is of the whole volume: draw on, and send it with "all", or without annotated_slices'
        )
        return replace(self.judge_unfinished(sent, case), why=why)

    def judge(
        self,
        sent: SentLabel,
        coverage: Coverage,
        shown: Mapping[int, SliceDigests],
        case: CaseHistory,
        current: Annotation | None,
    ) -> Verdict:
        """Whether a label is finished or a draft.

        Args:
            sent: what the client sent.
            coverage: the slices that it covers.
            shown: the masks that models showed of the image, by the model's version.
            case: what the ledger knows of the image.
            current: the label that counts now, if this one may have to look like it.
        """
        same = self._same_draft(sent, case)
        unchanged = _unchanged_from(sent, coverage, shown)
        whole = coverage.slices is None and sent.named_slices is None
        asks_estimate = whole and sent.finished is None and self.finished_by is FinishedBy.ESTIMATE
        problem = self._incomplete(sent, current, shown) if asks_estimate else None
        submission = Submission(
            whole,
            sent.finished,
            sent.confirmed,
            told=same is not None and same.reason is not DraftReason.SAID,
            validation=case.image.role == "validation",
            unchanged_from=unchanged,
            incomplete=problem is not None,
        )
        reason = draft_reason(submission, self.finished_by)
        return Verdict(reason, _why(reason, unchanged, problem), unchanged, same)

    def _same_draft(self, sent: SentLabel, case: CaseHistory) -> Draft | None:
        """The open draft with the same drawing: the annotator's, or anybody's if the sender is unknown."""
        for draft in case.open_drafts:
            if draft.annotator != sent.annotator and not sent.answers_any:
                continue
            try:
                if self.reader.drawing(draft, sent) == sent.drawing:
                    return draft
            except InvalidInputError as error:  # a damaged draft must not prevent the label from being kept
                logger.warning("%s: not compared with what was sent: %s", sent.image_id, error)
        return None

    def _incomplete(self, sent: SentLabel, current: Annotation | None, shown: Mapping[int, SliceDigests]) -> str | None:
        smallest = self.reader.ledger.smallest_drawn_share(sent.image_id)
        mask = self._expected_mask(sent, current, shown)
        expected = self._expected_profile(sent) if mask is None else Expected(self._areas(mask.array, sent), mask.says)
        problem = why_incomplete(self._areas(sent.array, sent), expected, smallest)
        if problem is not None or mask is None:
            return problem
        of_structures = self._voxels(mask.array, mask.structures)
        return why_structure_missing(self._voxels(sent.array, mask.structures), of_structures, mask.says_voxels)

    def _expected_mask(
        self, sent: SentLabel, current: Annotation | None, shown: Mapping[int, SliceDigests]
    ) -> "_ExpectedMask | None":
        """The expected drawing: a finished label, else what the model in use has shown if it is credible."""
        names = tuple(label_map_of(self.reader.labels))
        if current is not None and current.slices is None:
            before = self._read(self.reader.kept / current.file, sent)
            if before is not None:
                counts = "the label that counts has"
                return _ExpectedMask(before, names, f"{counts} something on", counts)
        model = self._credible_model()
        if model is None or model.version not in shown:
            return None
        mask = self._read(shown_file(self.reader.predictions, sent.image_id, model.version), sent)
        if mask is None:
            return None
        credible = tuple(name for name in names if (model.metrics.get(f"dice_{name}") or 0.0) >= CREDIBLE_DICE)
        return _ExpectedMask(mask, credible, _sees(model), f"model {model.version} sees")

    def _expected_profile(self, sent: SentLabel) -> Expected | None:
        """The foreground that the model in use has predicted on each slice when it scored the image, if credible."""
        model = self._credible_model()
        if model is None:
            return None
        profile = self.reader.ledger.slice_profile(sent.image_id, model.version, ScoreKind("foreground"))
        return None if profile is None or len(profile) != len(sent.all_slices) else Expected(profile, _sees(model))

    def _credible_model(self) -> ModelVersion | None:
        model = self.reader.ledger.model_in_use()
        return None if model is None or (model.metrics.get("dice") or 0.0) < CREDIBLE_DICE else model

    def _voxels(self, array: LabelArray, structures: Collection[str]) -> dict[str, int]:
        """The number of voxels of each of these structures."""
        values = label_map_of(self.reader.labels)
        return {
            name: int(np.count_nonzero(values.structure(index, array)))
            for index, name in enumerate(values)
            if name in structures
        }

    def _areas(self, array: LabelArray, sent: SentLabel) -> list[int]:
        return areas_of(label_map_of(self.reader.labels).drawn(array), sent.axis)

    def _read(self, file: Path, sent: SentLabel) -> LabelArray | None:
        """A mask for comparison; None if it cannot be read, which must not prevent the label from being kept."""
        try:
            return self.reader.read_file(file, sent.image)
        except InvalidInputError as error:
            logger.warning("%s: not compared with what was sent: %s", sent.image_id, error)
            return None


@dataclass(frozen=True)
class _ExpectedMask:
    """An expected drawing, with the structures for which it is credible, and what to say of its slices and voxels."""

    array: LabelArray
    structures: Collection[str]
    says: str
    says_voxels: str


def _sees(model: ModelVersion) -> str:
    return f"model {model.version} sees something on"


def _unchanged_from(sent: SentLabel, coverage: Coverage, shown: Mapping[int, SliceDigests]) -> int | None:
    """The newest model that drew exactly this on the covered slices, if anything is drawn on them."""
    slices = sent.all_slices if coverage.slices is None else coverage.slices
    if not sent.drawn_on & slices:
        return None
    for version in sorted(shown, reverse=True):
        if all(shown[version][index] == sent.drawing[index] for index in slices):
            return version
    return None


def areas_of(drawn: NDArray[np.bool_], axis: int) -> list[int]:
    """The number of drawn voxels on each slice along `axis`."""
    across = tuple(other for other in range(3) if other != axis)
    return [int(area) for area in np.count_nonzero(drawn, axis=across)]


def _why(reason: DraftReason | None, model: int | None, problem: str | None) -> str:
    """One line on why a label is a draft, and on what to do; empty for a finished label."""
    match reason:
        case None:
            return ""
        case DraftReason.SAID:
            return "kept as a draft, as its client says: it opens again with the next case, and is not learnt from"
        case DraftReason.UNCONFIRMED:
            found = (
                f"the case judges models, and the label is exactly what model {model} drew: look it over, correct it"
            )
            return f"kept as a draft: {found}, or {_AGAIN} if it is right"
        case DraftReason.INCOMPLETE:
            return f"kept as a draft: {problem}: draw on, or {_AGAIN} if it is finished"
        case DraftReason.UNSTATED:
            return f"kept as a draft: nobody said that it is finished: draw on, or {_AGAIN}"
