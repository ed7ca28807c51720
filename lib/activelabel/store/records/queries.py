"""Cases that were given to annotators, as the ledger returns them: the leases, and what was skipped."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from activelabel.store.records.images import Slices

Outcome = Literal["saved", "expired", "released"]
SkipKind = Literal["not now", "cannot be annotated"]
SECOND_READING = "second_reading"
"""The strategy of a query for a label that is drawn without seeing the final one."""


@dataclass(frozen=True)
class Lease:
    """A query given to one annotator for a while, and the reason. It is active if `outcome` is None.

    `active_seconds` is how long the annotator has worked on it, as their client says; None if it says nothing.
    """

    id: int
    image_id: str
    slices: Slices
    annotator: str
    strategy: str
    model_version: int | None
    score: float | None
    reason: str
    round_number: int
    granted_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    active_seconds: float | None = None


@dataclass(frozen=True)
class AtHand:
    """What there may be for an annotator before anything is proposed; where nothing is, nothing need be read.

    Attributes:
        held: a query that they have not answered.
        skipped: a case that they have skipped for now, at some time.
        drafts: a draft, theirs or another's.
        returned: a label that was returned, to them or to another.
    """

    held: bool
    skipped: bool
    drafts: bool
    returned: bool


@dataclass(frozen=True)
class Skip:
    """A case that an annotator skipped, and the reason. `kind` is `not now` or `cannot be annotated`.

    A case that cannot be annotated is out of the pool until `ended_at`, when `ended_by` brought it back. `last_lease`
    is the newest query of the project at that time, 0 for none.
    """

    id: int
    image_id: str
    annotator: str
    kind: SkipKind
    reason: str
    created_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    last_lease: int
