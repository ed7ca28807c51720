import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activelabel.data.splits import first_validation, is_late_validation, stable_fraction

fractions = st.floats(0.0, 0.99)
id_sets = st.sets(st.text(min_size=1, max_size=8), max_size=40)


def test_fraction_is_the_hash_read_as_a_binary_fraction():
    bits = bin(int(hashlib.sha256(b"case_1").hexdigest(), 16))[2:].zfill(256)
    assert stable_fraction("case_1") == sum(2.0**-place for place, bit in enumerate(bits[:53], 1) if bit == "1")


def test_fraction_is_the_same_for_ever():
    # sha256("a") begins with ca978112ca1bbd: 0xca/256 is 0.789
    assert stable_fraction("a") == pytest.approx(0xCA978112CA1BBD / 2**56, abs=1e-15)


@given(st.text())
def test_fraction_is_below_one(image_id):
    assert 0.0 <= stable_fraction(image_id) < 1.0


def test_fractions_are_spread_evenly():
    late = [is_late_validation(f"case_{number}", 0.2) for number in range(10_000)]
    assert sum(late) == pytest.approx(2000, abs=120)  # three standard deviations of a binomial


@pytest.mark.parametrize(
    ("count", "fraction", "expected"),
    [
        (0, 0.1, 0),
        (3, 0.1, 0),
        (3, 0.5, 2),
        (4, 0.1, 1),
        (10, 0.1, 1),
        (10, 0.0, 0),
        (25, 0.1, 2),
        (35, 0.1, 4),
        (100, 0.2, 20),
    ],
)
def test_number_of_first_validation_cases(count, fraction, expected):
    # 25 * 0.1 = 2.5 and 35 * 0.1 = 3.5: halves go to the even number
    assert len(first_validation([f"case_{number}" for number in range(count)], fraction)) == expected


@given(id_sets, fractions)
def test_first_validation_cases_have_the_smallest_hashes(image_ids, fraction):
    chosen = first_validation(image_ids, fraction)
    assert chosen <= image_ids
    others = image_ids - chosen
    if chosen and others:
        assert max(map(stable_fraction, chosen)) <= min(map(stable_fraction, others))


@given(id_sets, fractions)
def test_order_and_repetition_do_not_matter(image_ids, fraction):
    once = sorted(image_ids)
    assert first_validation(once, fraction) == first_validation(once[::-1] + once, fraction)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_impossible_fraction_is_refused(fraction):
    with pytest.raises(ValueError, match="validation fraction"):
        first_validation(["a"], fraction)
    with pytest.raises(ValueError, match="validation fraction"):
        is_late_validation("a", fraction)
