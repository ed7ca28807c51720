from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from activelabel.acquisition.foreground_share import foreground_aware

VOXELS = {"a": 0.0, "b": 10.0, "c": 30.0, "d": 0.0}


def test_two_of_three_places_are_for_foreground_in_proportion_to_it() -> None:
    """The first: with 0.66 b or c, as 1 to 3; else any of the four."""
    first = [next(foreground_aware(VOXELS, f"{seed}:1")) for seed in range(4000)]
    drawn = [sum(item == (image_id, True) for item in first) for image_id in "bc"]
    assert binomtest(sum(drawn), 4000, 0.66).pvalue > 1e-3
    assert chisquare(drawn, [sum(drawn) / 4, sum(drawn) * 3 / 4]).pvalue > 1e-3
    others = [sum(item == (image_id, False) for item in first) for image_id in "abcd"]
    assert chisquare(others).pvalue > 1e-3


def test_draws_for_foreground_and_draws_from_all_are_independent() -> None:
    """If the first id was drawn for foreground and the second from all, each other id is second equally often."""
    orders = [list(foreground_aware(dict.fromkeys("abc", 1.0) | {"d": 0.0}, f"{seed}")) for seed in range(4000)]
    second = [order[1][0] for order in orders if order[0] == ("a", True) and not order[1][1]]
    assert chisquare([second.count(id) for id in "bcd"]).pvalue > 1e-3


def test_without_foreground_every_place_is_drawn_from_all_ids() -> None:
    assert {source for _, source in foreground_aware(dict.fromkeys("abcdefgh", 0.0), "0:1")} == {False}


@given(st.dictionaries(st.text(max_size=3), st.sampled_from([0.0, 1.0, 5.0]), max_size=12), st.text(max_size=3))
def test_every_id_is_there_once_and_the_order_is_that_of_the_key(voxels: dict[str, float], key: str) -> None:
    order = list(foreground_aware(voxels, key))
    assert sorted(id for id, _ in order) == sorted(voxels)
    assert order == list(foreground_aware(dict(reversed(voxels.items())), key))
    assert all(voxels[id] > 0 for id, for_foreground in order if for_foreground)
