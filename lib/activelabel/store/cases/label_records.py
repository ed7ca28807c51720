"""Label records: what the ledger knows of each label version, as plain values, and rebuilding a ledger from them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeVar

from sqlalchemy import exc, func, select, update
from sqlalchemy.orm import Session

from activelabel.data.files.writing import Stamp
from activelabel.errors import InvalidInputError
from activelabel.store.cases.case_records import LabelRecord, RecordsByFile, records_in, values_of
from activelabel.store.cases.label_rows import current_row, last_version
from activelabel.store.cases.new_annotation import stamp_columns
from activelabel.store.cases.readings import with_ends
from activelabel.store.cases.rounds import current_round
from activelabel.store.columns import UtcDateTime
from activelabel.store.database import Database
from activelabel.store.lookup import in_pieces
from activelabel.store.schema.base import Base
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow, DraftRow
from activelabel.store.schema.models import ModelUseRow
from activelabel.store.schema.queries import LeaseRow, SkipRow
from activelabel.store.schema.reviews import ReadingRow, ReviewRow
from activelabel.store.schema.study import RoundRow

Row = TypeVar("Row", bound=Base)
Numbered = TypeVar("Numbered", AnnotationRow, DraftRow)


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuilt ledger holds: images, versions of labels under all their tags, drafts, queries and annotators."""

    images: int
    labels: int
    drafts: int
    queries: int
    annotators: tuple[str, ...]
    history: int = 0
    """The number of versions without a record: only their file names describe them."""

    def with_history(self, count: int) -> "Rebuilt":
        """A copy with `count` more versions without a record."""
        return replace(self, history=count)


class LabelRecords(Database):
    """The records that are written beside the label files."""

    def note_label_files(self, stamps: Mapping[str, Stamp]) -> None:
        """Note size and times, by file, of label files whose SHA-256 was found unchanged."""
        if not stamps:
            return
        with self._writing() as session:
            for row in (AnnotationRow, DraftRow):
                for some in in_pieces(stamps.keys()):
                    found = session.execute(select(row.id, row.file).where(row.file.in_(some))).tuples()
                    noted = [{"id": id_, **stamp_columns(stamps[file])} for id_, file in found]
                    if noted:
                        session.execute(update(row), noted)

    def label_files(self) -> dict[str, str]:
        """The image of every label or draft file, by file."""
        with self._reading() as session:
            tables = [session.execute(select(row.file, row.image_id)).tuples() for row in (AnnotationRow, DraftRow)]
            return {file: image_id for table in tables for file, image_id in table}

    def label_records(self, image_id: str) -> RecordsByFile:
        """All that the ledger knows of each version of an image's labels, by its file.

        Raises:
            NotFoundError: the image was never registered.
        """
        with self._reading() as session:
            return records_in(session, image_id)

    def rebuild(self, records: Iterable[LabelRecord]) -> Rebuilt:
        """Import the records that `label_records` returned into a ledger that knows no image yet.

        A record may be older than the last change of its label. The records of later versions make up for this: each
        version supersedes the one before. Queries that had not ended are released. The records know no models, nor
        which model began a round.

        Raises:
            InvalidInputError: the ledger knows images, or the records contradict each other or are incomplete.
        """
        now = self._clock()
        try:
            with self._writing() as session:
                if session.scalar(select(func.count()).select_from(ImageRow)):
                    raise InvalidInputError(f"ledger {self.shown_url}: it knows images already: name an empty one")
                rebuilt = _rebuild(session, list(records), now)
                if self.file is None:
                    advance_id_sequences(session)
                return rebuilt
        except (exc.IntegrityError, exc.StatementError, KeyError, TypeError, ValueError, AttributeError) as error:
            reason = str(getattr(error, "orig", error)).splitlines()[0][:200]
            raise InvalidInputError(
                f"the records beside the labels contradict each other, or lack something ({reason}): put a copy of "
                "the ledger back instead, or move the record that was changed away"
            ) from error

    def add_history(self, labels: Iterable[Mapping[str, Any]], superseding: Collection[str] = ()) -> int:
        """Keep labels that no longer count, each marked as superseded; return their number.

        Args:
            labels: `image_id`, `tag`, `file`, `sha256`, `annotator` and `created_at` of each, oldest first.
            superseding: the files of those after which no earlier label of their tag counts either.
        """
        now, count = self._clock(), 0
        with self._writing() as session:
            for values in labels:
                before = current_row(session, values["image_id"], values["tag"])
                if before is not None and values["file"] in superseding:
                    before.superseded_at = values["created_at"]
                    session.flush()
                version = last_version(session, values["image_id"], values["tag"]) + 1
                number = current_round(session, now).number
                session.add(AnnotationRow(**values, version=version, round_number=number, superseded_at=now))
                session.flush()
                count += 1
        return count


