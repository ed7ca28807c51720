"""Label records: what the ledger knows of each version of an image's labels, as plain values by the file."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from activelabel.store.cases.case_rows import CaseRows
from activelabel.store.schema.base import Base
from activelabel.store.schema.labels import AnnotationRow, DraftRow
from activelabel.store.schema.queries import LeaseRow
from activelabel.store.schema.reviews import ReadingRow, ReviewRow
from activelabel.store.schema.study import RoundRow

LabelRecord = dict[str, Any]
"""JSON: `image`, and the `annotations`, `drafts`, `queries`, `rounds`, `reviews` and `readings` of a label file."""
RecordsByFile = Mapping[str, LabelRecord]
"""The record of each version of an image's labels, by its file."""

_OF_IMAGE = ("id", "added_at", "role", "patient", "slice_axis", "slice_count", "content_sha256")
_FILE_COLUMNS = frozenset({"file_size", "file_modified_ns"})
"""Columns that describe the file on this disk; a copy of the file has other values."""


def records_in(session: Session, image_id: str) -> RecordsByFile:
    """The records of an image's labels as they are now, also within the transaction that changes them.

    Raises:
        NotFoundError: the image was never registered.
    """
    return records_of(session, CaseRows.read(session, image_id))


def records_of(session: Session, case: CaseRows) -> RecordsByFile:
    """The same from rows that were read already."""
    image = values_of(case.image, _OF_IMAGE)
    rows = defaultdict[str, list[AnnotationRow | DraftRow]](list)
    for label in case.labels:
        rows[label.file].append(label)
    for draft in case.drafts:
        rows[draft.file].append(draft)
    queries = {row.id: row for row in case.queries}
    rounds = _rounds_of(session, case)
    reviews = [review for review in case.reviews if review.outcome is not None]
    return {
        file: {
            "image": image,
            **_record(of_file, queries, rounds),
            "reviews": _reviews_of(of_file, reviews),
            "readings": _readings_of(of_file, case.readings),
        }
        for file, of_file in rows.items()
    }


def _rounds_of(session: Session, case: CaseRows) -> dict[int, RoundRow]:
    """The rounds to which queries and labels of a case belong; mostly all to the newest one, which is read already."""
    newest = case.newest_round
    known = {} if newest is None else {newest.number: newest}
    numbers = {query.round_number for query in case.queries} | {label.round_number for label in case.labels}
    older = numbers - known.keys()
    if older:
        known.update((row.number, row) for row in session.scalars(select(RoundRow).where(RoundRow.number.in_(older))))
    return known


def _record(
    rows: Sequence[AnnotationRow | DraftRow], all_queries: Mapping[int, LeaseRow], all_rounds: Mapping[int, RoundRow]
) -> LabelRecord:
    queries = [all_queries[id_] for id_ in sorted({row.lease_id for row in rows if row.lease_id is not None})]
    numbers = {row.round_number for row in rows if isinstance(row, AnnotationRow)}
    rounds = [all_rounds[number] for number in sorted(numbers | {query.round_number for query in queries})]
    return {
        "annotations": [values_of(row) for row in rows if isinstance(row, AnnotationRow)],
        "drafts": [values_of(row) for row in rows if isinstance(row, DraftRow)],
        "queries": [values_of(row) for row in queries],
        "rounds": [values_of(row) for row in rounds],
    }


def _reviews_of(rows: Sequence[AnnotationRow | DraftRow], reviews: Sequence[ReviewRow]) -> list[dict[str, Any]]:
    """The ended reviews of these annotations."""
    ids = {row.id for row in rows if isinstance(row, AnnotationRow)}
    return [values_of(review) for review in reviews if review.annotation_id in ids]


def _readings_of(rows: Sequence[AnnotationRow | DraftRow], readings: Sequence[ReadingRow]) -> list[dict[str, Any]]:
    """The comparisons of these annotations as second readings."""
    ids = {row.id for row in rows if isinstance(row, AnnotationRow)}
    return [values_of(reading) for reading in readings if reading.second_id in ids]


def values_of(row: Base, keys: Iterable[str] | None = None) -> dict[str, Any]:
    """The columns of a row as JSON values: all columns, or those in `keys`."""
    wanted = [column.key for column in row.__mapper__.column_attrs] if keys is None else keys
    values = {key: getattr(row, key) for key in wanted if key not in _FILE_COLUMNS}
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in values.items()}
