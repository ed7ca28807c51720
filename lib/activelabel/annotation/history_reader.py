"""Reads the history of an image when a label comes back, from the ledger, the kept labels and the shown masks."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from activelabel.annotation.coverage import SentLabel, case_without_history
from activelabel.annotation.digest_files import kept_digests
from activelabel.annotation.history import History, Version
from activelabel.data.grids import Grid
from activelabel.data.label_checking import check_label
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.slice_digests import DIGEST_FORMAT, SliceDigests
from activelabel.errors import InvalidInputError
from activelabel.project.labels.kept import sound_file
from activelabel.project.models.shown_masks import shown_masks
from activelabel.store.case_states import Verdict
from activelabel.store.ledger import Ledger
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.labels import FINAL, Annotation, Draft
from activelabel.store.records.queries import Lease

logger = logging.getLogger(__name__)

ORIGINAL = "original"
"""The host's tag of the label that Slicer opens with an image: a prediction, or an earlier drawing."""


@dataclass(frozen=True)
class HistoryReader:
    """Reads the query that a label answers, and the history of its image.

    Attributes:
        ledger: the ledger, with all queries and all label versions.
        labels: the label map, or names of the values 1..N.
        kept: folder of all label versions.
        predictions: folder of the masks that models showed, `IMAGE/VERSION.nii.gz`.
        asks_slices: whether the project asks for slices.
    """

    ledger: Ledger
    labels: Sequence[str]
    kept: Path
    predictions: Path
    asks_slices: bool

    def case(self, image_id: str) -> CaseHistory:
        """All that the ledger knows of an image now."""
        return self.ledger.case_history(image_id)

    def query(self, sent: SentLabel, case: CaseHistory) -> Lease | None:
        """The annotator's newest query for this image, unless they have skipped it."""
        query = case.latest_query(sent.annotator)
        if query is None and sent.answers_any:
            others = self.ledger.active_leases(sent.image_id)
            return others[0] if len(others) == 1 else None
        return None if query is None or query.outcome == "released" else query

    def history(self, sent: SentLabel, query: Lease | None, case: CaseHistory) -> History:
        """The history of the image before this label came.

        The versions are read only where the coverage of the label depends on them.

        Args:
            sent: what the client sent.
            query: the annotator's query.
            case: what the ledger knows of the image.
        """
        current = case.current()
        covered = None if current is None else frozenset(current.slices or sent.all_slices)
        if current is not None and case.is_decided(current, Verdict.RETURNED):
            covered = frozenset()  # all of it is to be drawn anew: leaving a slice empty is an answer
        is_partial = current is not None and current.slices is not None and not _corrects_a_volume(sent, case)
        now = History(self.asks_slices, covered, is_partial, shown=self.shown(sent))
        if case_without_history(sent, query, now) is not None:
            return now
        finals, originals = self._versions(sent, case)
        return replace(now, finals=finals, originals=originals)

    def shown(self, sent: SentLabel) -> dict[int, SliceDigests]:
        """The masks that models showed of the image, by the model's version.

        A mask that cannot be read is logged and left out: it must not prevent a label from being kept.
        """
        masks: dict[int, SliceDigests] = {}
        for version, file in shown_masks(self.predictions / sent.image_id):
            try:
                digests = self._digests(file, sent)
            except InvalidInputError as error:
                logger.warning("%s: not compared with what was sent: %s", sent.image_id, error)
            else:
                masks[version] = digests
        return masks

    def read(self, annotation: Annotation, image: Grid) -> LabelArray:
        """The voxels of a kept label.

        Raises:
            InvalidInputError: its file was changed.
        """
        return self.read_file(sound_file(annotation, self.kept, self.ledger), image)

    def read_file(self, file: Path, image: Grid) -> LabelArray:
        """The voxels of a kept label or mask, whose values are those of the project.

        Raises:
            InvalidInputError: the file cannot be read, or does not lie on the grid of the image.
        """
        return check_label(file, image, self.labels, as_kept=True).array

    def drawing(self, label: Annotation | Draft, sent: SentLabel) -> SliceDigests:
        """The digests of the slices of a kept label or draft.

        Raises:
            InvalidInputError: its file was changed, or does not lie on the grid of the image.
        """
        return self._digests(sound_file(label, self.kept, self.ledger), sent)

    def _digests(self, file: Path, sent: SentLabel) -> SliceDigests:
        return kept_digests(file, sent.image, sent.axis, lambda: self.read_file(file, sent.image))

    def _versions(self, sent: SentLabel, case: CaseHistory) -> tuple[tuple[Version, ...], tuple[Version, ...]]:
        """All versions of the final label, and of the label that clients open with the image; oldest first."""
        drafts = {draft.file for draft in case.drafts}
        contents: dict[str, SliceDigests | InvalidInputError] = {}
        versions: dict[str, list[Version]] = {FINAL: [], ORIGINAL: []}
        for label in case.labels:
            if label.tag not in versions:
                continue
            if label.file not in contents:
                contents[label.file] = self._content(label, sent)
            version = Version(
                label.version,
                label.annotator,
                contents[label.file],
                label.created_at,
                label.superseded_at,
                label.deleted_at,
                is_draft=label.file in drafts,
                sent_otherwise=_by_index(label.sent_otherwise),
            )
            versions[label.tag].append(version)
        return tuple(versions[FINAL]), tuple(versions[ORIGINAL])

    def _content(self, label: Annotation, sent: SentLabel) -> SliceDigests | InvalidInputError:
        try:
            return self.drawing(label, sent)
        except InvalidInputError as error:  # `Version.drawing` raises it if the version must be compared
            return error


def _corrects_a_volume(sent: SentLabel, case: CaseHistory) -> bool:
    """Whether the annotator's own newest label was of the whole volume, and a reviewer has returned it to them.

    What they send then is that volume, corrected, whatever others have sent of it since.
    """
    own = [label for label in case.labels if label.tag == FINAL and label.annotator == sent.annotator]
    return bool(own) and own[-1].slices is None and case.is_decided(own[-1], Verdict.RETURNED)


def _by_index(digests: Mapping[str, str] | None) -> dict[int, str] | None:
    """The digests by slice; None if they are of another format than this version's."""
    if digests is None or digests.get("format") != DIGEST_FORMAT:
        return None
    return {int(index): digest for index, digest in digests.items() if index != "format"}
