"""Registering images: what the files say is brought into the ledger, whole or for the images that came and went."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from activelabel.data.splits import choose_validation, validation_count
from activelabel.store.cases.leases import end_leases, unended_leases
from activelabel.store.checks import checked_name
from activelabel.store.image_counts import ImageCounting
from activelabel.store.lookup import AT_ONCE, image_rows, in_pieces
from activelabel.store.pool import of_role
from activelabel.store.records.images import Role
from activelabel.store.schema.base import Base
from activelabel.store.schema.images import ImageRow

_KNOWN = select(ImageRow.id, ImageRow.present, ImageRow.patient).execution_options(yield_per=10_000)
"""Read some at a time: all rows of a million images at once take a gigabyte."""
_REGISTER = insert(Base.metadata.tables[ImageRow.__tablename__])
"""Of the table, not of the mapped class, which takes as long again for each row."""


class ImageSync(ImageCounting):
    """The part of the ledger that registers images."""

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
        new = {checked_name(image_id, "image") for image_id in ids}
        patient_of = {image_id: checked_name(patient, "patient") for image_id, patient in (patients or {}).items()}
        given = {image_id for image_id in new if given_validation and given_validation(image_id)}
        known, vanished, returned, renamed = 0, set[str](), set[str](), dict[str, str]()
        with self._writing() as session:
            for image_id, present, patient in session.execute(_KNOWN):
                known += 1
                if image_id in new:
                    new.remove(image_id)
                    if not present:
                        returned.add(image_id)
                else:
                    if present:
                        vanished.add(image_id)
                    if given_validation and given_validation(image_id):
                        given.add(image_id)
                if patient_of.get(image_id, patient) != patient:
                    renamed[image_id] = patient_of[image_id]
            _remember_patients(session, renamed)
            missing = validation_count(known + len(new), validation_cases) - _count_validation(session)
            if given:
                validation = frozenset(new & given) | _new_validation(
                    session, new - given, 0, patient_of, judging=given
                )
            else:
                validation = _new_validation(session, new, max(missing, 0), patient_of)
            now = self._clock()
            _register(session, new, validation, patient_of, now)
            self._mark(session, new, vanished, returned, now)

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
            rows = image_rows(session, there.union(gone))
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
            self._mark(session, new, vanished, returned, now)

    def _mark(self, session: Session, new: set[str], vanished: set[str], returned: set[str], now: datetime) -> None:
        """Mark what vanished and what returned, and end the leases on what vanished."""
        _mark_present(session, vanished, False)
        _mark_present(session, returned, True)
        if new or vanished or returned:
            self._images_changed(session)
        end_leases(session, (row for row in unended_leases(session) if row.image_id in vanished), "released", now)


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
    if len(wanted) > AT_ONCE:
        yield from session.execute(columns).tuples()
        return
    yield from session.execute(columns.where(ImageRow.patient.in_(wanted))).tuples()
    yield from session.execute(columns.where(ImageRow.patient.is_(None), ImageRow.id.in_(wanted))).tuples()


def _register(
    session: Session, ids: set[str], validation: frozenset[str], patient_of: Mapping[str, str], now: datetime
) -> None:
    for some in in_pieces(ids):
        rows = [
            {
                "id": image_id,
                "added_at": now,
                "role": "validation" if image_id in validation else "training",
                "present": True,
                "leased_whole": True,
                "patient": patient_of.get(image_id),
            }
            for image_id in some
        ]
        session.execute(_REGISTER, rows)


def _mark_present(session: Session, ids: set[str], present: bool) -> None:
    if ids:
        session.execute(update(ImageRow), [{"id": image_id, "present": present} for image_id in sorted(ids)])
