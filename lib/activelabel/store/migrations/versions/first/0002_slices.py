"""Slices: the slice axis of an image, the scores of all slices in one row, the number of slices a label covers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KIND = ("image_id", "model_version", "measure", "region", "aggregation")
SAMPLED = ("value", "repeats", "seed", "created_at")


def _text(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("images", sa.Column("slice_axis", sa.Integer))
    op.add_column("images", sa.Column("slice_count", sa.Integer))
    op.add_column("annotations", sa.Column("covered_slices", sa.Integer))
    op.add_column("annotations", sa.Column("foreground_slices", sa.Integer))
    _widen_scores()


def _widen_scores() -> None:
    """Keep one score row for a volume and its slices instead of one per slice. No server ever kept scores of slices."""
    op.drop_index("ix_scores_ranking", "scores")
    op.rename_table("scores", "scores_0001")
    if op.get_bind().dialect.name == "postgresql":  # there, constraint names are index names
        for name in ("pk_scores", "fk_scores_image_id", "fk_scores_model_version"):
            op.drop_constraint(name, "scores_0001")
    op.create_table(
        "scores",
        sa.Column("image_id", _text(255), nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("measure", _text(64), nullable=False),
        sa.Column("region", _text(64), nullable=False),
        sa.Column("aggregation", _text(64), nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("slices", sa.LargeBinary),
        sa.Column("repeats", sa.Integer, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(*KIND, name="pk_scores"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_scores_image_id"),
        sa.ForeignKeyConstraint(["model_version"], ["model_versions.version"], name="fk_scores_model_version"),
        sqlite_with_rowid=False,
    )
    kept = (*KIND, *SAMPLED)
    old = sa.table("scores_0001", *map(sa.column, (*kept, "slice_index")))
    new = sa.table("scores", *map(sa.column, kept))
    volumes = sa.select(*(old.c[name] for name in kept)).where(old.c.slice_index == -1)
    op.execute(new.insert().from_select(kept, volumes))
    op.drop_table("scores_0001")
    best_first = (sa.text("repeats DESC"), sa.text("value DESC"), "image_id")
    op.create_index("ix_scores_ranking", "scores", [*KIND[1:], *best_first])
