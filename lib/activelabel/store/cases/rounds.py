"""Rounds: each links queries and annotations to a model. A round begins when a model of the task is published."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from activelabel.store.database import Database
from activelabel.store.records.study import Round
from activelabel.store.schema.study import RoundRow

_NEWEST = select(RoundRow).order_by(RoundRow.number.desc()).limit(1)
"""Built once: it is executed with every query and every label."""


class Rounds(Database):
    """The rounds so far. Each lease and each annotation has the number of its round."""

    def rounds(self) -> list[Round]:
        """All rounds in order; empty before the first lease, annotation or model."""
        with self._reading() as session:
            rows = session.scalars(select(RoundRow).order_by(RoundRow.number))
            return [Round(row.number, row.model_version, row.started_at) for row in rows]


def current_round(session: Session, now: datetime) -> RoundRow:
    """The newest round; if there is none, begin the first one, which has no model."""
    return newest_round(session) or begin_round(session, None, now)


def begin_round(session: Session, model_version: int | None, now: datetime) -> RoundRow:
    """Begin the round after the newest one."""
    newest = newest_round(session)
    row = RoundRow(number=newest.number + 1 if newest else 1, model_version=model_version, started_at=now)
    session.add(row)
    session.flush()
    return row


def newest_round(session: Session) -> RoundRow | None:
    """The round to which new events belong, or None before the first."""
    return session.scalar(_NEWEST)
