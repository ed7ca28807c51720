"""Finding the rows that events refer to, and turning rows into records."""

from collections.abc import Collection, Iterator, Set
from dataclasses import fields
from enum import Enum
from itertools import islice
from types import SimpleNamespace
from typing import Any, TypeVar, get_args, get_type_hints

from sqlalchemy import Row, bindparam, select
from sqlalchemy.orm import Session

from activelabel.data.files.many.path_table import PathTable
from activelabel.errors import NotFoundError
from activelabel.store.records.models import ModelKind
from activelabel.store.schema.base import Base
from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.models import ModelUseRow, ModelVersionRow

Record = TypeVar("Record")
AT_ONCE = 10_000
"""How many ids a statement names."""
_LARGEST_VERSION = 2**31 - 1  # of which a database can be asked
_IMAGE_ROW = select(ImageRow).where(ImageRow.id == bindparam("image"))
_OF_KIND = ModelVersionRow.kind == bindparam("kind")
_LATEST_MODEL = (
    select(ModelVersionRow)
    .where(ModelVersionRow.withdrawn_at.is_(None), _OF_KIND)
    .order_by(ModelVersionRow.version.desc())
    .limit(1)
)
_LATEST_USE = (
    select(ModelUseRow.model_version)
    .where(ModelUseRow.kind == bindparam("kind"))
    .order_by(ModelUseRow.id.desc())
    .limit(1)
)
_fields: dict[type[Any], tuple[tuple[str, type[Enum] | None], ...]] = {}
"""For each kind of record: the names of its fields, and the enum of each field that holds an enum member."""


def record_of(row: Base | Row[Any] | SimpleNamespace, kind: type[Record], **other: Any) -> Record:
    """The frozen record of a row: each field from the column of its name, lists as tuples, words as enum members.

    Plain values of the same columns will do. `other` holds the fields that do not come from a column of the same name.
    """
    known = _fields.get(kind)
    if known is None:
        hints = get_type_hints(kind)
        known = _fields[kind] = tuple((field.name, _enum_in(hints[field.name])) for field in fields(kind))  # type: ignore[arg-type]  # a record is a dataclass
    return kind(**{name: _frozen(getattr(row, name), enum) for name, enum in known if name not in other}, **other)


def _frozen(value: Any, enum: type[Enum] | None) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return value if value is None or enum is None else enum(value)


def _enum_in(hint: Any) -> type[Enum] | None:
    return next((one for one in (hint, *get_args(hint)) if isinstance(one, type) and issubclass(one, Enum)), None)


def in_pieces(ids: Collection[str]) -> Iterator[list[str]]:
    """Ids in rising order, each once, in pieces of which a statement can name all."""
    if isinstance(ids, PathTable):  # a list of a million takes 80 MB
        left = iter(ids)
        return iter(lambda: list(islice(left, AT_ONCE)), [])
    wanted = sorted(ids if isinstance(ids, Set) else set(ids))
    return (wanted[first : first + AT_ONCE] for first in range(0, len(wanted), AT_ONCE))


def image_rows(session: Session, ids: Collection[str]) -> dict[str, ImageRow]:
    """The rows of those of these images that are registered, by id in rising order."""
    found = dict[str, ImageRow]()
    for some in in_pieces(ids):
        rows = session.scalars(select(ImageRow).where(ImageRow.id.in_(some)).order_by(ImageRow.id))
        found.update((row.id, row) for row in rows)
    return found


def image_row(session: Session, image_id: str) -> ImageRow:
    """The row of a registered image; raises NotFoundError for any other."""
    held: ImageRow | None = session.info.get(image_id)  # so that the session does not read it twice
    row = held or session.scalar(_IMAGE_ROW, {"image": image_id})
    if row is None:
        raise no_such_image(image_id)
    session.info[image_id] = row
    return row


def no_such_image(image_id: str) -> NotFoundError:
    """The error for an image that was never registered."""
    return NotFoundError(f"image '{image_id}': not in the ledger; expected the id of an image of this study")


def model_row(session: Session, version: int) -> ModelVersionRow:
    """The row of a published version, withdrawn or not; raises NotFoundError for any other."""
    row = session.get(ModelVersionRow, version) if abs(version) <= _LARGEST_VERSION else None
    if row is None:
        known = ", ".join(map(str, session.scalars(select(ModelVersionRow.version).order_by(ModelVersionRow.version))))
        raise NotFoundError(f"model version {version}: not in the ledger; there are: {known or 'none'}")
    return row


def latest_model_row(session: Session, kind: ModelKind = "task") -> ModelVersionRow | None:
    """The newest model of a kind that was not withdrawn."""
    return session.scalar(_LATEST_MODEL, {"kind": kind})


def model_in_use_row(session: Session, kind: ModelKind = "task") -> ModelVersionRow | None:
    """The model of a kind that is in use."""
    version = session.scalar(_LATEST_USE, {"kind": kind})
    return None if version is None else session.get(ModelVersionRow, version)
