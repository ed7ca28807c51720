"""Queries worked out by hand; the rules that must hold for any scores; peaks against scipy."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import find_peaks

from activelabel.acquisition.selection import selective_sources, selective_union, shuffled, slice_peaks, top_k

scores = st.dictionaries(st.sampled_from("abcdefghij"), st.integers(0, 4).map(float))


def test_top_k_is_best_first_with_ties_by_id() -> None:
    assert top_k({"c": 1.0, "a": 1.0, "b": 2.0, "d": 0.0}, 3) == ["b", "a", "c"]


def test_top_k_of_slices_takes_tuples() -> None:
    assert top_k({("ct", 12): 0.5, ("ct", 3): 0.5, ("mr", 1): 0.9}, 2) == [("mr", 1), ("ct", 3)]


def test_top_k_returns_all_ids_if_k_exceeds_their_number() -> None:
    assert top_k({"a": 0.0, "b": -1.0}, 5) == ["a", "b"]
    assert top_k({}, 5) == []
    assert top_k({"a": 0.0}, 0) == []


def test_top_k_refuses_a_nan_by_name_and_a_negative_k() -> None:
    with pytest.raises(ValueError, match="'case7' is NaN"):
        top_k({"a": 1.0, "case7": math.nan}, 1)
    with pytest.raises(ValueError, match="k must be 0 or more, got -1"):
        top_k({"a": 1.0}, -1)


@given(scores, st.integers(0, 12))
def test_top_k_leaves_out_no_id_that_scores_above_a_chosen_one(scores: dict[str, float], k: int) -> None:
    chosen = top_k(scores, k)
    assert len(chosen) == len(set(chosen)) == min(k, len(scores))
    left = [score for id, score in scores.items() if id not in chosen]
    assert not chosen or not left or min(scores[id] for id in chosen) >= max(left)


TARGET = {"a": 9.0, "b": 8.0, "c": 7.0, "d": 1.0, "e": 0.0}
BOUNDARY = {"a": 1.0, "b": 9.0, "c": 0.0, "d": 8.0, "e": 7.0}


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (0, []),
        (1, [("a", "target")]),
        (2, [("a", "target"), ("b", "boundary")]),
        # target a, b; boundary b is a duplicate: the next best of target refills.
        (3, [("a", "target"), ("b", "target"), ("c", "target")]),
        # target a, b; boundary b, d; one duplicate.
        (4, [("a", "target"), ("b", "target"), ("d", "boundary"), ("c", "target")]),
        # target a, b, c; boundary b, d; refilled from target with d? It is taken, so with e.
        (5, [("a", "target"), ("b", "target"), ("c", "target"), ("d", "boundary"), ("e", "target")]),
        (9, [("a", "target"), ("b", "target"), ("c", "target"), ("d", "target"), ("e", "target")]),
    ],
)
def test_selective_union_by_hand(k: int, expected: list[tuple[str, str]]) -> None:
    assert selective_sources(TARGET, BOUNDARY, k) == expected
    assert selective_union(TARGET, BOUNDARY, k) == [id for id, _ in expected]


def test_selective_union_refills_duplicates_in_turn() -> None:
    target = {"a": 9.0, "b": 8.0, "t": 7.0, "x": 0.0, "y": 0.0}
    boundary = {"a": 8.0, "b": 9.0, "u": 7.0, "x": 0.0, "y": 0.0}
    assert selective_sources(target, boundary, 4) == [
        ("a", "target"),
        ("b", "target"),
        ("t", "target"),
        ("u", "boundary"),
    ]


def test_selective_union_takes_the_rest_from_the_other_list_if_one_is_exhausted() -> None:
    assert selective_sources({"a": 1.0}, {"b": 1.0, "c": 0.5, "d": 0.2}, 4) == [
        ("a", "target"),
        ("b", "boundary"),
        ("c", "boundary"),
        ("d", "boundary"),
    ]


@given(scores, scores, st.integers(0, 14))
def test_selective_union_is_as_many_distinct_ids_as_there_are(
    target: dict[str, float], boundary: dict[str, float], k: int
) -> None:
    chosen = selective_union(target, boundary, k)
    assert len(chosen) == len(set(chosen)) == min(k, len(target.keys() | boundary.keys()))
    assert set(top_k(target, k - k // 2)) | set(top_k(boundary, k // 2)) <= set(chosen)


def test_selective_union_refuses_nan_and_negative_k() -> None:
    with pytest.raises(ValueError, match="'b' is NaN"):
        selective_union({"a": 1.0}, {"b": math.nan}, 1)
    with pytest.raises(ValueError, match="k must be 0 or more"):
        selective_union({"a": 1.0}, {"a": 1.0}, -2)


@pytest.mark.parametrize(
    ("profile", "min_distance", "expected"),
    [
        ([], 5, []),
        ([3.0], 5, []),
        ([1.0, 2.0], 5, []),
        ([0, 1, 0, 2, 0], 1, [1, 3]),
        ([0, 1, 0, 2, 0], 2, [1, 3]),
        ([0, 1, 0, 2, 0], 3, [3]),
        # The ends are never peaks, however high.
        ([2, 1, 0, 1, 3], 1, []),
        ([9, 1, 2, 1, 9], 1, [2]),
        ([0, 2, 2, 2, 0], 1, [2]),
        ([0, 2, 2, 2, 2, 0], 1, [2]),
        ([1, 2, 2, 3, 1], 1, [3]),
        # Nor is a plateau that reaches an end.
        ([4, 4, 4, 4], 1, []),
        ([3, 3, 0, 0, 1, 0, 2], 5, [4]),
        # Equal ones too close: the last stays.
        ([0, 1, 0, 1, 0, 1, 0], 4, [1, 5]),
        ([0, 1, 0, 1, 0], 4, [3]),
        # Greedy from the top: 9 removes 5 and 6, which leaves 4 free of them.
        ([0, 4, 0, 5, 0, 9, 0, 6, 0], 3, [1, 5]),
    ],
)
def test_peaks_by_hand(profile: list[float], min_distance: int, expected: list[int]) -> None:
    assert slice_peaks(profile, min_distance) == expected


@given(st.permutations(range(25)), st.integers(1, 8))
def test_peaks_equal_scipy_where_nothing_is_equal(profile: list[int], min_distance: int) -> None:
    expected = find_peaks(np.array(profile), distance=min_distance)[0]
    assert slice_peaks([float(value) for value in profile], min_distance) == expected.tolist()


@given(st.lists(st.integers(0, 3).map(float), max_size=16), st.integers(1, 8))
def test_plateaus_are_those_of_scipy_and_of_equal_peaks_the_last_stays(profile: list[float], min_distance: int) -> None:
    """Which of two equal peaks scipy keeps is left open by its sorting, and differs between processors."""
    peaks = find_peaks(np.array(profile))[0].tolist() if profile else []
    kept: list[int] = []
    for peak in sorted(peaks, key=lambda index: (profile[index], index), reverse=True):
        if all(abs(peak - other) >= min_distance for other in kept):
            kept.append(peak)
    assert slice_peaks(profile, min_distance) == sorted(kept)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 9))
def test_peaks_are_inner_and_apart_and_hold_the_highest_inner_maximum(profile: list[float], min_distance: int) -> None:
    peaks = slice_peaks(profile, min_distance)
    assert not {0, len(profile) - 1} & set(peaks)
    assert all(right - left >= min_distance for left, right in itertools.pairwise(peaks))
    every = slice_peaks(profile, 1)
    assert max((profile[peak] for peak in peaks), default=None) == max((profile[peak] for peak in every), default=None)


def test_peaks_refuse_nan_and_no_distance() -> None:
    with pytest.raises(ValueError, match="NaN at slice 1"):
        slice_peaks([0.0, math.nan])
    with pytest.raises(ValueError, match="min_distance must be 1"):
        slice_peaks([0.0], min_distance=0)


@given(st.sets(st.text(max_size=5), max_size=20), st.integers(0, 1000))
def test_shuffled_keeps_every_id_and_its_order_when_others_leave(ids: set[str], seed: int) -> None:
    order = shuffled(ids, seed)
    assert sorted(order) == sorted(ids)
    assert shuffled(order[::2], seed) == order[::2]


def test_shuffled_differs_between_seeds_and_puts_every_id_first_about_equally_often() -> None:
    firsts = [shuffled("abcd", seed)[0] for seed in range(400)]
    assert all(70 <= firsts.count(id) <= 130 for id in "abcd")  # binomial(400, 1/4): 100 ± 3.5 sd
