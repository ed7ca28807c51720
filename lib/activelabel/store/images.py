"""The images of the study: once registered, an image is never removed and its role never changes."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Select, bindparam, func, null, select, tuple_

from activelabel.acquisition.selection import random_place, shuffled
from activelabel.store.cases.leases import end_leases, unended_leases
from activelabel.store.cases.slicing import slices_of
from activelabel.store.columns import UtcDateTime
from activelabel.store.image_sync import ImageSync
from activelabel.store.lookup import AT_ONCE, image_row, image_rows, in_pieces, record_of
from activelabel.store.pool import active, counting, current_final, in_pool, unfinished
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.images import Image, Role, SlicesTaken
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.queries import LeaseRow

_POOL: dict[Role, Select[str]] = {
    role: select(ImageRow.id).where(in_pool(role, bindparam("now", type_=UtcDateTime)))
    for role in ("training", "validation")
}
"""Built once: they are executed whenever somebody asks for a case."""
_AT_RANDOM = (
    _POOL["training"]
    .add_columns(ImageRow.random_place)
    .where(
        ImageRow.random_seed == bindparam("seed"),
        tuple_(ImageRow.random_place, ImageRow.id) > tuple_(bindparam("place"), bindparam("after")),
    )
    .order_by(ImageRow.random_seed, ImageRow.random_place, ImageRow.id)
    .limit(bindparam("some"))
)
_PAGE = 500
_FIRST_AT_RANDOM = 20


class Images(ImageSync):
    """The image table of the ledger."""

    def image(self, image_id: str) -> Image:
        """One image.

        Raises:
            NotFoundError: the image was never registered.
        """
        with self._reading() as session:
            case: CaseHistory | None = session.info.get((CaseHistory, image_id))  # of the same transaction
            return record_of(image_row(session, image_id), Image) if case is None else case.image

    def images(self) -> list[Image]:
        """All images ever registered, absent ones included, by id."""
        with self._reading() as session:
            return [record_of(row, Image) for row in session.scalars(select(ImageRow).order_by(ImageRow.id))]

    def any_registered(self) -> bool:
        """Whether any image was ever registered, present or not."""
        with self._reading() as session:
            return session.scalar(select(ImageRow.id).limit(1)) is not None

    def any_was_read(self) -> bool:
        """Whether the content of any image was ever recorded; a million images are not read for that."""
        read = select(ImageRow.id).where(ImageRow.content_sha256.is_not(None)).limit(1)
        with self._reading() as session:
            return session.scalar(read) is not None

    def images_of(self, ids: Collection[str]) -> list[Image]:
        """Those of these images that are registered, by id."""
        with self._reading() as session:
            return [record_of(row, Image) for row in image_rows(session, ids).values()]

    def usable_after(self, after: str, most: int) -> list[str]:
        """The first images with ids after `after` that are present and, as far as is known, can be read, by id."""
        usable = (ImageRow.present.is_(True), ImageRow.unreadable_reason.is_(None))
        page = select(ImageRow.id).where(*usable, ImageRow.id > after).order_by(ImageRow.id).limit(most)
        with self._reading() as session:
            return list(session.scalars(page))

    def images_set_aside(self) -> list[Image]:
        """The images that are present and cannot be used, by id."""
        aside = select(ImageRow).where(ImageRow.present.is_(True), ImageRow.unreadable_reason.is_not(None))
        with self._reading() as session:
            return [record_of(row, Image) for row in session.scalars(aside.order_by(ImageRow.id))]

    def annotated_copy(self, image_id: str, content_sha256: str) -> str | None:
        """The first other image, which is present, with a final label that was drawn on this content."""
        copies = (
            select(AnnotationRow.image_id)
            .join(ImageRow, ImageRow.id == AnnotationRow.image_id)
            .where(
                AnnotationRow.image_sha256 == content_sha256,
                current_final(),
                AnnotationRow.image_id != image_id,
                ImageRow.present.is_(True),
            )
        )
        with self._reading() as session:
            return session.scalar(copies.order_by(AnnotationRow.image_id).limit(1))

    def fix_slices(self, image_id: str, axis: int, shape: Sequence[int]) -> Image:
        """Record along which voxel axis an image of this shape is sliced.

        The recorded axis stays once slices of the image were asked for, annotated or scored: their indices refer to it.

        Raises:
            NotFoundError: the image was never registered.
            InvalidInputError: the file is not the one whose slices were annotated: the number of slices differs.
        """
        known = self.image(image_id)
        if (known.slice_axis, known.slice_count) == (axis, shape[axis]):
            return known
        with self._writing() as session:
            row = image_row(session, image_id)
            row.slice_axis, row.slice_count = slices_of(session, row, axis, shape)
            return record_of(row, Image)

    def axis_of_label(self, image_id: str, axis: int, shape: Sequence[int]) -> int:
        """The axis that `fix_slices` would record, for a label with which it is recorded.

        Raises:
            NotFoundError, InvalidInputError: as `fix_slices`.
        """
        known = self.image(image_id)
        with self._reading() as session:
            return slices_of(session, known, axis, shape)[0]

    def slice_pool(self) -> list[SlicesTaken]:
        """The training images of which slices may be asked for, with the slices that are taken; by id.

        These images are present, readable, not fully annotated, and not leased as a whole.
        """
        now = self._clock()
        whole = select(LeaseRow.image_id).where(active(now), LeaseRow.slices.is_(null()))
        images = (
            select(ImageRow.id, ImageRow.slice_axis, ImageRow.slice_count)
            .where(unfinished("training"), ImageRow.id.not_in(whole))
            .order_by(ImageRow.id)
        )
        partial = select(AnnotationRow.image_id, AnnotationRow.slices).where(
            counting(), AnnotationRow.slices.is_not(null())
        )
        leased = select(LeaseRow.image_id, LeaseRow.slices).where(active(now), LeaseRow.slices.is_not(null()))
        taken = defaultdict[str, set[int]](set)
        with self._reading() as session:
            for image_id, slices in (*session.execute(partial), *session.execute(leased)):
                taken[image_id].update(slices or ())
            return [
                SlicesTaken(image_id, axis, count, frozenset(taken[image_id]))
                for image_id, axis, count in session.execute(images)
            ]

    def mark_unreadable(self, image_id: str, reason: str, stamp: str | None = None) -> None:
        """Set an image aside: it is not asked for, and leases on it end as released.

        `stamp` identifies the state of its files: if that changes later, the image may have been mended.

        Raises:
            NotFoundError: it was never registered.
        """
        with self._writing() as session:
            row = image_row(session, image_id)
            row.unreadable_reason, row.unreadable_at, row.set_aside_stamp = reason, self._clock(), stamp
            end_leases(session, unended_leases(session, image_id), "released", self._clock())
            self._images_changed(session)

    def mark_readable(self, image_id: str, of_stamp: str | None = None) -> None:
        """Use an image again that was set aside and has been mended.

        With `of_stamp` only if it is still set aside with this stamp: another reason may have been noted meanwhile.

        Raises:
            NotFoundError: it was never registered.
        """
        with self._writing() as session:
            row = image_row(session, image_id)
            if of_stamp is not None and row.set_aside_stamp != of_stamp:
                return
            row.unreadable_reason = row.unreadable_at = row.set_aside_stamp = None
            self._images_changed(session)

    def roles(self, ids: Collection[str]) -> dict[str, Role]:
        """The role of each of these images that is registered."""
        found = dict[str, Role]()
        with self._reading() as session:
            for some in in_pieces(ids):
                rows = session.execute(select(ImageRow.id, ImageRow.role).where(ImageRow.id.in_(some)))
                found.update(rows.tuples().all())  # a result has keys, and would be taken for a mapping
        return found

    def usable(self, ids: Collection[str]) -> set[str]:
        """Those of these images that are present and, as far as is known, can be read."""
        found = set[str]()
        can_be_used = (ImageRow.present.is_(True), ImageRow.unreadable_reason.is_(None))
        with self._reading() as session:
            for some in in_pieces(ids):
                found.update(session.scalars(select(ImageRow.id).where(ImageRow.id.in_(some), *can_be_used)))
        return found

    def count_usable(self) -> int:
        """The number of images that are present and, as far as is known, can be read."""
        with self._reading() as session:
            counts = self._image_counts(session)
            return counts.images - counts.unreadable

    def usable_images(self, after: str = "") -> Iterator[Image]:
        """The images that are present and can be read, by id from the one after `after` on, read some at a time."""
        usable = select(ImageRow).where(ImageRow.present.is_(True), ImageRow.unreadable_reason.is_(None))
        while True:
            with self._reading() as session:
                page = usable.where(ImageRow.id > after).order_by(ImageRow.id).limit(_PAGE)
                images = [record_of(row, Image) for row in session.scalars(page)]
            yield from images
            if len(images) < _PAGE:
                return
            after = images[-1].id

    def has_pool(self, role: Role) -> bool:
        """Whether an image of this role may be asked for now."""
        with self._reading() as session:
            return session.scalar(_POOL[role].limit(1), {"now": self._clock()}) is not None

    def pool(self, role: Role) -> list[str]:
        """The sorted ids of images that may be asked for now: present, readable, not fully annotated, not leased."""
        with self._reading() as session:
            return list(session.scalars(_POOL[role].order_by(ImageRow.id), {"now": self._clock()}))

    def training_pool_at_random(self) -> Iterator[str]:
        """The training images of `pool` in the order of `selection.shuffled`, read some at a time.

        Of a million images, the first come from an index. If another process has brought the ledger to another seed,
        the whole pool is shuffled: the order is the same.
        """
        place, after, some = -(2**63), "", _FIRST_AT_RANDOM
        while True:
            with self._reading() as session:
                values = {"now": self._clock(), "seed": self.seed, "place": place, "after": after, "some": some}
                page = session.execute(_AT_RANDOM, values).tuples().all() if self._is_in_order(session) else None
            if page is None:
                every = ((random_place(id_, self.seed), id_) for id_ in shuffled(self.pool("training"), self.seed))
                yield from (image_id for at, image_id in every if (at, image_id) > (place, after))
                return
            yield from (image_id for image_id, _ in page)
            if len(page) < some:
                return
            after, place = page[-1]
            some = min(10 * some, AT_ONCE)

    def count_unfinished(self, role: Role) -> int:
        """The number of present, readable images that are neither fully annotated nor set aside; some may be leased."""
        statement = select(func.count()).select_from(ImageRow).where(unfinished(role))
        with self._reading() as session:
            return session.scalar(statement) or 0
