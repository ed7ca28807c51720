"""What belongs to the project as a whole: what values mean, what images are, and their files as they were read."""

from collections.abc import Sequence

from sqlalchemy import select, update

from activelabel.store.database import Database
from activelabel.store.lookup import image_row
from activelabel.store.records import Fact
from activelabel.store.schema import AnnotationRow, FactRow


class Facts(Database):
    """What was said once and holds for all that comes after."""

    def fact(self, name: str) -> Fact | None:
        """What was found out under this name; None if nothing was yet."""
        with self._reading() as session:
            row = session.get(FactRow, name)
            return None if row is None else Fact(row.value, row.reason, row.recorded_at)

    def fix_fact(self, name: str, value: str, reason: str, *, again: bool = False) -> Fact:
        """Say something for good: what was said before stays, and is the answer, unless it is said `again`."""
        with self._writing() as session:
            row = session.get(FactRow, name)
            if row is None:
                row = FactRow(name=name, value=value, reason=reason, recorded_at=self._clock())
                session.add(row)
            elif again:
                row.value, row.reason, row.recorded_at = value, reason, self._clock()
            return Fact(row.value, row.reason, row.recorded_at)

    def kept_label_names(self) -> tuple[str, ...] | None:
        """The names of the values 1..N of all labels that were ever kept; None if none was, or none says so.

        Names are only ever added at the end, so the longest list holds all others.
        """
        with self._reading() as session:
            lists = session.scalars(select(AnnotationRow.label_names).where(AnnotationRow.label_names.is_not(None)))
            longest = max((names or [] for names in lists), key=len, default=[])
        return tuple(longest) or None

    def name_labels(self, names: Sequence[str]) -> int:
        """Say what the values mean of the labels that were kept before anybody said so; how many these are."""
        unnamed = update(AnnotationRow).where(AnnotationRow.label_names.is_(None))
        with self._writing() as session:
            return int(session.connection().execute(unnamed.values(label_names=list(names))).rowcount)

    def record_file(
        self, image_id: str, content_sha256: str, size: int, modified_ns: int, intensities: Sequence[float]
    ) -> None:
        """What the file of an image is like, as it was just read. Of labels kept before that, it is the image.

        Raises:
            NotFoundError: the image was never registered.
        """
        with self._writing() as session:
            row = image_row(session, image_id)
            if row.content_sha256 is None:
                before = update(AnnotationRow).where(AnnotationRow.image_id == image_id)
                session.execute(before.where(AnnotationRow.image_sha256.is_(None)).values(image_sha256=content_sha256))
            row.content_sha256, row.file_size, row.file_modified_ns = content_sha256, size, modified_ns
            row.intensities = list(intensities)
