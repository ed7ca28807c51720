"""The images of the study: seen once, never forgotten, each with a role that never changes."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from activelabel.data.splits import choose_validation, validation_count
from activelabel.store.checks import checked_name
from activelabel.store.database import Database
from activelabel.store.leases import end_leases, unended_leases
from activelabel.store.lookup import image_row
from activelabel.store.pool import in_pool
from activelabel.store.records import Image, Role
from activelabel.store.schema import ImageRow


class Images(Database):
    """What the ledger knows of images."""

    def sync_images(self, ids: Iterable[str], validation_cases: int) -> None:
        """Bring the ledger up to date with the files: register new ones, mark those that vanished or came back.

        The first images ever seen give the validation cases, `validation_cases` of them or a quarter (see
        `data.splits`); those that are missing then are chosen from later ones. A vanished image keeps its annotations;
        leases on it end as released.

        Raises:
            InvalidInputError: an id that no database can hold.
            ValueError: `validation_cases` is negative.
        """
        there = {checked_name(image_id, "image") for image_id in ids}
        with self._writing() as session:
            known = {row.id: row.present for row in session.execute(select(ImageRow.id, ImageRow.present))}
            new = there - known.keys()
            missing = validation_count(len(known) + len(new), validation_cases) - _count_validation(session)
            validation = choose_validation(new, max(missing, 0))
            now = self._clock()
            _register(session, new, validation, now)
            vanished = {image_id for image_id, present in known.items() if present and image_id not in there}
            returned = {image_id for image_id, present in known.items() if not present and image_id in there}
            _mark_present(session, vanished, False)
            _mark_present(session, returned, True)
            end_leases(session, (row for row in unended_leases(session) if row.image_id in vanished), "released", now)

    def image(self, image_id: str) -> Image:
        """One image.

        Raises:
            NotFoundError: it was never registered.
        """
        with self._reading() as session:
            return _image_record(image_row(session, image_id))

    def images(self) -> list[Image]:
        """All images ever registered, also absent ones, by id."""
        with self._reading() as session:
            return [_image_record(row) for row in session.scalars(select(ImageRow).order_by(ImageRow.id))]

    def mark_unreadable(self, image_id: str, reason: str) -> None:
        """Set an image aside: it is not asked for, and leases on it end as released.

        Raises:
            NotFoundError: it was never registered.
        """
        with self._writing() as session:
            row = image_row(session, image_id)
            row.unreadable_reason, row.unreadable_at = reason, self._clock()
            end_leases(session, unended_leases(session, image_id), "released", self._clock())

    def mark_readable(self, image_id: str) -> None:
        """Take an image back that was set aside and has been mended.

        Raises:
            NotFoundError: it was never registered.
        """
        with self._writing() as session:
            row = image_row(session, image_id)
            row.unreadable_reason = row.unreadable_at = None

    def pool(self, role: Role) -> list[str]:
        """The ids that may be asked for now: present, readable, not fully annotated, not leased; by id."""
        statement = select(ImageRow.id).where(in_pool(role, self._clock())).order_by(ImageRow.id)
        with self._reading() as session:
            return list(session.scalars(statement))


def _image_record(row: ImageRow) -> Image:
    return Image(row.id, row.added_at, row.role, row.present, row.unreadable_reason, row.unreadable_at)


def _count_validation(session: Session) -> int:
    return session.scalar(select(func.count()).where(ImageRow.role == "validation")) or 0


def _register(session: Session, ids: set[str], validation: frozenset[str], now: datetime) -> None:
    rows = [
        {
            "id": image_id,
            "added_at": now,
            "role": "validation" if image_id in validation else "training",
            "present": True,
            "leased_whole": True,
        }
        for image_id in sorted(ids)
    ]
    if rows:
        session.execute(insert(ImageRow), rows)


def _mark_present(session: Session, ids: set[str], present: bool) -> None:
    if ids:
        session.execute(update(ImageRow), [{"id": image_id, "present": present} for image_id in sorted(ids)])
