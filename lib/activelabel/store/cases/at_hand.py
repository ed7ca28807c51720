"""Which of the cases that come before a strategy's proposals there are, in one read: mostly there are none."""

from sqlalchemy import BindParameter, bindparam, select

from activelabel.store.case_states import Verdict
from activelabel.store.database import Database
from activelabel.store.pool import decided
from activelabel.store.records.queries import AtHand
from activelabel.store.schema.labels import DraftRow
from activelabel.store.schema.queries import LeaseRow, SkipRow

_NAME: BindParameter[str] = bindparam("name")
_AT_HAND = select(
    select(LeaseRow.id).where(LeaseRow.annotator == _NAME, LeaseRow.ended_at.is_(None)).exists(),
    select(SkipRow.id).where(SkipRow.annotator == _NAME, SkipRow.kind == "not now").exists(),
    select(DraftRow.id).where(DraftRow.ended_at.is_(None)).exists(),
    decided(Verdict.RETURNED).exists(),
)
"""Built once: it is executed whenever somebody asks for a case."""


class CasesAtHand(Database):
    """What is to be read of an annotator who asks for a case."""

    def at_hand(self, annotator: str) -> AtHand:
        """What may be at hand for this annotator now."""
        with self._reading() as session:
            return AtHand(*map(bool, session.execute(_AT_HAND, {"name": annotator}).one()))
