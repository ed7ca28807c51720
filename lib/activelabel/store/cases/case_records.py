"""Label records: what the ledger knows of each version of an image's labels, as plain values by the file."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from activelabel.store.cases.case_rows import CaseRows
from activelabel.store.schema.base import Base
from activelabel.store.schema.study import RoundRow

LabelRecord = dict[str, Any]
"""JSON: `image`, and the `annotations`, `drafts`, `queries`, `rounds`, `reviews` and `readings` of a label file."""
RecordsByFile = Mapping[str, LabelRecord]
"""The record of each version of an image's labels, by its file."""

_OF_IMAGE = ("id", "added_at", "role", "patient", "slice_axis", "slice_count", "content_sha256")
_FILE_COLUMNS = frozenset({"file_size", "file_modified_ns", "file_changed_ns"})
"""Columns that describe the file on this disk; a copy of the file has other values."""


def records_in(session: Session, image_id: str) -> RecordsByFile:
    """The records of an image's labels as they are now, also within the transaction that changes them.

    Raises:
        NotFoundError: the image was never registered.
    """
    return records_of(session, CaseRows.read(session, image_id))


def records_of(session: Session, case: CaseRows) -> RecordsByFile:
    """The same from rows that were read already."""
    image = {key: as_json(getattr(case.image, key)) for key in _OF_IMAGE}
    labels, drafts = _by_file(case.labels), _by_file(case.drafts)
    queries = {row.id: row for row in case.queries}
    rounds = _rounds_of(session, case)
    reviews = [review for review in case.reviews if review.outcome is not None]
    found = {}
    for file in {**labels, **drafts}:
        record = _record(labels.get(file, ()), drafts.get(file, ()), queries, rounds, reviews, case.readings)
        found[file] = {"image": image, **record}
    return found


def _by_file(rows: Iterable[SimpleNamespace]) -> Mapping[str, Sequence[SimpleNamespace]]:
    found = defaultdict[str, list[SimpleNamespace]](list)
    for row in rows:
        found[row.file].append(row)
    return found


def _rounds_of(session: Session, case: CaseRows) -> dict[int, SimpleNamespace]:
    """The rounds to which queries and labels of a case belong; mostly all to the newest one, which is read already."""
    newest = case.newest_round
    known = {} if newest is None else {newest.number: newest}
    numbers = {query.round_number for query in case.queries} | {label.round_number for label in case.labels}
    older = numbers - known.keys()
    if older:
        rows = session.execute(select(RoundRow.__table__).where(RoundRow.number.in_(older)))
        known.update((row.number, SimpleNamespace(**row._mapping)) for row in rows)
    return known


def _record(
    labels: Sequence[SimpleNamespace],
    drafts: Sequence[SimpleNamespace],
    all_queries: Mapping[int, SimpleNamespace],
    all_rounds: Mapping[int, SimpleNamespace],
    reviews: Iterable[SimpleNamespace],
    readings: Iterable[SimpleNamespace],
) -> LabelRecord:
    """The record of a file: its rows, and what belongs to them.

    These are queries, rounds, ended reviews, and comparisons of these labels as second readings.
    """
    asked = {row.lease_id for row in (*labels, *drafts) if row.lease_id is not None}
    queries = [all_queries[id_] for id_ in sorted(asked)]
    numbers = {row.round_number for row in (*labels, *queries)}
    ids = {row.id for row in labels}
    return {
        "annotations": _values_of(labels),
        "drafts": _values_of(drafts),
        "queries": _values_of(queries),
        "rounds": _values_of(all_rounds[number] for number in sorted(numbers)),
        "reviews": _values_of(review for review in reviews if review.annotation_id in ids),
        "readings": _values_of(reading for reading in readings if reading.second_id in ids),
    }


def _values_of(rows: Iterable[SimpleNamespace]) -> list[dict[str, Any]]:
    return [{key: as_json(value) for key, value in vars(row).items() if key not in _FILE_COLUMNS} for row in rows]


def values_of(row: Base) -> dict[str, Any]:
    """The columns of a row as JSON values."""
    keys = (column.key for column in row.__mapper__.column_attrs)
    return {key: as_json(getattr(row, key)) for key in keys if key not in _FILE_COLUMNS}


def as_json(value: Any) -> Any:
    """A value of a column as JSON has it: a time as text."""
    return value.isoformat() if isinstance(value, datetime) else value
