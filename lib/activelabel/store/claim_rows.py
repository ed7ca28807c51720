"""The rows of claims, for transactions that write a result only if its worker still holds what it worked on."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete
from sqlalchemy.orm import Session

from activelabel.errors import NotReadyError
from activelabel.store.records.work import Claim, WorkKind
from activelabel.store.schema.work import WorkClaimRow


class LostClaimError(NotReadyError):
    """A worker has lost what it worked on, and so its result is not written."""


def still_holds(session: Session, claim: Claim, now: datetime) -> bool:
    """Whether a claim is still the worker's own; nobody can take it over before the end of this transaction."""
    row = session.get(WorkClaimRow, (claim.kind, claim.model_version, claim.item), with_for_update=True)
    return row is not None and row.worker == claim.worker and row.expires_at > now


def end_claim(session: Session, claim: Claim) -> None:
    """Give a claim back, together with what else the transaction writes."""
    session.execute(delete(WorkClaimRow).where(claims_of(claim.kind, claim.model_version, [claim.item])))


def claims_of(kind: WorkKind, model_version: int, items: Sequence[str]) -> ColumnElement[bool]:
    """Claims of these items, whoever holds them."""
    return and_(WorkClaimRow.kind == kind, WorkClaimRow.model_version == model_version, WorkClaimRow.item.in_(items))
