"""The database itself forbids impossible states to every writer."""

import pytest
from recorded import record_annotation
from sqlalchemy import insert, text, update
from sqlalchemy.exc import IntegrityError

from activelabel.store.schema.images import ImageRow
from activelabel.store.schema.labels import AnnotationRow
from activelabel.store.schema.queries import LeaseItemRow, LeaseRow


def item(lease_id, slice_index):
    return insert(LeaseItemRow).values(
        image_id="a", slice_index=slice_index, whole=slice_index == -1, lease_id=lease_id
    )


@pytest.fixture
def two_leases(study):
    """Lease 1 of a to ann, and lease 2 of b to bob."""
    study.grant_lease("ann", "a", 30, "random")
    study.grant_lease("bob", "b", 30, "random")
    return study


@pytest.fixture
def slice_lease(study):
    """Lease 1 of slices 3 and 4 of a to ann, and lease 2 of b to bob."""
    study.grant_lease("ann", "a", 30, "random", slices=[3, 4])
    study.grant_lease("bob", "b", 30, "random")
    return study


def accepted(ledger, statement):
    with ledger._writing() as session:
        session.execute(statement)


def refused(ledger, statement):
    with pytest.raises(IntegrityError):
        accepted(ledger, statement)


def by_slices(image_id="a"):
    return update(ImageRow).where(ImageRow.id == image_id).values(leased_whole=False)


def test_a_volume_has_one_holder(two_leases):
    refused(two_leases, item(2, -1))


def test_a_slice_has_one_holder(slice_lease):
    refused(slice_lease, item(2, 3))
    accepted(slice_lease, item(2, 5))


def test_a_leased_volume_has_no_holder_of_slices(two_leases):
    refused(two_leases, item(2, 5))
    refused(two_leases, by_slices())


def test_an_image_leased_by_slices_has_no_holder_of_all(slice_lease):
    refused(slice_lease, item(2, -1))
    refused(slice_lease, update(ImageRow).where(ImageRow.id == "a").values(leased_whole=True))


def test_an_item_cannot_be_both_whole_and_a_slice(two_leases):
    accepted(two_leases, by_slices("c"))
    refused(two_leases, insert(LeaseItemRow).values(image_id="c", slice_index=-1, whole=False, lease_id=2))
    refused(two_leases, insert(LeaseItemRow).values(image_id="d", slice_index=1, whole=True, lease_id=2))


def test_an_annotator_has_one_lease_that_has_not_ended(two_leases):
    refused(two_leases, update(LeaseRow).where(LeaseRow.id == 2).values(annotator="ann"))
    two_leases.skip_case("bob", "not now")
    accepted(two_leases, update(LeaseRow).where(LeaseRow.id == 2).values(annotator="ann"))


def test_an_image_and_tag_has_one_current_annotation(study):
    record_annotation(study, "a", "f", "0", "ann")
    record_annotation(study, "a", "g", "0", "ann")
    refused(study, update(AnnotationRow).where(AnnotationRow.id == 1).values(superseded_at=None))


def test_a_version_number_is_given_once(study):
    record_annotation(study, "a", "f", "0", "ann")
    record_annotation(study, "a", "g", "0", "ann")
    refused(study, update(AnnotationRow).where(AnnotationRow.id == 1).values(version=2))


def test_a_lease_ends_with_an_outcome(two_leases):
    refused(two_leases, update(LeaseRow).where(LeaseRow.id == 1).values(outcome="saved"))
    refused(two_leases, update(LeaseRow).where(LeaseRow.id == 1).values(ended_at=LeaseRow.expires_at))
    refused(two_leases, update(LeaseRow).where(LeaseRow.id == 1).values(ended_at=LeaseRow.expires_at, outcome="lost"))


@pytest.mark.parametrize("table", ["images", "leases", "rounds"])
def test_rows_that_others_refer_to_cannot_be_removed(two_leases, table):
    refused(two_leases, text(f"DELETE FROM {table}"))  # noqa: S608


def test_times_without_a_zone_are_refused(study, clock):
    clock.now = clock.now.replace(tzinfo=None)
    with pytest.raises(Exception, match="times with a zone"):
        record_annotation(study, "a", "f", "0", "ann")
    assert study.history("a") == []


def test_a_slice_list_of_none_is_null_in_sql_and_not_in_json(study):
    record_annotation(study, "a", "f", "0", "ann")
    with study._reading() as session:
        assert session.scalar(text("SELECT count(*) FROM annotations WHERE slices IS NULL")) == 1
