"""Races worked out by hand; their winners are those of the full ranking if scores settle in time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activelabel.acquisition.selection import top_k
from activelabel.prediction.racing import RacedScore, plan_rounds, planned_passes, race


def test_each_round_halves_and_doubles_until_the_finalists_get_the_rest() -> None:
    calls: list[tuple[int, int, int]] = []

    def score(id: int, first: int, last: int) -> float:
        calls.append((id, first, last))
        return float(id) + 100 * last

    result = race(range(40), score, k=3, repeats=20)
    # 2·3 = 6 finalists: 40 get 2 repeats, 20 get 4, 10 get 8, 6 get 20.
    rounds = [(0, 2)] * 40 + [(2, 4)] * 20 + [(4, 8)] * 10 + [(8, 20)] * 6
    assert [(first, last) for _, first, last in calls] == rounds
    assert {id for id, _, last in calls if last == 4} == set(range(20, 40))
    assert result[39] == RacedScore(2039.0, 20)
    assert result[30] == RacedScore(830.0, 8)
    assert result[0] == RacedScore(200.0, 2)


@pytest.mark.parametrize("repeats", [1, 2])
def test_too_few_repeats_to_race_are_given_to_all(repeats: int) -> None:
    result = race("abcdefgh", lambda id, first, last: float(ord(id)), k=1, repeats=repeats)
    assert {score.repeats for score in result.values()} == {repeats}


def test_no_more_volumes_than_places_means_all_repeats_for_each() -> None:
    assert {score.repeats for score in race("abc", lambda *_: 1.0, k=5, repeats=7).values()} == {7}
    assert race([], lambda *_: 1.0, k=5, repeats=7) == {}


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 10), st.integers(1, 40))
def test_scores_that_do_not_change_give_the_full_ranking(values: list[int], k: int, repeats: int) -> None:
    scores = {id: float(value) for id, value in enumerate(values)}
    asked = dict.fromkeys(scores, 0)

    def score(id: int, first: int, last: int) -> float:
        assert asked[id] == first < last <= repeats
        asked[id] = last
        return scores[id]

    result = race(list(scores), score, k, repeats)
    finished = {id: raced.value for id, raced in result.items() if raced.repeats == repeats}
    assert top_k(finished, k) == top_k(scores, k)
    assert sum(asked.values()) <= repeats * len(values)
    assert {id: raced.repeats for id, raced in result.items()} == asked


def test_racing_spares_most_passes() -> None:
    passes = sum(raced.repeats for raced in race(range(200), lambda id, *_: float(id), k=20, repeats=20).values())
    # 200·2 + 100·2 + 50·4 + 40·12
    assert passes == planned_passes(200, k=20, repeats=20) == 1280


def test_rounds_are_planned_until_all_repeats_are_there() -> None:
    assert plan_rounds(200, k=20, repeats=20) == [(200, 2), (100, 4), (50, 8), (40, 20)]
    assert plan_rounds(40, k=20, repeats=20) == [(40, 20)]
    assert plan_rounds(1000, k=1, repeats=8) == [(1000, 2), (500, 4), (250, 8)]


def test_a_volume_that_cannot_be_scored_leaves_the_race_and_the_others_go_on() -> None:
    result = race(range(12), lambda id, first, last: None if id == 11 or (id == 10 and last > 2) else float(id), 2, 8)
    # 12 get 2 repeats, 6 of those with a score 4, 4 all: 11 never has a score, 10 none after 2.
    assert {id: score.repeats for id, score in result.items()} == dict.fromkeys((*range(5), 10), 2) | {
        5: 4, 6: 8, 7: 8, 8: 8, 9: 8
    }  # fmt: skip


def test_nan_scores_and_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="'case7' is NaN"):
        race(["a", "case7"], lambda id, *_: math.nan if id == "case7" else 0.0, k=1, repeats=2)
    with pytest.raises(ValueError, match="must be 1 or more, got 0 and 5"):
        race(["a"], lambda *_: 0.0, k=0, repeats=5)
