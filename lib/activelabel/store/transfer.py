"""Fills an empty ledger with the rows of another one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, exc, func, select
from sqlalchemy.orm import Session

from activelabel.errors import InvalidInputError
from activelabel.store.cases.label_records import advance_id_sequences, row_of
from activelabel.store.cases.readings import with_ends
from activelabel.store.database import Database
from activelabel.store.schema.base import Base
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow, DraftRow
from activelabel.store.schema.models import ModelAnnotationRow, ModelUseRow, ModelVersionRow
from activelabel.store.schema.queries import LeaseRow, SkipRow
from activelabel.store.schema.reviews import ReadingRow, ReviewRow
from activelabel.store.schema.study import FactRow, RoundRow

TABLES: Mapping[str, type[Base]] = {
    row.__tablename__: row
    for row in (
        FactRow,
        ImageRow,
        ModelVersionRow,
        RoundRow,
        LeaseRow,
        AnnotationRow,
        DraftRow,
        ModelAnnotationRow,
        ModelUseRow,
        ReviewRow,
        ReadingRow,
        SkipRow,
    )
}
"""The tables that are transferred, each after those to which its rows refer."""
_OF_NEW_IMAGES = {"present": False, "leased_whole": True}


@dataclass(frozen=True)
class TransferredRow:
    """A row of another ledger: its table, the values of its columns, and where they were read, for messages."""

    table: str
    values: Mapping[str, Any]
    where: str


class Transfer(Database):
    """Takes rows of other ledgers over."""

    def take_over(self, rows: Sequence[TransferredRow]) -> None:
        """Write all rows, or none if one of them is refused. Images count as absent until `sync_images` finds them.

        A query that had not ended is released, because nobody holds it here; a model is withdrawn, because its file is
        not here. Its number is not given again, so that rows which name it stay true.

        Raises:
            InvalidInputError: the ledger knows images or models already; a row contradicts others, or lacks something.
        """
        now = self._clock()
        with self._writing() as session:
            for known, what in ((ImageRow, "images"), (ModelVersionRow, "models")):
                if session.scalar(select(func.count()).select_from(known)):
                    raise InvalidInputError(f"ledger {self.shown_url}: it knows {what} already: name an empty one")
            for table, kind in TABLES.items():
                for row in _of_table(rows, table):
                    _add(session, kind, row, now)
            in_use = {row.values["kind"] for row in rows if row.table == ModelUseRow.__tablename__}
            for model_kind in sorted(in_use):
                session.add(ModelUseRow(kind=model_kind, model_version=None, chosen_by=None, began_at=now))
            if self.file is None:
                advance_id_sequences(session, ModelUseRow, SkipRow)

    def fact_names(self) -> frozenset[str]:
        """The names of all facts, to be given to `give_back`."""
        with self._reading() as session:
            return frozenset(session.scalars(select(FactRow.name)))

    def give_back(self, facts: Collection[str]) -> None:
        """Remove all that came with `take_over` and since, but these facts, which were there before."""
        with self._writing() as session:
            for kind in reversed(list(TABLES.values())):
                session.execute(delete(kind).where(FactRow.name.not_in(facts)) if kind is FactRow else delete(kind))


def _of_table(rows: Sequence[TransferredRow], table: str) -> list[TransferredRow]:
    """The rows of a table; comparisons of readings with their ends, of which earlier versions say nothing."""
    found = [row for row in rows if row.table == table]
    if table != ReadingRow.__tablename__:
        return found
    labels = [row.values for row in rows if row.table == AnnotationRow.__tablename__]
    ended = {values["id"]: values for values in with_ends([row.values for row in found], labels)}
    return [replace(row, values=ended[row.values["id"]]) for row in found]


def _add(session: Session, kind: type[Base], row: TransferredRow, now: object) -> None:
    instead: dict[str, Any] = dict(_OF_NEW_IMAGES) if kind is ImageRow else {}
    if kind is LeaseRow and row.values.get("ended_at") is None:
        instead = {"ended_at": now, "outcome": "released"}
    if kind is ModelVersionRow and row.values.get("withdrawn_at") is None:
        instead = {"withdrawn_at": now}
    try:
        session.add(row_of(kind, row.values, **instead))
        session.flush()
    except (exc.IntegrityError, exc.StatementError, exc.InvalidRequestError) as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0][:200]
        raise InvalidInputError(f"{row.where}: it contradicts other rows, or lacks something ({reason})") from error
