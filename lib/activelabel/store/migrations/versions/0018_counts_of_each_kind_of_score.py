"""How many images have a score of each kind by a model, so that what is left to score is known without counting."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# PostgreSQL orders text by the server's locale unless a collation is given.
WORD = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")


def upgrade() -> None:
    connection = op.get_bind()
    before = sa.table("scored_counts", sa.column("model_version"), sa.column("images"))
    of_models = [dict(row._mapping) for row in connection.execute(sa.select(before))]
    op.drop_table("scored_counts")
    counts = op.create_table(
        "scored_counts",
        sa.Column("model_version", sa.Integer, nullable=False),
        *(sa.Column(name, WORD, nullable=False) for name in ("measure", "region", "aggregation")),
        sa.Column("images", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("model_version", "measure", "region", "aggregation", name="pk_scored_counts"),
        sa.ForeignKeyConstraint(["model_version"], ["model_versions.version"], name="fk_scored_counts_model_version"),
    )
    any_kind = {"measure": "", "region": "", "aggregation": ""}
    if of_models:
        op.bulk_insert(counts, [{**row, **any_kind} for row in of_models])
    kinds = "model_version, measure, region, aggregation"
    op.execute(f"INSERT INTO scored_counts SELECT {kinds}, count(*) FROM scores GROUP BY {kinds}")  # noqa: S608
