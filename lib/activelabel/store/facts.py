"""Facts about the project as a whole: names of label values, modality, and the image files as they were read."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select, update

from activelabel.store.database import Database
from activelabel.store.lookup import image_row
from activelabel.store.records.study import Fact
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.study import FactRow

_FACT = select(FactRow.value, FactRow.reason, FactRow.recorded_at).where(FactRow.name == bindparam("name"))
"""Built once: it is executed whenever somebody asks for a case."""


class Facts(Database):
    """Facts that are recorded once and hold for the rest of the project."""

    def fact(self, name: str) -> Fact | None:
        """The fact of this name; None if it was not recorded yet."""
        with self._reading() as session:
            row = session.execute(_FACT, {"name": name}).one_or_none()
            return None if row is None else Fact(*row)

    def fix_fact(self, name: str, value: str, reason: str, *, again: bool = False) -> Fact:
        """Record a fact and return it. An earlier fact stays and is returned unless `again` is set."""
        with self._writing() as session:
            row = session.get(FactRow, name)
            if row is None:
                row = FactRow(name=name, value=value, reason=reason, recorded_at=self._clock())
                session.add(row)
            elif again:
                row.value, row.reason, row.recorded_at = value, reason, self._clock()
            return Fact(row.value, row.reason, row.recorded_at)

    def kept_label_names(self) -> tuple[str, ...] | None:
        """The names of the values 1..N of all labels ever kept; None if no label has names.

        Names are only ever added at the end, so the longest list contains all others.
        """
        with self._reading() as session:
            lists = session.scalars(select(AnnotationRow.label_names).where(AnnotationRow.label_names.is_not(None)))
            longest = max((names or [] for names in lists), key=len, default=[])
        return tuple(longest) or None

    def name_labels(self, names: Sequence[str]) -> int:
        """Name the values of all labels that were kept without names; return how many labels that were."""
        unnamed = update(AnnotationRow).where(AnnotationRow.label_names.is_(None))
        with self._writing() as session:
            return int(session.connection().execute(unnamed.values(label_names=list(names))).rowcount)

    def measured_intensities(self, limit: int) -> dict[str, list[float]]:
        """What is recorded of the intensities of the first images that were read, by id."""
        measured = select(ImageRow.id, ImageRow.intensities).where(ImageRow.intensities.is_not(None))
        with self._reading() as session:
            rows = session.execute(measured.order_by(ImageRow.id).limit(limit))
            return {image_id: numbers for image_id, numbers in rows if numbers is not None}

    def record_file(
        self,
        image_id: str,
        content_sha256: str,
        size: int,
        modified_ns: int,
        intensities: Sequence[float],
        changed_ns: int | None = None,
    ) -> None:
        """Record the content of an image's file as it was just read. Labels without an image digest get this one.

        Raises:
            NotFoundError: the image was never registered.
        """
        with self._writing() as session:
            row = image_row(session, image_id)
            if row.content_sha256 is None:
                before = update(AnnotationRow).where(AnnotationRow.image_id == image_id)
                session.execute(before.where(AnnotationRow.image_sha256.is_(None)).values(image_sha256=content_sha256))
            row.content_sha256, row.file_size, row.file_modified_ns = content_sha256, size, modified_ns
            row.file_changed_ns, row.intensities = changed_ns, list(intensities)

    def note_file_changed(self, image_id: str, changed_ns: int) -> None:
        """Record when the files of an image last changed, of which the content was recorded without it.

        Raises:
            NotFoundError: the image was never registered.
        """
        with self._writing() as session:
            image_row(session, image_id).file_changed_ns = changed_ns
