import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import record_annotation
from scipy.stats import mannwhitneyu
from sqlalchemy.exc import IntegrityError

from activelabel.analysis.rank_correlation import uncertainty_error_correlation
from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.store.database import utc_now
from activelabel.store.records.models import UncertaintyCheck


@pytest.fixture
def labelled(study):
    """Labels 1 to 3, of a, b and c, with a model that has learnt none of them."""
    study.publish_model("m.pt", "0", "quick", ["liver"], {}, [])
    for image_id in "abc":
        record_annotation(study, image_id, f"{image_id}_1", "0", "ann")
    return study


def record(ledger, annotation_id, correlation=0.1, wrong_voxels=10, voxels=1000):
    return ledger.record_uncertainty_check(
        annotation_id, 1, "entropy", correlation, wrong_voxels=wrong_voxels, voxels=voxels
    )


def test_a_comparison_is_kept_as_it_was_given(labelled, clock):
    clock.advance(3)
    expected = UncertaintyCheck(1, 1, "entropy", 0.125, 10, 1000, clock.now)
    assert labelled.record_uncertainty_check(1, 1, "entropy", 0.125, wrong_voxels=10, voxels=1000) == expected
    assert labelled.uncertainty_checks() == [expected]


def test_comparisons_are_in_the_order_in_which_the_labels_came(labelled):
    for annotation_id in (3, 1, 2):
        record(labelled, annotation_id)
    assert [check.annotation_id for check in labelled.uncertainty_checks()] == [1, 2, 3]


def test_the_latest_comparisons_have_a_correlation_and_a_label_that_was_not_taken_back(labelled):
    for image_id in "def":
        record_annotation(labelled, image_id, f"{image_id}_1", "0", "ann")
    for annotation_id, correlation in ((6, None), (5, 0.5), (4, 0.4), (3, 0.3), (2, 0.2), (1, 0.1)):
        record(labelled, annotation_id, correlation, wrong_voxels=0 if correlation is None else 10)
    labelled.delete_annotation("d")
    assert [check.annotation_id for check in labelled.latest_uncertainty_checks(2, {1})] == [3, 5]
    assert [check.annotation_id for check in labelled.latest_uncertainty_checks(9, {1})] == [1, 2, 3, 5]
    assert labelled.count_uncertainty_checks({1}) == 4


def test_a_perfect_prediction_has_no_correlation_and_counts_as_compared(labelled):
    check = record(labelled, 1, correlation=None, wrong_voxels=0)
    assert labelled.uncertainty_checks() == [check]
    assert (check.correlation, check.worth) == (None, None)


def test_the_comparison_of_a_superseded_label_counts_and_that_of_a_label_taken_back_does_not(labelled):
    for annotation_id in (1, 2, 3):
        record(labelled, annotation_id)
    labelled.delete_annotation("b")
    record_annotation(labelled, "c", "c_2", "0", "ann")
    assert [check.annotation_id for check in labelled.uncertainty_checks()] == [1, 3]


@pytest.mark.parametrize(
    "numbers",
    [
        {"correlation": 1.5},
        {"correlation": -1.5},
        {"wrong_voxels": 1001},
        {"wrong_voxels": -1},
        {"wrong_voxels": 0},
        {"wrong_voxels": 1000},
    ],
)
def test_numbers_that_cannot_be_are_refused(labelled, numbers):
    with pytest.raises(IntegrityError):
        record(labelled, 1, **numbers)
    assert labelled.uncertainty_checks() == []


def test_a_label_is_compared_once(labelled):
    first = record(labelled, 1)
    with pytest.raises(IntegrityError):
        record(labelled, 1, correlation=0.9)
    assert labelled.uncertainty_checks() == [first]


def test_a_comparison_of_an_unknown_label_or_model_is_refused(labelled):
    with pytest.raises(IntegrityError):
        record(labelled, 99)
    with pytest.raises(NotFoundError, match=r"model version 7: .*there are: 1"):
        labelled.record_uncertainty_check(1, 7, "entropy", 0.1, wrong_voxels=1, voxels=2)
    with pytest.raises(InvalidInputError, match="measure"):
        labelled.record_uncertainty_check(1, 1, "", 0.1, wrong_voxels=1, voxels=2)


def check_of(uncertainty, wrong):
    correlation = uncertainty_error_correlation(uncertainty, wrong)
    return UncertaintyCheck(1, 1, "entropy", correlation, int(wrong.sum()), wrong.size, utc_now())


def test_worth_by_hand():
    # One wrong voxel of four, second in uncertainty: of three pairs with a right one two are in order and one is not,
    # (2 - 1) / 3. Spearman's is 1 / sqrt(15), the largest there can be 3 / sqrt(15).
    check = check_of(np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, False, True, False]))
    assert check.correlation == pytest.approx(1 / math.sqrt(15))
    assert check.worth == pytest.approx(1 / 3)


def test_worth_does_not_fall_with_the_share_of_wrong_voxels():
    uncertainty = np.arange(100_000.0)
    checks = [check_of(uncertainty, uncertainty >= 100_000 - wrong) for wrong in (50_000, 2_000, 20)]
    assert [round(check.correlation, 2) for check in checks] == [0.87, 0.24, 0.02]
    assert [check.worth for check in checks] == pytest.approx([1.0, 1.0, 1.0])


@given(st.integers(2, 30).flatmap(lambda voxels: st.tuples(st.permutations(range(voxels)), st.integers(1, voxels - 1))))
def test_without_ties_worth_is_the_rank_biserial_correlation(drawn):
    order, wrong_voxels = drawn
    uncertainty = np.array(order, dtype=np.float64)
    wrong = np.arange(len(order)) < wrong_voxels
    in_order = mannwhitneyu(uncertainty[wrong], uncertainty[~wrong]).statistic
    pairs = wrong_voxels * (len(order) - wrong_voxels)
    assert check_of(uncertainty, wrong).worth == pytest.approx(2 * in_order / pairs - 1)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=30).filter(
        lambda voxels: all(len(set(column)) > 1 for column in zip(*voxels, strict=True))
    )
)
def test_with_ties_worth_keeps_its_sign_and_its_range(voxels):
    uncertainty, wrong = (np.array(column) for column in zip(*voxels, strict=True))
    check = check_of(uncertainty.astype(np.float64), wrong)
    assert -1 <= check.worth <= 1
    assert np.sign(check.worth) == np.sign(check.correlation)
    assert abs(check.worth) >= abs(check.correlation) - 1e-9, "rounding may take the correlation beyond 1"
