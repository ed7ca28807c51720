"""A reading may be compared more than once; of each image one comparison is the current one."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

WHEN = sa.DateTime(timezone=True)
LABELS = sa.table("annotations", *(sa.column(name) for name in ("id", "image_id", "tag")), *(
    sa.column(name, WHEN) for name in ("superseded_at", "deleted_at")
))  # fmt: skip
READINGS = sa.table("readings", *(sa.column(name) for name in ("id", "image_id", "second_id")), *(
    sa.column(name, WHEN) for name in ("created_at", "superseded_at")
))  # fmt: skip


def upgrade() -> None:
    with op.batch_alter_table("readings") as table:
        table.drop_constraint("uq_readings_second_id", type_="unique")
        table.add_column(sa.Column("superseded_at", WHEN))
    connection = op.get_bind()
    labels = {row.id: row for row in connection.execute(sa.select(LABELS).where(LABELS.c.tag.in_(_compared_tags())))}
    of_image = defaultdict[str, list[Any]](list)
    for row in connection.execute(sa.select(READINGS).order_by(READINGS.c.id)):
        of_image[row.image_id].append(row)
    taken_back = defaultdict[str, list[Any]](list)
    for label in labels.values():
        if label.deleted_at:
            taken_back[label.image_id].append(label.deleted_at)
    for image_id, readings in of_image.items():
        for reading, end in _ends(readings, labels, taken_back[image_id]):
            ended = sa.update(READINGS).where(READINGS.c.id == reading.id).values(superseded_at=end)
            connection.execute(ended)
    where = sa.text("superseded_at IS NULL")
    current = {"unique": True, "sqlite_where": where, "postgresql_where": where}
    op.create_index("uq_readings_current", "readings", ["image_id"], **current)


def _compared_tags() -> tuple[str, str]:
    return "final", "reading_2"


def _ends(readings: Sequence[Any], labels: dict[int, Any], taken_back: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Each comparison that is not the current one of its image, and its end, as far as the ledger says when that was.

    Until now a comparison was the current one as long as its second reading was.
    """
    for place, reading in enumerate(readings):
        second = labels[reading.second_id]
        later = [one.created_at for one in readings[place + 1 :]]
        ends = [*later, *(when for when in taken_back if when > reading.created_at), second.superseded_at]
        known = [when for when in (*ends, second.deleted_at) if when is not None]
        if known:
            yield reading, min(known)
