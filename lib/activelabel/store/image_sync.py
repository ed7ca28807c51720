"""Registering images: what the files say is brought into the ledger, whole or for the images that came and went."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from activelabel.acquisition.selection import random_places
from activelabel.data.files.many.path_table import PathTable, only_here_and_there
from activelabel.data.patients.given import PatientsOf
from activelabel.data.splits import choose_validation, validation_count
from activelabel.store.cases.leases import end_leases, unended_leases
from activelabel.store.checks import checked_name, checked_names
from activelabel.store.image_counts import ImageCounting
from activelabel.store.lookup import AT_ONCE, image_rows, in_pieces
from activelabel.store.many.inserting import insert_rows
from activelabel.store.pool import of_role
from activelabel.store.random_order import RandomOrder, indexed_in_the_end
from activelabel.store.records.images import Role
from activelabel.store.schema.base import Base
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.study import FactRow

_TABLE = Base.metadata.tables[ImageRow.__tablename__]
"""Statements are of the table, not of the mapped class, which takes as long again for each row."""
_KNOWN = (
    select(_TABLE.c.id, _TABLE.c.present, _TABLE.c.patient).order_by(_TABLE.c.id).execution_options(yield_per=10_000)
)
"""In the order of Python's texts, which the column has on each database.

Read some at a time: all rows of a million images at once take a gigabyte.
"""
_NEXT_IDS = select(_TABLE.c.id).where(_TABLE.c.id > bindparam("after")).order_by(_TABLE.c.id).limit(AT_ONCE)
_ABSENT_IDS = select(_TABLE.c.id).where(_TABLE.c.present.is_(False))
_PATIENTS_BY = "rule of patients"


class ImageSync(ImageCounting, RandomOrder):
    """The part of the ledger that registers images."""

    def sync_images(
        self,
        ids: Iterable[str],
        validation_cases: int,
        patients: Mapping[str, str] | None = None,
        given_validation: Callable[[str], bool] | None = None,
        rule: str | None = None,
    ) -> None:
        """Bring the ledger up to date with the files: register new images, mark those that vanished or came back.

        The first images are split: `validation_cases` of them, or a quarter, are validation cases (see `data.splits`).
        Validation cases that are missing then are chosen from later images. A new image of a known patient gets the
        role of the patient's images: validation if any of them has it. A role never changes. A vanished image keeps its
        annotations; leases on it end as released.

        Args:
            ids: the ids of all images that are present.
            validation_cases: the number of validation cases wanted.
            patients: the patient of each image, where known; None if nothing tells any.
            given_validation: whether a user's split gives an image for validation. If it gives any known image, only
                the images that it gives, and other images of their patients, are validation cases.
            rule: what always tells the same `patients`: they are not looked at again for images that were registered
                by the same. None if there is no such rule.

        Raises:
            InvalidInputError: no database can hold an id or a patient.
            ValueError: `validation_cases` is negative.
        """
        there = ids if isinstance(ids, PathTable) else sorted(set(ids))
        found, given = set[str](), set[str]()
        vanished, returned, renamed = set[str](), set[str](), dict[str, str]()
        with self._writing() as session:
            may_differ = not self._was_rule(session, rule) and patients is not None
            look_again = may_differ or given_validation is not None
            known = session.scalar(select(func.count()).select_from(ImageRow)) or 0
            is_first = not known and given_validation is None and isinstance(there, PathTable)
            for image_id, row in () if is_first else _differing(session, there, every=look_again):
                if given_validation is not None and given_validation(image_id):
                    given.add(image_id)
                if row is None:
                    found.add(image_id)
                    continue
                patient = None if patients is None else patients.get(image_id)
                if patient is not None:
                    patient = checked_name(patient, "patient")
                is_there, was_present, recorded = row
                if is_there and not was_present:
                    returned.add(image_id)
                elif was_present and not is_there:
                    vanished.add(image_id)
                if patient is not None and patient != recorded:
                    renamed[image_id] = patient
            _remember_patients(session, renamed)
            rising = checked_names(sorted(found), "image")
            new: Collection[str] = there if is_first else found  # a set of a million takes 110 MB
            patient_of = _told_of(there if is_first else rising, patients)
            missing = validation_count(known + len(new), validation_cases) - _count_validation(session)
            if given:
                validation = frozenset(found & given) | _new_validation(
                    session, found - given, 0, patient_of, judging=given
                )
            else:
                validation = _new_validation(session, new, max(missing, 0), patient_of)
            now = self._clock()
            self._register(session, new, validation, patient_of, now)
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
            self._register(session, new, validation, patient_of, now)
            vanished = {image_id for image_id in gone if image_id in rows and rows[image_id].present}
            returned = {image_id for image_id in there if image_id in rows and not rows[image_id].present}
            self._mark(session, new, vanished, returned, now)

    def _was_rule(self, session: Session, rule: str | None) -> bool:
        """Whether the same rule told the patients of all images that are registered; it is noted that this one does."""
        row = session.get(FactRow, _PATIENTS_BY)
        if (None if row is None else row.value or None) == rule:
            return rule is not None
        if row is None:
            row = FactRow(name=_PATIENTS_BY, reason="tells the patients of the images that are registered")
            session.add(row)
        row.value, row.recorded_at = rule or "", self._clock()
        return False

    def _register(
        self,
        session: Session,
        ids: Collection[str],
        validation: frozenset[str],
        patient_of: Mapping[str, str],
        now: datetime,
    ) -> None:
        common = {"added_at": now, "present": True, "leased_whole": True, "random_seed": self.seed}
        with indexed_in_the_end(session, len(ids)):
            for some in in_pieces(ids):
                varying: dict[str, Sequence[Any]] = {
                    "id": checked_names(some, "image"),
                    "random_place": random_places(some, self.seed),
                }
                same: dict[str, Any] = {**common, "role": "training"}
                # What all have in common is not given for each: a million images take 0.5 s less.
                if not validation.isdisjoint(some):
                    del same["role"]
                    varying["role"] = ["validation" if image_id in validation else "training" for image_id in some]
                if patient_of:
                    varying["patient"] = [patient_of.get(image_id) for image_id in some]
                insert_rows(session.connection(), _TABLE, varying, same)

    def _mark(
        self, session: Session, new: Collection[str], vanished: set[str], returned: set[str], now: datetime
    ) -> None:
        """Mark what vanished and what returned, and end the leases on what vanished."""
        _mark_present(session, vanished, False)
        _mark_present(session, returned, True)
        if new or vanished or returned:
            self._images_changed(session)
        end_leases(session, (row for row in unended_leases(session) if row.image_id in vanished), "released", now)


def _differing(
    session: Session, there: PathTable | list[str], *, every: bool
) -> Iterator[tuple[str, tuple[bool, bool, str | None] | None]]:
    """What `_beside` gives; where few images differ, in a fraction of its time."""
    if every or not isinstance(there, PathTable):
        yield from _beside(there, session.execute(_KNOWN), every=every)
        return
    new, gone = only_here_and_there(there.ids, _known_ids(session))
    yield from ((image_id, None) for image_id in new)
    for some in in_pieces(gone.union(session.scalars(_ABSENT_IDS))):
        for image_id, was_present, patient in session.execute(_KNOWN.where(_TABLE.c.id.in_(some))):
            yield image_id, (image_id not in gone, was_present, patient)


def _known_ids(session: Session) -> Iterator[list[str]]:
    """The ids of all images, some at a time.

    They are taken from the driver itself: made into SQLAlchemy's rows they need three times as long.
    """
    connection, after = session.connection(), ""
    while True:
        with closing(connection.execute(_NEXT_IDS, {"after": after})) as result:
            assert result.cursor is not None  # no row is fetched before somebody asks for one
            some = [image_id for (image_id,) in result.cursor.fetchall()]
        if not some:
            return
        yield some
        after = some[-1]


def _beside(
    there: Iterable[str], rows: Iterable[Any], *, every: bool
) -> Iterator[tuple[str, tuple[bool, bool, str | None] | None]]:
    """Each id that is there or known, with what is known: whether it is there and was present, and its patient.

    Both are in the same order. Without `every`, images that are there and were present are left out.
    """
    present = iter(there)
    one = next(present, None)
    for image_id, was_present, patient in rows:
        while one is not None and one < image_id:
            yield one, None
            one = next(present, None)
        if one != image_id:
            yield image_id, (False, was_present, patient)
            continue
        if every or not was_present:
            yield image_id, (True, was_present, patient)
        one = next(present, None)
    if one is not None:
        yield one, None
        yield from ((image_id, None) for image_id in present)


def _told_of(image_ids: Collection[str], patients: Mapping[str, str] | None) -> dict[str, str]:
    """The patient of each of these images that has one."""
    if patients is None:
        return {}
    if isinstance(patients, PatientsOf):
        told = patients.among(image_ids)
    else:
        asked = ((image_id, patients.get(image_id)) for image_id in image_ids)
        told = {image_id: patient for image_id, patient in asked if patient is not None}
    return {image_id: checked_name(patient, "patient") for image_id, patient in told.items()}


def _count_validation(session: Session) -> int:
    return session.scalar(select(func.count()).where(of_role("validation"))) or 0


def _remember_patients(session: Session, patients: Mapping[str, str]) -> None:
    """Record the patients of these known images; the roles stay."""
    if patients:
        session.execute(update(ImageRow), [{"id": id_, "patient": name} for id_, name in sorted(patients.items())])


def _new_validation(
    session: Session, new: Collection[str], missing: int, patient_of: Mapping[str, str], judging: Collection[str] = ()
) -> frozenset[str]:
    """The new images for validation: all those of validation patients, and `missing` ones from new patients.

    `judging` are images that the user gave for validation; their patients are validation patients.
    """
    if not new:
        return frozenset()
    roles = defaultdict[str, set[Role]](set)
    for image_id in judging:
        roles[patient_of.get(image_id, image_id)].add("validation")
    for image_id, patient, role in _roles_of(session, new, patient_of):
        roles[patient or image_id].add(role)
    known = {image_id for image_id in new if patient_of.get(image_id, image_id) in roles} if roles else set[str]()
    also = {image_id for image_id in known if "validation" in roles[patient_of.get(image_id, image_id)]}
    first = not judging and not _count_validation(session)
    return (
        choose_validation({*new} - known if known else new, max(missing - len(also), 0), patient_of, at_least_one=first)
        | also
    )


def _roles_of(
    session: Session, new: Collection[str], patient_of: Mapping[str, str]
) -> Iterator[tuple[str, str | None, Role]]:
    """Id, patient and role of the images of the patients of these new ones, perhaps of others too.

    An image may be its own patient.
    """
    columns = select(ImageRow.id, ImageRow.patient, ImageRow.role)
    if len(new) > AT_ONCE:  # of a million new images not even the patients are listed
        yield from session.execute(columns).tuples()
        return
    wanted = sorted({patient_of.get(image_id, image_id) for image_id in new})
    yield from session.execute(columns.where(ImageRow.patient.in_(wanted))).tuples()
    yield from session.execute(columns.where(ImageRow.patient.is_(None), ImageRow.id.in_(wanted))).tuples()


def _mark_present(session: Session, ids: set[str], present: bool) -> None:
    if ids:
        session.execute(update(ImageRow), [{"id": image_id, "present": present} for image_id in sorted(ids)])
