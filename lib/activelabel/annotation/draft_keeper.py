"""Keeps drawings that their annotators have not finished."""

import logging
from collections.abc import Collection

from activelabel.annotation.coverage import WHOLE, SentLabel, differs_from_all, named_slices
from activelabel.annotation.finishing import Verdict
from activelabel.annotation.history_reader import ORIGINAL, HistoryReader
from activelabel.annotation.label_files import LabelFiles, new_name
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.labels.label_texts import stored_labels
from activelabel.data.labels.partial_labels import PartialLabel, merge
from activelabel.errors import InvalidInputError
from activelabel.project.labels.kept import sound_file
from activelabel.store.case_states import DraftReason
from activelabel.store.cases.new_annotation import NewDraft
from activelabel.store.ledger import Ledger
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.images import NamedSlices
from activelabel.store.records.labels import FINAL, Annotation, Draft
from activelabel.store.records.queries import Lease

logger = logging.getLogger(__name__)


class DraftKeeper:
    """Keeps drafts as files and in the ledger."""

    def __init__(self, ledger: Ledger, reader: HistoryReader, files: LabelFiles) -> None:
        self._ledger = ledger
        self._reader = reader
        self._files = files

    def keep(self, sent: SentLabel, query: Lease | None, verdict: Verdict, name: str) -> Draft:
        """Keep a label as a draft of the annotator who was asked; the author of a DICOM SEG may have another name.

        Args:
            sent: what the client sent.
            query: the annotator's query.
            verdict: why it is a draft.
            name: the name of the kept file without its ending; empty for a new name.

        Raises:
            InvalidInputError: the client names slices that the image does not have.
        """
        assert verdict.reason is not None
        annotator = sent.annotator if query is None else query.annotator
        same, named = verdict.finishes, self._named(sent, query, verdict.reason, annotator)
        if same is not None and (same.reason, same.why, same.named_slices) == (verdict.reason, verdict.why, named):
            return same  # a client may send the same drawing repeatedly
        draft = NewDraft(
            sent.image_id,
            annotator,
            verdict.reason,
            verdict.why,
            ORIGINAL,
            None if query is None else query.slices,
            None if query is None else query.id,
            stored_labels(self._reader.labels),
            named,
            sent.sliced,
        )
        return self._record(sent, draft, sent.array, name or new_name("draft"))

    def carry_over(self, sent: SentLabel, finished: Collection[int]) -> None:
        """Copy the slices that an annotator has finished into their draft, which stays open."""
        draft = self._ledger.open_draft(sent.image_id, sent.annotator)
        if draft is None:
            return
        try:
            before = self._reader.read_file(sound_file(draft, self._reader.kept, self._ledger), sent.image)
        except InvalidInputError as error:  # the finished slices are kept all the same
            logger.warning("%s", error)
            return
        label = merge(PartialLabel(before, sent.axis, sent.all_slices), sent.array, sent.axis, finished)
        updated = NewDraft(
            sent.image_id,
            sent.annotator,
            draft.reason,
            draft.why,
            ORIGINAL,
            draft.slices,
            draft.lease_id,
            stored_labels(self._reader.labels),
            draft.named_slices,
        )
        self._record(sent, updated, label.array, new_name("draft"))

    def _named(self, sent: SentLabel, query: Lease | None, reason: DraftReason, annotator: str) -> NamedSlices:
        """The slices for which a draft is finished: those that its client names; None for those that the rules find.

        If it names none, and goes on with a draft for which slices were named, perhaps by another client of the
        annotator, these are still meant, and so is each on which the annotator has drawn anew since, and each of a
        query for others than were asked for then. The rules would take all others for finished too. They decide over
        what was sent as finished, and over a second reading, which is of the whole volume.
        """
        named = named_slices(sent)
        if named is not None or reason is not DraftReason.SAID:
            return named
        draft = self._ledger.open_draft(sent.image_id, annotator)
        if draft is None or draft.named_slices is None or draft.named_slices == WHOLE:
            return None if draft is None else draft.named_slices
        case = self._reader.case(sent.image_id)
        if case.is_kept_beside(sent.annotator, query):
            return None
        asked = () if query is None or query.slices is None or query.slices == draft.slices else query.slices
        return tuple(sorted({*draft.named_slices, *asked, *self._drawn_since(draft, sent, case)}))

    def _drawn_since(self, draft: Draft, sent: SentLabel, case: CaseHistory) -> set[int]:
        """The slices that are drawn otherwise than in the draft, in the labels of the image, and by its models.

        Empty if one of them cannot be read: what others have drawn must not be taken for the annotator's.
        """
        current = case.current(FINAL), case.current(ORIGINAL)
        kept: list[Annotation | Draft] = [draft, *(label for label in current if label is not None)]
        try:
            seen = [self._reader.drawing(one, sent) for one in kept]
        except InvalidInputError as error:  # what was drawn now is kept all the same
            logger.warning("%s", error)
            return set()
        return differs_from_all(sent, [*seen, *self._reader.shown(sent).values()])

    def _record(self, sent: SentLabel, draft: NewDraft, array: LabelArray, name: str) -> Draft:
        return self._files.keep(sent, array, name, lambda file: self._ledger.keep_draft(draft, file))
