"""Whether a label that was sent is finished, or a draft, and whether it is a model's own drawing."""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activelabel.annotation.coverage import Coverage, SentLabel
from activelabel.data.completeness import Expected, why_incomplete
from activelabel.data.labels import LabelArray, check_label
from activelabel.errors import InvalidInputError
from activelabel.names import ScoreKind
from activelabel.store.case_states import DraftReason, FinishedBy, Submission, draft_reason
from activelabel.store.records import Annotation, Draft

logger = logging.getLogger(__name__)

CREDIBLE_DICE = 0.5
"""A model of less, on the validation cases, does not know what is missing: it would ask back what is all there."""
_AGAIN = 'send it once more as it is (a script: params {{"{}": true}})'


@dataclass(frozen=True)
class Verdict:
    """What a label is. `reason` and `why`, in one line, are of a draft; None and empty: it is finished.

    `unchanged_from` is the model whose drawing it is; `finishes` the draft that is the same drawing.
    """

    reason: DraftReason | None
    why: str = ""
    unchanged_from: int | None = None
    finishes: Draft | None = None


@dataclass(frozen=True)
class Finishing:
    """Decides it, as a project's setting `finished_by` says.

    Attributes:
        coverage: knows the ledger, the kept labels and what models showed.
        finished_by: who says of a whole volume that it is finished, where its client does not.
    """

    coverage: Coverage
    finished_by: FinishedBy

    def judge(self, sent: SentLabel, covered: Collection[int] | None, current: Annotation | None) -> Verdict:
        """Finished or a draft.

        Args:
            sent: what the client sent.
            covered: the slices that it covers, None for the whole volume.
            current: the label that counts now.
        """
        same = self._same_draft(sent)
        unchanged = self._unchanged_from(sent, covered)
        whole = covered is None and sent.said is None
        asks_estimate = whole and sent.finished is None and self.finished_by is FinishedBy.ESTIMATE
        problem = self._incomplete(sent, current) if asks_estimate else None
        submission = Submission(
            whole,
            sent.finished,
            sent.confirmed,
            told=same is not None and same.reason is not DraftReason.SAID,
            validation=self.coverage.ledger.image(sent.image_id).role == "validation",
            unchanged_from=unchanged,
            incomplete=problem is not None,
        )
        reason = draft_reason(submission, self.finished_by)
        return Verdict(reason, _why(reason, unchanged, problem), unchanged, same)

    def _same_draft(self, sent: SentLabel) -> Draft | None:
        """The open draft that is the same drawing: of the annotator, or anybody's where it is not known who sends."""
        for draft in self.coverage.ledger.open_drafts(sent.image_id):
            if draft.annotator == sent.annotator or sent.answers_any:
                kept = self._read(self.coverage.kept / draft.file, sent)
                if kept is not None and np.array_equal(kept, sent.array):
                    return draft
        return None

    def _unchanged_from(self, sent: SentLabel, covered: Collection[int] | None) -> int | None:
        """The newest model that drew exactly this on the slices that count, if anything is drawn on them."""
        if covered is not None and not covered:
            return None
        slices = sorted(sent.all_slices if covered is None else covered)
        drawing = sent.array.take(slices, sent.axis)
        if not drawing.any():
            return None
        for version, shown in self._predictions(sent):
            if np.array_equal(shown.take(slices, sent.axis), drawing):
                return version
        return None

    def _predictions(self, sent: SentLabel) -> Iterator[tuple[int, LabelArray]]:
        """What models showed of the image, the newest first."""
        files = {int(file.name.split(".")[0]): file for file in self.coverage.shown(sent.image_id)}
        for version in sorted(files, reverse=True):
            mask = self._read(files[version], sent)
            if mask is not None:
                yield version, mask

    def _read(self, file: Path, sent: SentLabel) -> LabelArray | None:
        """A mask to compare with. One that cannot be read must keep no label from being kept."""
        try:
            return check_label(file, sent.image, self.coverage.labels).array
        except InvalidInputError as error:
            logger.warning("%s: not compared with what was sent: %s", sent.image_id, error)
            return None

    def _incomplete(self, sent: SentLabel, current: Annotation | None) -> str | None:
        smallest = self.coverage.ledger.smallest_drawn_share(sent.image_id)
        return why_incomplete(areas_of(sent.array, sent.axis), self._expected(sent, current), smallest)

    def _expected(self, sent: SentLabel, current: Annotation | None) -> Expected | None:
        """What should be drawn: what is, on a volume that is finished; else what a model in use sees that is good."""
        if current is not None and current.slices is None:
            before = self._read(self.coverage.kept / current.file, sent)
            if before is not None:
                return Expected(areas_of(before, sent.axis), "the label that counts has something on")
        model = self.coverage.ledger.model_in_use()
        if model is None or (model.metrics.get("dice") or 0.0) < CREDIBLE_DICE:
            return None
        says = f"model {model.version} sees something on"
        shown = next((array for version, array in self._predictions(sent) if version == model.version), None)
        if shown is not None:
            return Expected(areas_of(shown, sent.axis), says)
        kind = ScoreKind("foreground")
        profile = self.coverage.ledger.slice_profile(sent.image_id, model.version, kind)
        return None if profile is None or len(profile) != len(sent.all_slices) else Expected(profile, says)


def areas_of(array: LabelArray, axis: int) -> list[int]:
    """How many voxels are drawn on each slice along `axis`."""
    across = tuple(other for other in range(3) if other != axis)
    return [int(area) for area in np.count_nonzero(array, axis=across)]


def _why(reason: DraftReason | None, model: int | None, problem: str | None) -> str:
    """Why it is a draft, and what to do, in one line."""
    match reason:
        case None:
            return ""
        case DraftReason.SAID:
            return "kept as a draft, as its client says: it opens again with the next case, and is not learnt from"
        case DraftReason.UNCONFIRMED:
            said = f"the case judges models, and the label is exactly what model {model} drew: look it over, correct it"
            return f"kept as a draft: {said}, or {_AGAIN.format('confirmed')} if it is right"
        case DraftReason.INCOMPLETE:
            return f"kept as a draft: {problem}: draw on, or {_AGAIN.format('finished')} if it is finished"
        case DraftReason.UNSTATED:
            said = "nobody said that it is finished: draw on"
            return f"kept as a draft: {said}, or {_AGAIN.format('finished')}"
