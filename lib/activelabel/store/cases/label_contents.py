"""The contents of label files that the disk may not have yet: a power cut may take the file, and not what is here."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, bindparam, delete, insert, select

from activelabel.store.cases.new_annotation import Unsynced
from activelabel.store.database import Database
from activelabel.store.schema.labels import LabelContentRow

_ADD = insert(LabelContentRow)
_FORGET = delete(LabelContentRow).where(LabelContentRow.file == bindparam("name"))
"""Built once: they are executed with every label."""


def keep_content(connection: Connection, file: str, unsynced: Unsynced) -> None:
    """Keep the content of a label's file, and forget those of files that the disk has meanwhile."""
    _forget(connection, (file, *unsynced.synced))  # one that is taken in again may have its earlier name
    connection.execute(_ADD, {"file": file, "content": unsynced.content})


def _forget(connection: Connection, files: Iterable[str]) -> None:
    names = [{"name": file} for file in files]
    if names:
        connection.execute(_FORGET, names)


class LabelContents(Database):
    """The contents of label files that the disk may not have yet."""

    def label_contents(self) -> Mapping[str, bytes]:
        """The content of each file by its place below the folder of all labels."""
        rows = select(LabelContentRow.file, LabelContentRow.content).order_by(LabelContentRow.file)
        with self._reading() as session:
            return dict(session.execute(rows).tuples().all())

    def forget_contents(self, files: Iterable[str]) -> None:
        """Forget the contents of files that the disk has."""
        with self._writing() as session:
            _forget(session.connection(), files)
