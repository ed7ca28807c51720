import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from activelabel.acquisition.power_noise import gumbel_noise, power_order, scheduled_beta, uniform_noise
from activelabel.acquisition.selection import top_k

SCORES = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 0.5}
positive = st.dictionaries(st.text(max_size=3), st.floats(1e-3, 1e6), max_size=12)


def test_the_order_is_that_of_log_score_and_noise_worked_out_here() -> None:
    def noised(image_id: str, beta: float) -> float:
        digest = hashlib.sha256(f"3:1:entropy:'{image_id}'".encode()).digest()
        uniform = (int.from_bytes(digest[:8], "big") // 4096 + 0.5) / 2.0**52
        return math.log(SCORES[image_id]) - math.log(-math.log(uniform)) / beta

    for beta in (0.5, 1.0, 3.0):
        expected = sorted(SCORES, key=lambda image_id: -noised(image_id, beta))
        assert power_order(SCORES, beta, "3:1:entropy") == expected


@given(positive)
def test_a_large_beta_is_no_noise(scores: dict[str, float]) -> None:
    distinct = {id: float(round(math.log(score), 2)) for id, score in scores.items()}  # 1 % apart, or equal
    scores = {id: math.exp(value) for id, value in distinct.items() if list(distinct.values()).count(value) == 1}
    assert power_order(scores, 1e6, "key") == top_k(scores, len(scores))


def test_the_first_is_drawn_in_proportion_to_its_score_and_the_second_among_the_others() -> None:
    """Of 7.5: a 2, b 4, c 8, d 1 of 15; after c, a 2, b 4 and d 1 of 7."""
    orders = [power_order(SCORES, 1.0, f"{seed}:1") for seed in range(6000)]
    first = [sum(order[0] == image_id for order in orders) for image_id in "abcd"]
    assert chisquare(first, np.array([2, 4, 8, 1]) / 15 * 6000).pvalue > 1e-3
    after_c = [sum(order[:2] == ["c", image_id] for order in orders) for image_id in "abd"]
    assert chisquare(after_c, np.array([2, 4, 1]) / 7 * sum(after_c)).pvalue > 1e-3


def test_beta_is_the_power() -> None:
    """With beta 2 of a and c, c is drawn 16 times as often."""
    first = [power_order({"a": 1.0, "c": 4.0}, 2.0, str(seed))[0] for seed in range(4000)]
    assert chisquare([first.count("a"), first.count("c")], [4000 / 17, 4000 * 16 / 17]).pvalue > 1e-3


@given(positive, st.sets(st.text(max_size=3)), st.floats(0.1, 100))
def test_removing_ids_leaves_the_order_of_the_others(scores: dict[str, float], gone: set[str], beta: float) -> None:
    left = {id: score for id, score in reversed(scores.items()) if id not in gone}
    assert power_order(left, beta, "key") == [id for id in power_order(scores, beta, "key") if id not in gone]


def test_ids_without_a_score_come_last_in_a_random_order() -> None:
    scores = {"a": 0.0, "b": 1e-9, "c": 0.0, "d": -1e-12}
    orders = [power_order(scores, 1.0, str(seed)) for seed in range(600)]
    assert {order[0] for order in orders} == {"b"}
    times_last = [sum(order[-1] == image_id for order in orders) for image_id in "acd"]
    assert chisquare(times_last).pvalue > 1e-3


def test_noise_is_gumbel_and_differs_for_each_key_and_id() -> None:
    noise = [gumbel_noise((f"volume {number % 7}", number), "0:1") for number in range(3000)]
    assert kstest(noise, "gumbel_r").pvalue > 1e-3
    assert len({uniform_noise(id, key) for id in ("a", ("a", 1), 1) for key in ("0:1", "0:2", "1:1")}) == 9
    assert uniform_noise("a", "0:1") == uniform_noise("a", "0:1")


def test_beta_rises_from_1_to_100_over_five_rounds() -> None:
    assert [scheduled_beta(number) for number in range(1, 8)] == pytest.approx([1, 10**0.5, 10, 10**1.5, 100, 100, 100])
    with pytest.raises(ValueError, match="counted from 1, got 0"):
        scheduled_beta(0)


def test_an_id_whose_score_cannot_be_ranked_is_named() -> None:
    with pytest.raises(ValueError, match="the score of 'b' is NaN"):
        power_order({"a": 1.0, "b": math.nan}, 1.0, "key")
    with pytest.raises(ValueError, match="beta must be above 0, got 0"):
        power_order(SCORES, 0.0, "key")
