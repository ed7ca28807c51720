"""Rows of another ledger taken over, on both databases."""

from typing import Any

import pytest

from activelabel.errors import InvalidInputError
from activelabel.store.ledger import Ledger
from activelabel.store.transfer import TransferredRow


@pytest.fixture
def rows(clock: Any) -> list[TransferredRow]:
    """Return an image, a model, its round, an open query and the label that answers an earlier one, in no order."""
    now = clock()
    values: dict[str, dict[str, Any]] = {
        "annotations": {
            "id": 7, "image_id": "a", "tag": "final", "version": 1, "file": "a/1.nii.gz", "sha256": "1" * 64,
            "annotator": "ann", "round_number": 2, "created_at": now, "lease_id": 3,
        },
        "leases": {
            "id": 3, "image_id": "a", "annotator": "ann", "strategy": "variance", "reason": "", "round_number": 2,
            "granted_at": now, "expires_at": now, "ended_at": None, "model_version": 4,
        },
        "model_uses": {"kind": "task", "model_version": 4, "chosen_by": "boss", "began_at": now},
        "rounds": {"number": 2, "model_version": 4, "started_at": now},
        "model_versions": {
            "version": 4, "kind": "task", "file": "m", "sha256": "4" * 64, "created_at": now, "recipe": "tiny",
            "labels": ["ball"], "metrics": {"dice": None},
        },
        "images": {"id": "a", "added_at": now, "role": "training"},
        "skips": {
            "id": 5, "image_id": "a", "annotator": "bob", "kind": "not now", "reason": "", "last_lease": 3,
            "created_at": now,
        },
    }  # fmt: skip
    return [TransferredRow(table, row, f"line of {table}") for table, row in values.items()]


def test_new_rows_are_numbered_after_those_that_were_taken_over(
    rows: list[TransferredRow], new_url: str, clock: Any
) -> None:
    ledger = Ledger(new_url, clock)
    ledger.take_over(rows)
    ledger.sync_images(["a", "b"], 0)
    clock.advance(1)
    assert [(query.id, query.outcome) for query in ledger.leases()] == [(3, "released")]
    query = ledger.grant_lease("ann", "b", 30, "variance")
    assert query is not None
    assert (query.id, query.round_number) == (4, 2)
    skipped = ledger.skip_case("ann", "not now")
    assert skipped is not None
    assert (skipped.id, skipped.last_lease) == (6, 4)
    ledger.delete_annotation("a")
    assert ledger.publish_model("n", "5" * 64, "tiny", ["ball"], {}, trained_on=[]).version == 5


def test_a_model_is_withdrawn_and_not_in_use(rows: list[TransferredRow], new_url: str, clock: Any) -> None:
    ledger = Ledger(new_url, clock)
    ledger.take_over(rows)
    assert ledger.model(4).withdrawn_at == clock()
    assert ledger.model_in_use() is None
    assert [(use.model_version, use.chosen_by) for use in ledger.model_uses()] == [(4, "boss"), (None, None)]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("annotations", "round_number", 9),
        ("leases", "image_id", "x"),
        ("images", "role", "judge"),
        ("skips", "id", "x"),
    ],
)
def test_a_contradiction_names_its_row_and_leaves_nothing(
    rows: list[TransferredRow], new_url: str, clock: Any, table: str, column: str, value: object
) -> None:
    ledger = Ledger(new_url, clock)
    wrong = [TransferredRow(row.table, {**row.values, column: value}, row.where) for row in rows if row.table == table]
    with pytest.raises(InvalidInputError, match=rf"^line of {table}: it contradicts other rows, or lacks something \("):
        ledger.take_over([*(row for row in rows if row.table != table), *wrong])
    assert ledger.images() == []


def test_a_ledger_that_knows_images_takes_nothing_over(rows: list[TransferredRow], new_url: str, clock: Any) -> None:
    ledger = Ledger(new_url, clock)
    ledger.sync_images(["b"], 0)
    with pytest.raises(InvalidInputError, match="it knows images already: name an empty one"):
        ledger.take_over(rows)
