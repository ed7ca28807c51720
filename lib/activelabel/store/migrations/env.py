"""Alembic's entry: run the revisions on the connection, and in the transaction, that `store.migration` opened.

A new revision is written by hand, for both databases; the test that compares the migrated tables with
`store.schema` says what is missing.
"""

from alembic import context

from activelabel.store.migration import VERSION_TABLE
from activelabel.store.schema.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
