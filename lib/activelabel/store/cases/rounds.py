"""Rounds: which queries and annotations belong to which model. A round begins when a model of the task is published."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from activelabel.store.database import Database
from activelabel.store.records import Round
from activelabel.store.schema import RoundRow


class Rounds(Database):
    """The rounds so far. Leases and annotations carry the number of theirs."""

    def rounds(self) -> list[Round]:
        """All rounds, in order; none before the first lease, annotation or model."""
        with self._reading() as session:
            rows = session.scalars(select(RoundRow).order_by(RoundRow.number))
            return [Round(row.number, row.model_version, row.started_at) for row in rows]


def current_round(session: Session, now: datetime) -> RoundRow:
    """The newest round; the first, without a model, begins with the first event that needs one."""
    return newest_round(session) or begin_round(session, None, now)


def begin_round(session: Session, model_version: int | None, now: datetime) -> RoundRow:
    """Begin the round after the newest one."""
    newest = newest_round(session)
    row = RoundRow(number=newest.number + 1 if newest else 1, model_version=model_version, started_at=now)
    session.add(row)
    session.flush()
    return row


def newest_round(session: Session) -> RoundRow | None:
    """The round that events belong to now."""
    return session.scalar(select(RoundRow).order_by(RoundRow.number.desc()).limit(1))