def row_of(kind: type[Row], values: Mapping[str, Any], **instead: Any) -> Row:
    """A row made from its values by column; times may be texts, as `values_of` gives them.

    Columns that this version does not know are left out.
    """
    found: dict[str, Any] = {}
    for column in kind.__table__.columns:
        value = {**values, **instead}.get(column.key)
        is_time = isinstance(column.type, UtcDateTime) and value is not None and not isinstance(value, datetime)
        found[column.key] = datetime.fromisoformat(str(value)) if is_time else value
    return kind(**found)


def _rebuild(session: Session, records: Sequence[LabelRecord], now: datetime) -> Rebuilt:
    images = {str(record["image"]["id"]): record["image"] for record in records}
    rounds = {int(values["number"]): values for record in records for values in record["rounds"]}
    queries: dict[int, Mapping[str, Any]] = {}
    for values in (values for record in records for values in record["queries"]):
        known = queries.get(int(values["id"]))
        if known is None or known["ended_at"] is None:
            queries[int(values["id"])] = values
    for values in images.values():
        session.add(row_of(ImageRow, values, present=True, leased_whole=True))
    for values in rounds.values():
        session.add(row_of(RoundRow, values, model_version=None))
    session.flush()
    for values in queries.values():
        ended = {} if values["ended_at"] is not None else {"ended_at": now, "outcome": "released"}
        session.add(row_of(LeaseRow, values, model_version=None, **ended))
    session.flush()
    labels = [row_of(AnnotationRow, values) for record in records for values in record["annotations"]]
    drafts = [row_of(DraftRow, values) for record in records for values in record["drafts"]]
    _end_earlier(labels, lambda row: (row.image_id, row.tag), "superseded_at")
    _end_earlier(drafts, lambda row: (row.image_id, row.annotator), "ended_at")
    session.add_all((*labels, *drafts))
    session.flush()
    # Records of earlier versions know no reviews and no readings.
    session.add_all(row_of(ReviewRow, values) for record in records for values in record.get("reviews", ()))
    found = [values for record in records for values in record.get("readings", ())]
    versions = [values_of(row) for row in labels]
    session.add_all(row_of(ReadingRow, values) for values in with_ends(found, versions))
    session.flush()
    annotators = sorted({row.annotator for row in labels} | {row.annotator for row in drafts})
    return Rebuilt(len(images), len(labels), len(drafts), len(queries), tuple(annotators))


def _end_earlier(rows: Iterable[Numbered], key: Callable[[Numbered], object], ended: str) -> None:
    """End each open version at the time of the next version of the same `key`, by setting the column `ended`."""
    versions = defaultdict[object, list[Numbered]](list)
    for row in rows:
        versions[key(row)].append(row)
    for of_key in versions.values():
        of_key.sort(key=lambda row: row.version)
        for row, later in pairwise(of_key):
            if getattr(row, ended) is None and getattr(row, "deleted_at", None) is None:
                setattr(row, ended, later.created_at)


def advance_id_sequences(session: Session, *more: type[SkipRow] | type[ModelUseRow]) -> None:
    """Set PostgreSQL's id sequences to continue after the imported ids; `more` are further tables with ids."""
    for table in (AnnotationRow, DraftRow, LeaseRow, ReadingRow, ReviewRow, *more):
        sequence = func.pg_get_serial_sequence(table.__tablename__, "id")
        session.execute(select(func.setval(sequence, func.coalesce(func.max(table.id), 1))))
