"""How many images there are of each kind, counted again only when that has changed.

A million images take a moment to count, and only a new, lost, damaged or mended image changes the numbers. So whoever
writes such a change also writes a new revision, and each process keeps its counts with the revision that they belong
to.
"""

import secrets
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from activelabel.store.database import Database
from activelabel.store.pool import of_role
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.study import FactRow

_REVISION = "revision of images"
REVISION = select(FactRow.value).where(FactRow.name == _REVISION).scalar_subquery()
"""The revision, as a column of a statement that reads what belongs to the counts."""
_READ_REVISION = select(REVISION)
_ALL = select(func.count()).select_from(ImageRow)
_PRESENT = _ALL.where(ImageRow.present.is_(True))
_UNREADABLE = _PRESENT.where(ImageRow.unreadable_reason.is_not(None))
_COUNTS = select(
    _ALL.scalar_subquery(),
    _ALL.where(ImageRow.present.is_(False)).scalar_subquery(),
    _PRESENT.where(of_role("validation")).scalar_subquery(),
    _UNREADABLE.scalar_subquery(),
    _UNREADABLE.where(of_role("validation")).scalar_subquery(),
)
"""All images, and those of which there are few, by their indexes: the others are what is left."""


@dataclass(frozen=True)
class ImageCounts:
    """Images whose file is present: all, those of each role, and those that cannot be read.

    `usable_training` counts those for training that can be read.
    """

    images: int
    training: int
    validation: int
    unreadable: int
    usable_training: int


class ImageCounting(Database):
    """The part of the ledger that counts images."""

    _counted: tuple[str, ImageCounts] | None = None

    def _image_counts(self, session: Session) -> ImageCounts:
        """The counts as of now."""
        return self._counts_of(session, session.scalar(_READ_REVISION))

    def _counts_of(self, session: Session, revision: str | None) -> ImageCounts:
        """The counts of a revision, which is read first: counts of a later state are replaced at the next call."""
        if revision is not None and self._counted is not None and self._counted[0] == revision:
            return self._counted[1]
        every, absent, validation, unreadable, of_validation = session.execute(_COUNTS).one()
        training = every - absent - validation
        counts = ImageCounts(
            images=every - absent,
            training=training,
            validation=validation,
            unreadable=unreadable,
            usable_training=training - (unreadable - of_validation),
        )
        if revision is not None:
            self._counted = revision, counts
        return counts

    def _images_changed(self, session: Session) -> None:
        """Write a new revision, in the transaction that changes which images there are or can be read."""
        row = session.get(FactRow, _REVISION)
        if row is None:
            row = FactRow(name=_REVISION, reason="changes with every image that comes, goes, is damaged or mended")
            session.add(row)
        row.value, row.recorded_at = secrets.token_hex(8), self._clock()
