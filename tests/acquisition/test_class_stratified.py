from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activelabel.acquisition.class_stratified import class_stratified

PLAIN = list("abcdefghijkl")
LIVER, TUMOUR = list("lkjihgfedcba"), list("fedcbaghijkl")


def first_round(size: int, key: str = "0") -> list[tuple[str, str | None]]:
    return list(islice(class_stratified({"liver": LIVER, "tumour": TUMOUR}, PLAIN, size, key), size))


def test_a_round_of_three_by_hand() -> None:
    """Two places of three are for classes, one each, the third for none: l, f and a, the best of each order."""
    assert set(first_round(3)) == {("l", "liver"), ("f", "tumour"), ("a", None)}
    assert first_round(3)[2] == ("a", None)


@pytest.mark.parametrize(("size", "of_classes"), [(1, 1), (2, 1), (3, 2), (5, 3), (6, 4), (9, 6), (12, 8)])
def test_two_thirds_of_a_round_are_of_classes_equally_many_of_each(size: int, of_classes: int) -> None:
    """66 % rounded: 0.66, 1.32, 1.98, 3.3, 3.96, 5.94 and 7.92."""
    counts = Counter(name for _, name in first_round(size))
    assert counts[None] == size - of_classes
    assert counts["liver"] + counts["tumour"] == of_classes
    assert abs(counts["liver"] - counts["tumour"]) == of_classes % 2


def test_the_class_that_gets_the_extra_place_is_drawn_anew_for_each_round_and_model() -> None:
    more = Counter(name for seed in range(200) for _, name in first_round(1, f"{seed}:1"))
    assert 70 <= more["liver"] <= 130
    by_round = [name for _, name in class_stratified({"liver": LIVER, "tumour": TUMOUR}, PLAIN, 1, "0:1")]
    assert set(by_round) == {"liver", "tumour"}


def test_a_place_whose_id_is_taken_goes_to_the_next_id_of_that_class() -> None:
    rounds = class_stratified({"liver": ["a", "b", "c"]}, ["a", "b", "c"], 3, "0")
    assert list(rounds) == [("a", "liver"), ("b", "liver"), ("c", None)]


def test_without_a_class_the_order_is_the_plain_one() -> None:
    assert [id for id, _ in class_stratified({}, PLAIN, 4, "0")] == PLAIN


@given(st.permutations(PLAIN), st.permutations(PLAIN), st.permutations(PLAIN), st.integers(1, 7))
def test_every_id_is_there_once(first: list[str], second: list[str], plain: list[str], size: int) -> None:
    ids = [id for id, _ in class_stratified({"liver": first, "tumour": second}, plain, size, "0")]
    assert sorted(ids) == PLAIN
