"""Models in use: the metrics of each model by cases, the periods of use, and the patients of the images."""

import hashlib
from collections import defaultdict
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NAME = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("images", sa.Column("patient", _NAME))
    measurements = op.create_table(
        "model_measurements",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("judges", sa.String(64), nullable=False),
        sa.Column("cases", sa.Integer, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("measured_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_measurements"),
        sa.ForeignKeyConstraint(
            ["model_version"], ["model_versions.version"], name="fk_model_measurements_model_version"
        ),
        sa.UniqueConstraint("model_version", "judges", name="uq_model_measurements_model_version_judges"),
    )
    uses = op.create_table(
        "model_uses",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("model_version", sa.Integer),
        sa.Column("chosen_by", _NAME),
        sa.Column("began_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_uses"),
        sa.ForeignKeyConstraint(["model_version"], ["model_versions.version"], name="fk_model_uses_model_version"),
        sa.CheckConstraint("kind IN ('task', 'proxy')", name="kind"),
        sa.CheckConstraint("chosen_by IS NULL OR model_version IS NOT NULL", name="chosen"),
    )
    models = _models()
    measured = _measured(models)
    if measured:
        op.get_bind().execute(sa.insert(measurements), measured)
    served = [*_served(models, "task", measured), *_served(models, "proxy", [])]
    if served:
        op.get_bind().execute(sa.insert(uses), served)


def _models() -> list[Any]:
    """All published models, in the order of their versions."""
    columns = (
        sa.column("version", sa.Integer),
        sa.column("kind", sa.String),
        sa.column("metrics", sa.JSON),
        sa.column("created_at", _TIME),
        sa.column("withdrawn_at", _TIME),
    )
    models = sa.table("model_versions", *columns)
    return list(op.get_bind().execute(sa.select(models).order_by(models.c.version)))


def _measured(models: list[Any]) -> list[dict[str, Any]]:
    """The metrics of each model at its publication, by the validation labels that judged it."""
    links = sa.table("model_annotations", sa.column("model_version"), sa.column("annotation_id"))
    annotations = sa.table("annotations", sa.column("id"), sa.column("image_id"))
    images = sa.table("images", sa.column("id"), sa.column("role"))
    statement = (
        sa.select(links.c.model_version, links.c.annotation_id)
        .join(annotations, annotations.c.id == links.c.annotation_id)
        .join(images, images.c.id == annotations.c.image_id)
        .where(images.c.role == "validation")
    )
    judges = defaultdict[int, list[int]](list)
    for version, annotation_id in op.get_bind().execute(statement):
        judges[version].append(annotation_id)
    return [
        {
            "model_version": model.version,
            "judges": hashlib.sha256(f"labels {sorted(judges[model.version])}".encode()).hexdigest(),
            "cases": len(judges[model.version]),
            "metrics": model.metrics,
            "measured_at": model.created_at,
        }
        for model in models
        if model.version in judges
    ]


def _served(models: list[Any], kind: str, measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The periods of use: so far the newest model not withdrawn; from now on the best on the newest one's cases."""
    of_kind = [model for model in models if model.kind == kind]
    times = sorted({time for model in of_kind for time in (model.created_at, model.withdrawn_at) if time is not None})
    uses: list[dict[str, Any]] = []

    def use(version: int | None, began_at: datetime) -> None:
        if version != (uses[-1]["model_version"] if uses else None):
            uses.append({"kind": kind, "model_version": version, "chosen_by": None, "began_at": began_at})

    for time in times:
        published = [model for model in of_kind if model.created_at <= time]
        serving = [model.version for model in published if model.withdrawn_at is None or model.withdrawn_at > time]
        use(max(serving, default=None), time)
    kept = {model.version for model in of_kind if model.withdrawn_at is None}
    judged = [row for row in measured if row["model_version"] in kept and row["metrics"].get("dice") is not None]
    if judged:
        comparable = [row for row in judged if row["judges"] == judged[-1]["judges"]]
        best = max(comparable, key=lambda row: (row["metrics"]["dice"], row["model_version"]))
        use(best["model_version"], datetime.now(timezone.utc))
    return uses
