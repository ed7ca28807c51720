"""The revision of a ledger changes with every event of any source, and only then."""

import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from recorded import record_annotation

from activelabel.store.case_states import Verdict
from activelabel.store.cases.skips import CANNOT
from activelabel.store.ledger import Ledger

MINUTES = 10.0


def lease(ledger: Ledger) -> None:
    assert ledger.grant_lease("ann", "a", MINUTES, "random")


EVENTS: dict[str, Callable[[Ledger], object]] = {
    "an image comes": lambda ledger: ledger.sync_images("abcdefg", validation_cases=0),
    "an image goes": lambda ledger: ledger.sync_images("abcde", validation_cases=0),
    "a case is given to an annotator": lease,
    "a label is saved": lambda ledger: record_annotation(ledger, "a", "a.nii.gz", "0" * 64, "ann"),
    "a case is skipped": lambda ledger: ledger.skip_case("ann", CANNOT, "cut", "b"),
    "a label is returned": lambda ledger: (
        record_annotation(ledger, "d", "d.nii.gz", "0" * 64, "ann"),
        ledger.decide("d", "rev", Verdict.RETURNED, "why"),
    ),
    "an image is set aside": lambda ledger: ledger.mark_unreadable("c", "it cannot be read"),
    "a model is published": lambda ledger: ledger.publish_model("1.safetensors", "0" * 64, "tiny", ["ball"], {}, []),
}


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_changes_the_revision_in_all_connections(study: Ledger, event: str) -> None:
    other = pickle.loads(pickle.dumps(study))
    before, others_before = study.revision(), other.revision()
    EVENTS[event](study)
    assert study.revision() != before
    assert other.revision() != others_before
    other.close()


def test_reading_does_not_change_the_revision(study: Ledger) -> None:
    lease(study)
    before = study.revision()
    study.progress()
    study.images()
    study.models()
    study.leases()
    study.sync_images("abcdef", validation_cases=0)  # which exist already
    assert study.revision() == before


def test_an_expiring_lease_changes_the_revision_though_nothing_is_written(study: Ledger, clock: Any) -> None:
    lease(study)
    before = study.revision()
    clock.advance(MINUTES - 1)
    assert study.revision() == before
    clock.advance(2)
    assert study.revision() != before


def _annotate(ledger: Ledger) -> None:
    record_annotation(ledger, "a", "a.nii.gz", "0" * 64, "ann")


def test_writes_of_another_process_change_the_revision(study: Ledger) -> None:
    before = study.revision()
    process = multiprocessing.get_context("fork").Process(target=_annotate, args=(study,))
    process.start()
    process.join(300)
    assert process.exitcode == 0
    assert study.revision() != before


def _revision_changes(ledger: Ledger) -> None:
    before = ledger.revision()
    _annotate(ledger)
    assert ledger.revision() != before


def test_a_forked_process_has_its_own_revision(study: Ledger) -> None:
    before = study.revision()
    process = multiprocessing.get_context("fork").Process(target=_revision_changes, args=(study,))
    process.start()
    process.join(300)
    assert process.exitcode == 0
    assert study.revision() != before


def test_the_revision_is_another_after_the_ledger_was_closed(study: Ledger) -> None:
    """A new connection does not know the events meanwhile, so no old revision may equal a new one."""
    before = study.revision()
    study.close()
    _annotate(study)
    study.close()
    assert study.revision() != before
