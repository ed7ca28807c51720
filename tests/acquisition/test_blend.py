"""The order of slices of the blend, by hand: equal classes, volume by volume, apart from chosen and learnt slices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activelabel.acquisition.blend import balanced, blend_slices
from activelabel.acquisition.slice_selection import SliceId

CERTAIN = 1e9
"""So large a beta that noise decides nothing."""


def order(scores: dict[SliceId, float], distance: int = 1, learnt: set[SliceId] | None = None) -> list[SliceId]:
    return [slice_ for slice_, _ in blend_slices([scores], learnt or set(), CERTAIN, distance, "key")]


def test_every_class_counts_as_much_as_every_other() -> None:
    large, small = {"a": 300.0, "b": 100.0, "c": 200.0}, {"a": 0.0, "b": 2.0, "c": 1.0}
    # Means 200 and 1: a = 1.5 + 0, b = 0.5 + 2, c = 1 + 1.
    assert balanced([large, small]) == pytest.approx({"a": 1.5, "b": 2.5, "c": 2.0})


def test_a_class_that_is_predicted_nowhere_adds_nothing_to_the_score() -> None:
    assert balanced([{"a": 1.0, "b": 3.0}, {"a": 0.0, "b": 0.0}]) == pytest.approx({"a": 0.5, "b": 1.5})


def test_volumes_are_ordered_by_decreasing_uncertainty() -> None:
    scores = {("a", 0): 4.0, ("a", 1): 5.0, ("b", 0): 8.0, ("c", 0): 1.0, ("c", 1): 1.0}
    assert order(scores) == [("a", 1), ("a", 0), ("b", 0), ("c", 0), ("c", 1)]


def test_neighbouring_slices_of_a_chosen_slice_come_at_the_end() -> None:
    scores = {("a", index): float(10 - index) for index in range(6)} | {("b", 0): 1.0, ("b", 1): 1.0}
    apart, near = [("a", 0), ("a", 2), ("a", 4), ("b", 0)], [("a", 1), ("a", 3), ("a", 5), ("b", 1)]
    assert order(scores, distance=2) == apart + near


def test_learnt_slices_keep_their_neighbours_away_in_their_own_volume_only() -> None:
    scores = {("a", 3): 9.0, ("a", 4): 8.0, ("a", 6): 7.0, ("b", 3): 6.0}
    # Slice 2 of a is learnt: slices 3 and 4 of a are nearer than 3 to it, 6 is not, and 3 of b is in another volume.
    assert order(scores, distance=3, learnt={("a", 2)}) == [("a", 6), ("b", 3), ("a", 3), ("a", 4)]


def test_slices_with_hardly_any_predicted_foreground_come_at_the_end() -> None:
    scores = {("a", 0): 10.0, ("a", 5): 1.1, ("a", 9): 0.9, ("b", 0): 0.1}
    assert order(scores) == [("a", 0), ("a", 5), ("b", 0), ("a", 9)], "a tenth of the largest of its own volume"


def test_volumes_are_drawn_in_proportion_to_their_uncertainty() -> None:
    scores = {("a", 0): 2.0, ("a", 5): 1.0, ("b", 0): 1.0}
    first = [next(blend_slices([scores], set(), 1.0, 1, str(seed)))[0][0] for seed in range(400)]
    assert first.count("a") / 400 == pytest.approx(0.75, abs=0.07), "three sd of 0.022"


SLICES = st.dictionaries(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), st.floats(0, 100), min_size=1)


@given(SLICES, st.integers(1, 4), st.sampled_from(["x", "y"]))
def test_every_slice_comes_once_with_its_score(scores: dict[SliceId, float], distance: int, key: str) -> None:
    drawn = list(blend_slices([scores], set(), 1.0, distance, key))
    assert sorted(slice_ for slice_, _ in drawn) == sorted(scores)
    assert dict(drawn) == balanced([scores])
