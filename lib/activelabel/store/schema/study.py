"""The tables of the study as a whole: what was fixed when it began, and its rounds."""

from datetime import datetime

from sqlalchemy import (
    ForeignKey,
    Integer,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from activelabel.store.columns import UtcDateTime, Word
from activelabel.store.schema.base import Base


class RoundRow(Base):
    """A round, which begins when a model of the task is published; the first round has no model."""

    __tablename__ = "rounds"
    __table_args__ = (UniqueConstraint("model_version"),)

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    model_version: Mapped[int | None] = mapped_column(ForeignKey("model_versions.version"))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)


class FactRow(Base):
    """A fact recorded when the project began, and its reason: the modality of its images."""

    __tablename__ = "facts"

    name: Mapped[str] = mapped_column(Word, primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
