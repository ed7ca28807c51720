"""The images of the study: once registered, an image is never removed and its role never changes."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Select, bindparam, func, insert, null, or_, select, update
from sqlalchemy.orm import Session

from activelabel.data.splits import choose_validation, validation_count
from activelabel.errors import InvalidInputError
from activelabel.store.cases.leases import end_leases, unended_leases
from activelabel.store.checks import checked_name
from activelabel.store.columns import UtcDateTime
from activelabel.store.image_counts import ImageCounting
from activelabel.store.lookup import image_row, record_of
from activelabel.store.pool import active, counting, current_final, in_pool, of_role, unfinished
from activelabel.store.records.images import Image, Role, SlicesTaken
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.models import ScoreRow
from activelabel.store.schema.queries import LeaseRow

_POOL: dict[Role, Select[str]] = {
    role: select(ImageRow.id).where(in_pool(role, bindparam("now", type_=UtcDateTime)))
    for role in ("training", "validation")
}
"""Built once: they are executed whenever somebody asks for a case."""
_AT_ONCE = 10_000  # ids in one query
_PAGE = 500


class Images(ImageCounting):
    """The image table of the ledger."""

    def sync_images(
        self,
        ids: Iterable[str],
        validation_cases: int,
        patients: Mapping[str, str] | None = None,
        given_validation: Callable[[str], bool] | None = None,
    ) -> None:
        """Bring the ledger up to date with the files: register new images, mark those that vanished or came back.

        The first images are split: `validation_cases` of them, or a quarter, are validation cases (see `data.splits`).
        Validation cases that are missing then are chosen from later images. A new image of a known patient gets the
        role of the patient's images: validation if any of them has it. A role never changes. A vanished image keeps its
        annotations; leases on it end as released.

        Args:
            ids: the ids of all images that are present.
            validation_cases: the number of validation cases wanted.
            patients: the patient of each image, where known.
            given_validation: whether a user's split gives an image for validation. If it gives any known image, only
                the images that it gives, and other images of their patients, are validation cases.

        Raises:
            InvalidInputError: no database can hold an id or a patient.
            ValueError: `validation_cases` is negative.
        """
        present_ids = {checked_name(image_id, "image") for image_id in ids}
        patient_of = {image_id: checked_name(patient, "patient") for image_id, patient in (patients or {}).items()}
        with self._writing() as session:
            columns = (ImageRow.id, ImageRow.present, ImageRow.patient)
            rows = {row.id: row for row in session.execute(select(*columns))}
            known = {image_id: row.present for image_id, row in rows.items()}
            new = present_ids - known.keys()
            renamed = {image_id: patient_of[image_id] for image_id, row in rows.items() if image_id in patient_of}
            _remember_patients(session, {id_: name for id_, name in renamed.items() if name != rows[id_].patient})
            missing = validation_count(len(known) + len(new), validation_cases) - _count_validation(session)
            given = {
                image_id for image_id in present_ids | known.keys() if given_validation and given_validation(image_id)
            }
            if given:
                validation = frozenset(new & given) | _new_validation(
                    session, new - given, 0, patient_of, judging=given
                )
            else:
                validation = _new_validation(session, new, max(missing, 0), patient_of)
            now = self._clock()
            _register(session, new, validation, patient_of, now)
            vanished = {image_id for image_id, present in known.items() if present and image_id not in present_ids}
            returned = {image_id for image_id, present in known.items() if not present and image_id in present_ids}
            _mark_present(session, vanished, False)
            _mark_present(session, returned, True)
            if new or vanished or returned:
                self._images_changed(session)
            end_leases(session, (row for row in unended_leases(session) if row.image_id in vanished), "released", now)

    def sync_changed(
        self,
        came: Collection[str],
        gone: Collection[str],
        validation_cases: int,
        patients: Mapping[str, str] | None = None,
    ) -> None:
        """Do what `sync_images` does, without a given split, if only these images have come or gone since it.

        Args:
            came: ids of images that are present, new ones and known ones.
            gone: ids of images that are not.
            validation_cases: as for `sync_images`.
            patients: the patients of the images that came, where known.
        """
        there = {checked_name(image_id, "image") for image_id in came}
        patient_of = {image_id: checked_name(patient, "patient") for image_id, patient in (patients or {}).items()}
        with self._writing() as session:
            rows = _rows_of(session, there.union(gone))
            new = there - rows.keys()
            _remember_patients(
                session, {id_: name for id_, name in patient_of.items() if id_ in rows and rows[id_].patient != name}
            )
            validation = frozenset[str]()
            if new:
                known = session.scalar(select(func.count()).select_from(ImageRow)) or 0
                missing = validation_count(known + len(new), validation_cases) - _count_validation(session)
                validation = _new_validation(session, new, max(missing, 0), patient_of)
            now = self._clock()
            _register(session, new, validation, patient_of, now)
            vanished = {image_id for image_id in gone if image_id in rows and rows[image_id].present}
            returned = {image_id for image_id in there if image_id in rows and not rows[image_id].present}
            _mark_present(session, vanished, False)
            _mark_present(session, returned, True)
            if new or vanished or returned:
                self._images_changed(session)
            end_leases(session, (row for row in unended_leases(session) if row.image_id in vanished), "released", now)

    def image(self, image_id: str) -> Image:
        """One image.

        Raises:
            NotFoundError: the image was never registered.
        """
        with self._reading() as session:
            return record_of(image_row(session, image_id), Image)

    def images(self) -> list[Image]:
        """All images ever registered, absent ones included, by id."""
        with self._reading() as session:
            return [record_of(row, Image) for row in session.scalars(select(ImageRow).order_by(ImageRow.id))]

    def images_of(self, ids: Collection[str]) -> list[Image]:
        """Those of these images that are registered, by id."""
        wanted, found = sorted(set(ids)), list[Image]()
        with self._reading() as session:
            for first in range(0, len(wanted), _AT_ONCE):
                some = select(ImageRow).where(ImageRow.id.in_(wanted[first : first + _AT_ONCE])).order_by(ImageRow.id)
                found += [record_of(row, Image) for row in session.scalars(some)]
        return found

    def images_set_aside(self) -> list[Image]:
        """The images that are present and cannot be used, by id."""
        aside = select(ImageRow).where(ImageRow.present.is_(True), ImageRow.unreadable_reason.is_not(None))
        with self._reading() as session:
            return [record_of(row, Image) for row in session.scalars(aside.order_by(ImageRow.id))]

    def fix_slices(self, image_id: str, axis: int, shape: Sequence[int]) -> Image:
        """Record along which voxel axis an image of this shape is sliced.

        The recorded axis stays once slices of the image were asked for, annotated or scored: their indices refer to it.

        Raises:
            NotFoundError: the image was never registered.
            InvalidInputError: the file is not the one whose slices were annotated: the number of slices differs.
        """
        with self._reading() as session:
            row = image_row(session, image_id)
            if (row.slice_axis, row.slice_count) == (axis, shape[axis]):
                return record_of(row, Image)
        with self._writing() as session:
            row = image_row(session, image_id)
            if row.slice_axis is None or not _goes_by_slices(session, image_id):
                row.slice_axis = axis
            elif shape[row.slice_axis] != row.slice_count and _is_annotated(session, image_id):
                raise InvalidInputError(
                    f"image '{image_id}' has {shape[row.slice_axis]} slices, but its label was drawn on one of "
                    f"{row.slice_count}: put that file back, or delete the label"
                )
            row.slice_count = shape[row.slice_axis]
            return record_of(row, Image)

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

    def mark_readable(self, image_id: str) -> None:
        """Use an image again that was set aside and has been mended.

        Raises:
            NotFoundError: it was never registered.
        """
        with self._writing() as session:
            row = image_row(session, image_id)
            row.unreadable_reason = row.unreadable_at = row.set_aside_stamp = None
            self._images_changed(session)

    def roles(self, ids: Collection[str]) -> dict[str, Role]:
        """The role of each of these images that is registered."""
        wanted, found = sorted(set(ids)), dict[str, Role]()
        with self._reading() as session:
            for first in range(0, len(wanted), _AT_ONCE):
                some = select(ImageRow.id, ImageRow.role).where(ImageRow.id.in_(wanted[first : first + _AT_ONCE]))
                found.update(session.execute(some).tuples().all())
        return found

    def usable(self, ids: Collection[str]) -> set[str]:
        """Those of these images that are present and, as far as is known, can be read."""
        wanted, found = sorted(set(ids)), set[str]()
        can_be_used = (ImageRow.present.is_(True), ImageRow.unreadable_reason.is_(None))
        with self._reading() as session:
            for first in range(0, len(wanted), _AT_ONCE):
                some = select(ImageRow.id).where(ImageRow.id.in_(wanted[first : first + _AT_ONCE]), *can_be_used)
                found.update(session.scalars(some))
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

    def count_unfinished(self, role: Role) -> int:
        """The number of present, readable images that are neither fully annotated nor set aside; some may be leased."""
        statement = select(func.count()).select_from(ImageRow).where(unfinished(role))
        with self._reading() as session:
            return session.scalar(statement) or 0


def _goes_by_slices(session: Session, image_id: str) -> bool:
    """Whether slice indices of this image were ever recorded."""
    tables = (LeaseRow, AnnotationRow, ScoreRow)
    written = [select(table).where(table.image_id == image_id, table.slices.is_not(None)).exists() for table in tables]
    return bool(session.scalar(select(or_(*written))))


def _is_annotated(session: Session, image_id: str) -> bool:
    labels = select(AnnotationRow).where(AnnotationRow.image_id == image_id, current_final())
    return bool(session.scalar(select(labels.exists())))


def _count_validation(session: Session) -> int:
    return session.scalar(select(func.count()).where(of_role("validation"))) or 0


def _remember_patients(session: Session, patients: Mapping[str, str]) -> None:
    """Record the patients of these known images; the roles stay."""
    if patients:
        session.execute(update(ImageRow), [{"id": id_, "patient": name} for id_, name in sorted(patients.items())])


def _new_validation(
    session: Session, new: set[str], missing: int, patient_of: Mapping[str, str], judging: Collection[str] = ()
) -> frozenset[str]:
    """The new images for validation: all those of validation patients, and `missing` ones from new patients.

    `judging` are images that the user gave for validation; their patients are validation patients.
    """
    if not new:
        return frozenset()
    roles = defaultdict[str, set[Role]](set)
    for image_id in judging:
        roles[patient_of.get(image_id, image_id)].add("validation")
    for image_id, patient, role in _roles_of(session, {patient_of.get(image_id, image_id) for image_id in new}):
        roles[patient or image_id].add(role)
    known = {image_id for image_id in new if patient_of.get(image_id, image_id) in roles}
    also = {image_id for image_id in known if "validation" in roles[patient_of.get(image_id, image_id)]}
    first = not judging and not _count_validation(session)
    return choose_validation(new - known, max(missing - len(also), 0), patient_of, at_least_one=first) | also


def _roles_of(session: Session, patients: Collection[str]) -> Iterator[tuple[str, str | None, Role]]:
    """Id, patient and role of the images of these patients, perhaps of others too; an image may be its own patient."""
    columns, wanted = select(ImageRow.id, ImageRow.patient, ImageRow.role), sorted(patients)
    if len(wanted) > _AT_ONCE:
        yield from session.execute(columns).tuples()
        return
    yield from session.execute(columns.where(ImageRow.patient.in_(wanted))).tuples()
    yield from session.execute(columns.where(ImageRow.patient.is_(None), ImageRow.id.in_(wanted))).tuples()


def _rows_of(session: Session, ids: Collection[str]) -> dict[str, ImageRow]:
    """The rows of those of these images that are registered."""
    wanted, found = sorted(ids), dict[str, ImageRow]()
    for first in range(0, len(wanted), _AT_ONCE):
        some = select(ImageRow).where(ImageRow.id.in_(wanted[first : first + _AT_ONCE]))
        found.update({row.id: row for row in session.scalars(some)})
    return found


def _register(
    session: Session, ids: set[str], validation: frozenset[str], patient_of: Mapping[str, str], now: datetime
) -> None:
    rows = [
        {
            "id": image_id,
            "added_at": now,
            "role": "validation" if image_id in validation else "training",
            "present": True,
            "leased_whole": True,
            "patient": patient_of.get(image_id),
        }
        for image_id in sorted(ids)
    ]
    if rows:
        session.execute(insert(ImageRow), rows)


def _mark_present(session: Session, ids: set[str], present: bool) -> None:
    if ids:
        session.execute(update(ImageRow), [{"id": image_id, "present": present} for image_id in sorted(ids)])
