"""What all tables have in common."""

from sqlalchemy import Index, MetaData, text
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """The base of all tables; constraints have names to which a migration can refer."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def unique_where(name: str, *columns: str, where: str) -> Index:
    """An index by which at most one row of those that `where` holds for has the same columns; for both databases."""
    condition = text(where)
    return Index(name, *columns, unique=True, sqlite_where=condition, postgresql_where=condition)
