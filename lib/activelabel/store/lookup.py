"""The rows that events refer to, or an error that names what there is; and the record of a row."""

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from activelabel.errors import NotFoundError
from activelabel.store.records import ModelKind
from activelabel.store.schema import Base, ImageRow, ModelUseRow, ModelVersionRow

Record = TypeVar("Record")


def record_of(kind: type[Record], row: Base, **other: Any) -> Record:
    """The record of a row: its fields are the columns of the same names, and `other` says what differs from them.

    A list, as JSON columns give it, becomes a tuple.
    """
    assert is_dataclass(kind)
    values = {field.name: getattr(row, field.name) for field in fields(kind) if field.name not in other}
    frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return kind(**frozen, **other)


def image_row(session: Session, image_id: str) -> ImageRow:
    """The row of a registered image; NotFoundError for any other."""
    row = session.get(ImageRow, image_id)
    if row is None:
        raise NotFoundError(f"image '{image_id}': not in the ledger; expected the id of an image of this study")
    return row


def model_row(session: Session, version: int) -> ModelVersionRow:
    """The row of a published version, withdrawn or not; NotFoundError for any other."""
    row = session.get(ModelVersionRow, version)
    if row is None:
        known = ", ".join(map(str, session.scalars(select(ModelVersionRow.version).order_by(ModelVersionRow.version))))
        raise NotFoundError(f"model version {version}: not in the ledger; there are: {known or 'none'}")
    return row


def latest_model_row(session: Session, kind: ModelKind = "task") -> ModelVersionRow | None:
    """The newest model of a kind that was not withdrawn."""
    newest_first = select(ModelVersionRow).order_by(ModelVersionRow.version.desc()).limit(1)
    return session.scalar(newest_first.where(ModelVersionRow.withdrawn_at.is_(None), ModelVersionRow.kind == kind))


def model_in_use_row(session: Session, kind: ModelKind = "task") -> ModelVersionRow | None:
    """The model of a kind that is in use."""
    newest = select(ModelUseRow.model_version).where(ModelUseRow.kind == kind).order_by(ModelUseRow.id.desc()).limit(1)
    version = session.scalar(newest)
    return None if version is None else session.get(ModelVersionRow, version)
