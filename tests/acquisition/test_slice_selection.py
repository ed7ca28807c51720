"""Choosing slices, worked out by hand, and what must hold for any scores."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activelabel.acquisition.selection import slice_peaks
from activelabel.acquisition.slice_selection import (
    by_volume,
    in_rounds,
    peaks_first,
    random_slices,
    slice_values,
    strided_slices,
)


def test_the_largest_peaks_over_all_volumes_by_hand() -> None:
    profiles = {"a": [0.1, 0.5, 0.2, 0.1, 0.3, 0.1], "b": [0.9, 0.1, 0.2, 0.1, 0.1, 0.4, 0.8]}
    order = [item for item, _ in peaks_first(profiles, min_distance=5)]
    # a: peaks at 1 and 4 are 3 apart, so 4 goes; b: its ends, the highest of all, are none, so its peak is at 2.
    assert order[:2] == [("a", 1), ("b", 2)]
    # No inner slice is 5 apart from the peaks and the ends, so the others follow by value, and the ends come last.
    assert order[2:5] == [("b", 5), ("a", 4), ("a", 2)]
    assert order[-4:] == [("b", 0), ("b", 6), ("a", 0), ("a", 5)]
    assert len(order) == 13
    assert [item for item, _ in peaks_first(profiles, min_distance=3)][:3] == [("a", 1), ("a", 4), ("b", 2)]


def test_a_volume_without_a_peak_is_asked_for_from_within_and_its_ends_last_by_hand() -> None:
    falling = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    order = [index for (_, index), _ in peaks_first({"a": falling}, min_distance=3)]
    # 3 is as far from both ends; then the other inner ones, then the ends.
    assert order == [3, 1, 2, 4, 5, 0, 6]
    assert [index for (_, index), _ in peaks_first({"a": [0.1, 0.2]}, min_distance=3)] == [1, 0]


def test_fewer_peaks_than_wanted_are_filled_from_within_before_any_end() -> None:
    profiles = {"a": [0.9] + [0.1] * 6 + [0.3] + [0.1] * 6 + [0.9], "b": [0.8, 0.7, 0.6]}
    order = [item for item, _ in peaks_first(profiles, min_distance=3)]
    # One peak; 3 and 10 are the first of equal ones that are 3 apart from it, from each other and from the ends.
    assert order[0] == ("a", 7)
    assert order[1:3] == [("a", 3), ("a", 10)]
    assert order[3] == ("b", 1)
    assert set(order[-4:]) == {("a", 0), ("a", 14), ("b", 0), ("b", 2)}


profiles = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20), min_size=1
)


@given(profiles=profiles, distance=st.integers(1, 7))
def test_every_slice_once_and_the_peaks_before_all_others(profiles: dict[str, list[float]], distance: int) -> None:
    order = peaks_first(profiles, distance)
    assert dict(order) == slice_values(profiles)
    assert len(order) == sum(map(len, profiles.values()))
    peaks = {(volume, index) for volume, profile in profiles.items() for index in slice_peaks(profile, distance)}
    assert {item for item, _ in order[: len(peaks)]} == peaks
    values = [value for _, value in order[: len(peaks)]]
    assert values == sorted(values, reverse=True)
    for volume, profile in profiles.items():
        indices = [index for (of, index), _ in order if of == volume]
        ends = {0, len(profile) - 1}
        assert set(indices[-len(ends) :]) == ends
        fixed = [index for index in indices if index not in ends]
        near = [
            any(abs(index - other) < distance for other in (*fixed[:place], *ends))
            for place, index in enumerate(fixed)
            if index not in slice_peaks(profile, distance)
        ]
        assert near == sorted(near)  # those that are too near to an earlier one, or to an end, come after


def test_a_score_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="NaN at slice 1"):
        peaks_first({"a": [0.1, math.nan]}, 5)


def test_random_slices_are_the_same_for_a_seed_and_stay_when_volumes_go() -> None:
    counts = {"a": 30, "b": 5, "c": 12}
    order = random_slices(counts, seed=3)
    assert sorted(order) == sorted(slice_values({volume: [0.0] * count for volume, count in counts.items()}))
    assert random_slices(dict(reversed(counts.items())), seed=3) == order
    without_b = [item for item in order if item[0] != "b"]
    assert random_slices({"a": 30, "c": 12}, seed=3) == without_b
    assert random_slices(counts, seed=4) != order


def test_every_slice_is_equally_likely_to_be_first() -> None:
    counts = {"long": 30, "short": 10}
    firsts = [random_slices(counts, seed)[0][0] for seed in range(2000)]
    share = firsts.count("long") / len(firsts)
    assert abs(share - 0.75) < 4 * math.sqrt(0.75 * 0.25 / 2000)  # four standard errors


def test_strides_by_hand() -> None:
    order = strided_slices({"a": 11, "b": 2}, stride=5, seed=0)
    assert by_volume(order) == {"a": [2, 7], "b": [1]} or by_volume(order) == {"b": [1], "a": [2, 7]}
    assert sorted(order) == [("a", 2), ("a", 7), ("b", 1)]
    assert strided_slices({"a": 3}, stride=1, seed=0) == [("a", 0), ("a", 1), ("a", 2)]
    firsts = {strided_slices({"a": 11, "b": 2}, 5, seed)[0][0] for seed in range(20)}
    assert firsts == {"a", "b"}


def test_rounds_and_volumes_by_hand() -> None:
    order = [("a", 9), ("b", 1), ("a", 4), ("c", 0), ("b", 0)]
    rounds = list(in_rounds(order, 3))
    assert rounds == [[("a", 9), ("b", 1), ("a", 4)], [("c", 0), ("b", 0)]]
    assert list(by_volume(rounds[0]).items()) == [("a", [4, 9]), ("b", [1])]
    assert list(in_rounds([], 3)) == []
    assert len(list(in_rounds(order[:4], 2))) == 2


def test_no_slice_is_chosen_from_volumes_without_slices() -> None:
    assert random_slices({"a": 0}, 0) == strided_slices({"a": 0}, 5, 0) == []
    assert peaks_first({"a": []}, 5) == []
    assert np.array(list(slice_values({"a": ()}))).size == 0
