"""All that the ledger knows of one image, by which is decided what a label of it means. Knows no database."""

from collections.abc import Mapping
from dataclasses import dataclass

from activelabel.store.case_states import Verdict
from activelabel.store.records.images import Image
from activelabel.store.records.labels import FINAL, SECOND, Annotation, Draft
from activelabel.store.records.queries import SECOND_READING, Lease
from activelabel.store.records.reviews import Reading, Review


@dataclass(frozen=True)
class CaseHistory:
    """An image, and what has happened to it, oldest first.

    Attributes:
        image: the image.
        labels: every version of its labels, of all tags, superseded and deleted ones included.
        drafts: every draft, ended ones included.
        queries: every query for it.
        decisions: what reviewers have decided, as it stands, by the id of the label.
        compared: the current comparison of its readings.
    """

    image: Image
    labels: tuple[Annotation, ...]
    drafts: tuple[Draft, ...]
    queries: tuple[Lease, ...]
    decisions: Mapping[int, Review]
    compared: Reading | None

    def current(self, tag: str = FINAL) -> Annotation | None:
        """The newest label of a tag; None if there is none or it was taken back."""
        current = (one for one in self.labels if one.superseded_at is None and one.deleted_at is None)
        return next((label for label in current if label.tag == tag), None)

    def shows(self, tag: str, source: str = FINAL) -> bool:
        """Whether the current label of `tag` is a copy of a label that was kept under the tag `source`."""
        shown = self.current(tag)
        return shown is not None and any(one.tag == source and one.file == shown.file for one in self.labels)

    def shows_draft(self, tag: str) -> bool:
        """Whether the current label of a tag is a draft, open or ended."""
        shown = self.current(tag)
        return shown is not None and any(draft.file == shown.file for draft in self.drafts)

    def latest_query(self, annotator: str) -> Lease | None:
        """The newest query that an annotator was given, also if answered or expired."""
        return next((query for query in reversed(self.queries) if query.annotator == annotator), None)

    @property
    def open_drafts(self) -> list[Draft]:
        """The drafts that neither a newer draft nor a finished label has replaced."""
        return [draft for draft in self.drafts if draft.ended_at is None]

    def is_decided(self, label: Annotation, verdict: Verdict) -> bool:
        """Whether this is what a reviewer has decided about a label version, as it stands."""
        decision = self.decisions.get(label.id)
        return decision is not None and decision.outcome == verdict.value

    @property
    def is_adjudicated(self) -> bool:
        """Whether a reviewer has approved the final label although both readings differ."""
        final = self.current()
        differ = self.compared is not None and not self.compared.agrees
        return differ and final is not None and self.is_decided(final, Verdict.APPROVED)

    @property
    def readings(self) -> list[Annotation]:
        """Both labels of the current comparison; none if there is no comparison."""
        ids = () if self.compared is None else (self.compared.first_id, self.compared.second_id)
        return [label for label in self.labels if label.id in ids]

    @property
    def readers(self) -> frozenset[str]:
        """The annotators of both labels of the current comparison."""
        return frozenset(label.annotator for label in self.readings)

    def is_kept_beside(self, annotator: str, query: Lease | None = None) -> bool:
        """Whether what an annotator sends now is kept beside the label that counts, as a second reading.

        It is one if it answers a `query` for one, or if the annotator is one of two readers and it would replace what
        somebody else has drawn, or what a reviewer has approved although both readings differ.
        """
        current = self.current()
        if current is None or current.slices is not None or self.is_decided(current, Verdict.RETURNED):
            return False
        if annotator in self.readers:
            return current.annotator != annotator or self.is_adjudicated
        if query is None or query.strategy != SECOND_READING or current.annotator == query.annotator:
            return False
        answered = any(label.tag == SECOND and label.lease_id == query.id for label in self.labels)
        return query.outcome != "saved" or answered

    def other_reading(self, annotator: str, tag: str) -> Annotation | None:
        """The other reader's newest label, with which a new label of an annotator is compared; None if with none.

        If readings of the image were compared, a new version of either is compared with the other's newest one, and a
        third person's final label with none: it is a correction, no reading. Else a second reading is compared with the
        final label, and a final label with a second reading of somebody else: it was drawn after the label that this
        one was compared with was taken back.
        """
        if tag not in (FINAL, SECOND):
            return None
        other = next((reader for reader in self.readers if reader != annotator), None)
        if other is not None and annotator in self.readers:
            return self._newest_reading(other)
        if tag == SECOND:
            return self.current()
        second = self.current(SECOND) if self.compared is None else None
        return None if second is None or second.annotator == annotator else second

    def _newest_reading(self, reader: str) -> Annotation | None:
        """The newest label of the whole volume that a reader has sent and nobody has taken back."""
        sent = (one for one in reversed(self.labels) if one.annotator == reader and one.tag in (FINAL, SECOND))
        return next((label for label in sent if label.deleted_at is None and label.slices is None), None)
