"""Two annotators in any order of events, against a model that fits on a page and knows no database."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from recorded import record_annotation

from activelabel.errors import NotFoundError
from activelabel.store.cases.skips import NOT_NOW
from activelabel.store.schema.base import Base

IMAGES, ANNOTATORS, SLICES = ("a", "b"), ("ann", "bob"), (0, 1, 2)
EVERYTHING = frozenset(SLICES)

images = st.sampled_from(IMAGES)
annotators = st.sampled_from(ANNOTATORS)
coverages = st.none() | st.sets(st.sampled_from(SLICES), min_size=1).map(sorted)


@dataclass(frozen=True)
class Held:
    annotator: str
    image_id: str
    covers: frozenset[int] | None
    until: datetime

    def overlaps(self, covers):
        return self.covers is None or covers is None or bool(self.covers & covers)

    def is_covered_by(self, covers):
        return covers is None or (self.covers is not None and self.covers <= covers)


@dataclass
class Expected:
    """The expected ledger: the holder of each lease, and the labels of each image as (file, covers, deleted)."""

    held: list[Held] = field(default_factory=list)
    labels: dict[str, list[tuple[str, frozenset[int] | None, bool]]] = field(
        default_factory=lambda: {image_id: [] for image_id in IMAGES}
    )

    def current(self, image_id):
        """Return the slices that the current label covers, or the empty set."""
        last = self.labels[image_id][-1:]
        return frozenset() if not last or last[0][2] else last[0][1]

    def lease_of(self, annotator):
        return next((held for held in self.held if held.annotator == annotator), None)

    def free(self, image_id, covers):
        annotated = self.current(image_id)
        if annotated is None or (covers is not None and covers & annotated):
            return False
        return not any(held.image_id == image_id and held.overlaps(covers) for held in self.held)


class Study(RuleBasedStateMachine):
    """Random events, each checked against `Expected`."""

    def __init__(self, ledger, clock):
        super().__init__()
        self.ledger, self.clock, self.expected, self.saved = ledger, clock, Expected(), 0
        with ledger._writing() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())
        ledger.sync_images(IMAGES, 0)

    @rule(annotator=annotators, image_id=images, slices=coverages, minutes=st.sampled_from([10, 30]))
    def ask(self, annotator, image_id, slices, minutes):
        covers = None if slices is None else frozenset(slices)
        is_free = self.expected.free(image_id, covers)
        wanted = None if slices is None else tuple(slices)
        assert self.ledger.would_grant(annotator, image_id, "random", wanted) == is_free
        lease = self.ledger.grant_lease(annotator, image_id, minutes, "random", slices=slices)
        mine = self.expected.lease_of(annotator)
        if mine is None and is_free:
            mine = Held(annotator, image_id, covers, self.clock.now + timedelta(minutes=minutes))
            self.expected.held.append(mine)
        assert self.held(lease) == mine

    @rule(annotator=annotators, image_id=images, slices=coverages)
    def save(self, annotator, image_id, slices):
        covers = None if slices is None else frozenset(slices)
        self.saved += 1
        record_annotation(self.ledger, image_id, f"label {self.saved}", "0", annotator, slices=slices)
        self.expected.labels[image_id].append((f"label {self.saved}", covers, False))
        self.expected.held = [
            held
            for held in self.expected.held
            if held.image_id != image_id or not (held.annotator == annotator or held.is_covered_by(covers))
        ]

    @rule(image_id=images)
    def delete(self, image_id):
        labels = self.expected.labels[image_id]
        if not labels or labels[-1][2]:
            with pytest.raises(NotFoundError):
                self.ledger.delete_annotation(image_id)
        else:
            self.ledger.delete_annotation(image_id)
            labels[-1] = (*labels[-1][:2], True)

    @rule(annotator=annotators)
    def skip(self, annotator):
        mine = self.expected.lease_of(annotator)
        if mine is not None:
            assert self.ledger.skip_case(annotator, NOT_NOW).image_id == mine.image_id
        self.expected.held = [held for held in self.expected.held if held is not mine]

    @rule(minutes=st.sampled_from([1, 10, 25]))
    def wait(self, minutes):
        self.clock.advance(minutes)
        self.expected.held = [held for held in self.expected.held if held.until > self.clock.now]

    def held(self, lease):
        if lease is None or lease.outcome is not None:
            return None
        return Held(lease.annotator, lease.image_id, lease.slices and frozenset(lease.slices), lease.expires_at)

    @invariant()
    def everyone_holds_what_is_expected(self):
        for annotator in ANNOTATORS:
            assert self.held(self.ledger.active_lease(annotator)) == self.expected.lease_of(annotator)

    @invariant()
    def nothing_is_held_twice(self):
        active = [held for held in map(self.held, self.ledger.leases()) if held is not None]
        taken = [(held.image_id, index) for held in active for index in held.covers or EVERYTHING]
        assert len(taken) == len(set(taken))

    @invariant()
    def no_label_is_lost(self):
        for image_id in IMAGES:
            kept = [
                (label.file, label.slices and frozenset(label.slices), label.deleted_at is not None)
                for label in self.ledger.history(image_id)
            ]
            assert kept == self.expected.labels[image_id]

    @invariant()
    def the_pool_is_what_is_free(self):
        free = [
            image_id
            for image_id in IMAGES
            if self.expected.current(image_id) is not None
            and not any(held.image_id == image_id for held in self.expected.held)
        ]
        assert self.ledger.pool("training") == free

    @invariant()
    def slices_are_free_that_nobody_holds_or_has_drawn(self):
        expected = {}
        for image_id in IMAGES:
            annotated = self.expected.current(image_id)
            held = [held.covers for held in self.expected.held if held.image_id == image_id]
            if annotated is not None and None not in held:
                expected[image_id] = annotated.union(*held)
        assert {image.image_id: image.taken for image in self.ledger.slice_pool()} == expected


def test_any_order_of_events(ledger, clock):
    run_state_machine_as_test(
        lambda: Study(ledger, clock),
        settings=settings(
            max_examples=4
            if ledger.shown_url.startswith("postgresql")
            else 12,  # PostgreSQL has the same rules, and is twice as slow
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
