"""Our own order of slices: classes alike, one slice a volume and round, away from what was learnt; by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activelabel.acquisition.blend import balanced, blend_slices
from activelabel.acquisition.slice_selection import SliceId, in_rounds

CERTAIN = 1e9
"""So large a beta that noise decides nothing."""


def order(
    scores: dict[SliceId, float], size: int, distance: int = 1, learnt: set[SliceId] | None = None
) -> list[SliceId]:
    return [slice_ for slice_, _ in blend_slices([scores], learnt or set(), size, CERTAIN, distance, "key")]


def test_every_class_counts_as_much_as_every_other() -> None:
    large, small = {"a": 300.0, "b": 100.0, "c": 200.0}, {"a": 0.0, "b": 2.0, "c": 1.0}
    # Means 200 and 1: a = 1.5 + 0, b = 0.5 + 2, c = 1 + 1.
    assert balanced([large, small]) == pytest.approx({"a": 1.5, "b": 2.5, "c": 2.0})


def test_a_class_that_is_nowhere_counts_nothing() -> None:
    assert balanced([{"a": 1.0, "b": 3.0}, {"a": 0.0, "b": 0.0}]) == pytest.approx({"a": 0.5, "b": 1.5})


def test_of_each_volume_one_slice_a_round() -> None:
    scores = {("a", 0): 9.0, ("a", 5): 8.0, ("b", 0): 3.0, ("b", 5): 2.0, ("c", 0): 1.0}
    assert order(scores, size=2) == [("a", 0), ("b", 0), ("a", 5), ("b", 5), ("c", 0)]


def test_away_from_what_was_learnt_or_taken_as_long_as_that_is_possible() -> None:
    scores = {("a", 3): 9.0, ("a", 4): 8.0, ("a", 6): 7.0, ("b", 0): 6.0, ("b", 1): 5.0, ("b", 3): 4.0}
    # Learnt is slice 2 of a: 3 and 4 are nearer than 3 to it, 6 is not. 3 of b is 3 from 0; then all are near.
    assert order(scores, 2, 3, {("a", 2)}) == [("a", 6), ("b", 0), ("b", 3), ("a", 3), ("a", 4), ("b", 1)]


def test_few_volumes_give_several_slices_that_are_apart_before_neighbours() -> None:
    scores = {("a", index): float(10 - index) for index in range(6)}
    assert order(scores, size=3, distance=2) == [("a", index) for index in (0, 2, 4, 1, 3, 5)]
    assert order(scores, size=2, distance=4) == [("a", index) for index in (0, 4, 1, 2, 3, 5)]


SLICES = st.dictionaries(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), st.floats(0, 100), min_size=1)


@given(SLICES, st.integers(1, 6), st.integers(1, 4), st.sampled_from(["x", "y"]))
def test_every_slice_comes_once_and_without_a_distance_a_round_has_the_volumes_that_are_left(
    scores: dict[SliceId, float], size: int, distance: int, key: str
) -> None:
    drawn = [slice_ for slice_, _ in blend_slices([scores], set(), size, 1.0, distance, key)]
    assert sorted(drawn) == sorted(scores)
    left = set(scores)
    for taken in in_rounds(drawn, size) if distance == 1 else ():
        volumes = {volume for volume, _ in left}
        assert len({volume for volume, _ in taken}) == min(len(volumes), len(taken))
        left -= set(taken)
