"""The rows of claims, for transactions that write a result only if its worker still holds what it worked on."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, bindparam, delete, select
from sqlalchemy.orm import Session

from activelabel.errors import NotReadyError
from activelabel.store.columns import UtcDateTime
from activelabel.store.records.work import Claim, WorkKind
from activelabel.store.schema.work import WorkClaimRow

_OF_ITEMS = and_(
    WorkClaimRow.kind == bindparam("kind"),
    WorkClaimRow.model_version == bindparam("model"),
    WorkClaimRow.item.in_(bindparam("items", expanding=True)),
)
_HELD_BY = and_(
    _OF_ITEMS, WorkClaimRow.worker == bindparam("name"), WorkClaimRow.expires_at > bindparam("now", type_=UtcDateTime)
)
# Locked in one order, so that two transactions never wait for each other.
_LOCKED = select(WorkClaimRow.item).where(_HELD_BY).order_by(WorkClaimRow.item).with_for_update()
_END = delete(WorkClaimRow).where(_OF_ITEMS)


class LostClaimError(NotReadyError):
    """A worker has lost what it worked on, and so its result is not written."""


def still_holds(session: Session, claim: Claim, now: datetime) -> bool:
    """Whether a claim is still the worker's own; nobody can take it over before the end of this transaction."""
    row = session.get(WorkClaimRow, (claim.kind, claim.model_version, claim.item), with_for_update=True)
    return row is not None and row.worker == claim.worker and row.expires_at > now


def end_held(
    session: Session, kind: WorkKind, model_version: int, items: Collection[str], worker: str, now: datetime
) -> set[str]:
    """Give back what a worker still holds of these items, with what else the transaction writes; return which.

    Nobody can take one of them over before the end of this transaction.
    """
    values = {"kind": kind, "model": model_version, "items": sorted(items)}
    held = set(session.scalars(_LOCKED, {**values, "name": worker, "now": now}))
    if held:
        session.execute(_END, {**values, "items": sorted(held)}, execution_options={"synchronize_session": False})
    return held
