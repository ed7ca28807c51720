"""The places of images in the order that the seed fixes, kept with an index: a random question reads the first few.

Each row says of which seed its place is. So a ledger of an earlier version, one that was filled from another, and one
whose seed was changed are noticed, and brought to the seed of the server that leads, at its start and when it comes to
lead.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from activelabel.acquisition.selection import random_place
from activelabel.store.database import Clock, Database, utc_now
from activelabel.store.lookup import AT_ONCE
from activelabel.store.schema.base import Base
from activelabel.store.schema.images import ImageRow

logger = logging.getLogger(__name__)

_TABLE = Base.metadata.tables[ImageRow.__tablename__]
_INDEX = next(index for index in _TABLE.indexes if index.name == "ix_images_random_place")
_SEEDS = select(
    select(func.min(_TABLE.c.random_seed)).scalar_subquery(),
    select(func.max(_TABLE.c.random_seed)).scalar_subquery(),
    select(func.count()).select_from(_TABLE).where(_TABLE.c.random_seed.is_(None)).scalar_subquery(),
)
"""The smallest and the largest seed, and how many images have none: three looks at the index, none at the images."""
_OF_ANOTHER = _TABLE.c.random_seed.is_distinct_from(bindparam("seed"))
_COUNT = select(func.count()).select_from(_TABLE).where(_OF_ANOTHER)
_SOME = select(_TABLE.c.id).where(_TABLE.c.id > bindparam("after"), _OF_ANOTHER).order_by(_TABLE.c.id).limit(AT_ONCE)
_PLACE = (
    update(_TABLE)
    .where(_TABLE.c.id == bindparam("image"))
    .values(random_seed=bindparam("seed"), random_place=bindparam("place"))
)
_MANY = 20_000
"""From so many rows on SQLite makes the index anew in a fraction of the time in which it enters each."""


class RandomOrder(Database):
    """The part of the ledger that keeps the random order, which `seed` fixes."""

    def __init__(self, url: str, clock: Clock = utc_now, *, only_approved: bool = False, seed: int = 0) -> None:
        super().__init__(url, clock, only_approved=only_approved)
        self.seed = seed

    def order_at_random(self) -> None:
        """Give each image its place in the order of the seed, if not all have it already.

        On PostgreSQL, where other servers and workers write meanwhile, each write places some of them: if it is broken
        off, or another server has another seed, questions shuffle the pool (`Images.training_pool_at_random`).

        Of two seeds that of the server which leads holds (`lead`): another one changes nothing, else each start of
        either would order all images anew. While none leads, each start orders them: the lead is only borrowed, because
        a server without an autopilot must not keep it. Who changes the order, or finds another, is told so.
        """
        with self._reading() as session:
            if self._is_in_order(session):
                return
            smallest, largest, _ = session.execute(_SEEDS).one()
        others = " and ".join(str(seed) for seed in sorted({smallest, largest} - {None, self.seed}))
        if not others:
            self._order()
            return
        with self.led() as leads:
            if not leads:
                logger.warning(
                    "--conf seed %d: the images of %s are in the random order of seed %s, of another server that runs: "
                    "start all servers with one seed; until then this one shuffles the whole pool for each case that "
                    "is drawn at random",
                    self.seed,
                    self.shown_url,
                    others,
                )
                return
            logger.warning(
                "--conf seed %d: the images of %s were in the random order of seed %s and are brought into that of %d: "
                "if several servers share this ledger, start all with one seed",
                self.seed,
                self.shown_url,
                others,
                self.seed,
            )
            self._order()

    def _order(self) -> None:
        after: str | None = ""
        if self.file is None:
            while after is not None:
                with self._writing() as session:
                    after = self._place_some(session, after)
            return
        with self._writing() as session, indexed_in_the_end(session, session.scalar(_COUNT, {"seed": self.seed}) or 0):
            while after is not None:
                after = self._place_some(session, after)

    def _place_some(self, session: Session, after: str) -> str | None:
        """Give some images behind the id `after` their places; return the last one's id, None if none is left."""
        ids = session.scalars(_SOME, {"seed": self.seed, "after": after}).all()
        if not ids:
            return None
        session.connection().execute(
            _PLACE, [{"image": id_, "seed": self.seed, "place": random_place(id_, self.seed)} for id_ in ids]
        )
        return ids[-1]

    def _is_in_order(self, session: Session) -> bool:
        """Whether all images have their place in the order of the seed."""
        smallest, largest, without = session.execute(_SEEDS).one()
        return not without and smallest in (None, self.seed) and largest in (None, self.seed)


@contextmanager
def indexed_in_the_end(session: Session, changes: int) -> Iterator[None]:
    """Let the block change so many places. For many of them SQLite makes the index anew after the block."""
    connection = session.connection()
    if changes < _MANY or connection.dialect.name != "sqlite":
        yield
        return
    _INDEX.drop(connection)
    yield
    _INDEX.create(connection)
