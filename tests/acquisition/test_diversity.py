import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from activelabel.acquisition.diversity import coreset, typiclust

Points = dict[str, list[float]]

LINE: Points = {"a": [0.0], "b": [1.0], "c": [4.0], "d": [10.0]}

GROUPS: Points = {
    # Around (0, 0), four; m is the one in the middle.
    "k": [-1.0, 0.0],
    "l": [1.0, 0.0],
    "m": [0.0, 0.0],
    "n": [0.0, 1.2],
    # Around (100, 0), three: v has the smallest mean distance to the others.
    "u": [100.0, 0.0],
    "v": [101.0, 0.0],
    "w": [103.0, 0.0],
    # Far away, alone.
    "a": [0.0, 500.0],
}


def test_coreset_takes_the_farthest_from_what_is_chosen() -> None:
    """From a = 0: d at 10; then c, 4 away from a, b only 1; then b."""
    assert coreset(LINE, 3, chosen=["a"]) == ["d", "c", "b"]
    assert coreset(LINE, 1, chosen=["a", "d"]) == ["c"]


def test_without_any_chosen_coreset_begins_nearest_to_the_mean() -> None:
    """The mean is 3.75: c. Then d, 6 away; then a, 4 away."""
    assert coreset(LINE, 3) == ["c", "d", "a"]


def test_coreset_settles_ties_by_id_and_takes_equal_images_too() -> None:
    assert coreset({"b": [1.0], "a": [1.0], "c": [1.0]}, 2) == ["a", "b"]
    assert coreset({"m": [0.0], "r": [2.0], "l": [-2.0]}, 1, chosen=["m"]) == ["l"]


def test_typiclust_takes_the_most_typical_of_each_cluster_the_largest_first() -> None:
    assert typiclust(GROUPS, 3, seed=0) == ["m", "v", "a"]
    # One cluster: mean distances 5, 13/3, 13/3 and 25/3, and b comes before c.
    assert typiclust(LINE, 1, seed=0) == ["b"]


def test_typiclust_goes_round_again_if_there_are_fewer_clusters_than_asked_for() -> None:
    """Two distinct vectors, two clusters: one of each, then the next of the larger and of the smaller."""
    features = {"a": [0.0], "b": [0.0], "c": [0.0], "x": [9.0], "y": [9.0]}

    assert typiclust(features, 4, seed=0) == ["a", "x", "b", "y"]


def test_typiclust_measures_typicality_by_the_twenty_nearest_not_by_all() -> None:
    """Of one cluster of 41 on a line, 21 are dense and 20 spread: the choice is the middle of the dense ones."""
    features = {f"{index:02d}": [index * 0.01] for index in range(21)}
    features |= {f"{21 + index:02d}": [1.0 + index * 0.3] for index in range(20)}

    assert typiclust(features, 1, seed=0) == ["10"]


small = st.dictionaries(
    st.integers(0, 30).map(str), arrays(np.float64, 2, elements=st.floats(-9, 9)), min_size=1, max_size=12
)


@given(small, st.integers(0, 15))
def test_diverse_choices_are_min_k_n_distinct_ids_whatever_the_order(features: dict[str, np.ndarray], k: int) -> None:
    backwards = dict(reversed(features.items()))
    for found, again in (
        (typiclust(features, k, seed=1), typiclust(backwards, k, seed=1)),
        (coreset(features, k), coreset(backwards, k)),
    ):
        assert len(found) == len(set(found)) == min(k, len(features))
        assert set(found) <= set(features)
        assert found == again


@given(small, st.integers(1, 5))
def test_coreset_is_greedy(features: dict[str, np.ndarray], k: int) -> None:
    """Each choice is at least as far from the earlier choices as every remaining image, compared one by one."""
    chosen = [min(features)]
    for next_id in coreset(features, k, chosen):
        distance = {
            id: min(float(np.linalg.norm(features[id] - features[centre])) for centre in chosen)
            for id in features
            if id not in chosen
        }
        assert distance[next_id] == pytest.approx(max(distance.values()), abs=1e-9)
        chosen.append(next_id)


def test_choosing_zero_images_or_choosing_from_none_gives_an_empty_list() -> None:
    assert typiclust({}, 3, seed=0) == coreset({}, 3) == typiclust(LINE, 0, seed=0) == coreset(LINE, 0) == []
    assert coreset(LINE, 2, chosen=list(LINE)) == []


@pytest.mark.parametrize(
    "choose", [lambda features: typiclust(features, 1, seed=0), lambda features: coreset(features, 1)]
)
def test_vectors_that_cannot_be_compared_name_their_image(choose: object) -> None:
    assert callable(choose)
    with pytest.raises(ValueError, match="'b' have shape"):
        choose({"a": [1.0], "b": [1.0, 2.0]})
    with pytest.raises(ValueError, match="'b' hold a NaN"):
        choose({"a": [1.0], "b": [float("nan")]})


def test_a_chosen_image_without_features_and_a_negative_number_are_refused() -> None:
    with pytest.raises(ValueError, match="'z' has no features"):
        coreset(LINE, 1, chosen=["z"])
    with pytest.raises(ValueError, match="k must be 0 or more, got -1"):
        coreset(LINE, -1)
    with pytest.raises(ValueError, match="k must be 0 or more, got -1"):
        typiclust(LINE, -1, seed=0)


def test_typiclust_asks_first_for_the_clusters_in_which_nothing_is_chosen() -> None:
    """One query beside two chosen makes three clusters: those of m and v each hold a chosen image, that of a none."""
    assert typiclust(GROUPS, 1, seed=0, chosen=["k", "u"]) == ["a"]
    # Two for one beside n: the four and the three; a is nearer to the four's, or the other way round.
    assert typiclust({id: GROUPS[id] for id in "klmnuvw"}, 1, seed=0, chosen=["n"]) == ["v"]


def test_typiclust_asks_next_for_the_cluster_in_which_fewest_are_chosen() -> None:
    """Three clusters, k, l and m around 0, u to w around 100, and a: two of the first are chosen, one of each other."""
    places = {id: GROUPS[id] for id in "klmuvwa"}
    assert typiclust(places, 2, seed=0, chosen=["k", "l", "u", "a"])[0] in {"v", "w"}


def test_typiclust_counts_its_own_earlier_choices_as_chosen() -> None:
    """Two clusters of equal vectors: a, then b and y, as both clusters then hold one, and x is chosen."""
    features = {"a": [0.0], "b": [0.0], "x": [9.0], "y": [9.0], "z": [9.0]}
    assert typiclust(features, 4, seed=0, chosen=["x"]) == ["a", "b", "y", "z"]


def test_typiclust_never_proposes_a_chosen_image_and_refuses_one_without_features() -> None:
    assert typiclust(LINE, 9, seed=0, chosen=["b", "d"]) in (["a", "c"], ["c", "a"])
    with pytest.raises(ValueError, match="chosen: 'z' has no features"):
        typiclust(LINE, 1, seed=0, chosen=["z"])


def test_coreset_compares_many_centres_in_blocks_as_one_by_one() -> None:
    """150 of 200 points on a line, ever nearer to each other, are chosen: more centres than one block compares."""
    features = {f"{number:03d}": [number**0.5] for number in range(200)}
    chosen = [id for id in features if int(id) % 4]
    (farthest,) = coreset(features, 1, chosen)
    gaps = {
        id: min(abs(features[id][0] - features[other][0]) for other in chosen) for id in set(features) - set(chosen)
    }
    assert gaps[farthest] == max(gaps.values())


def test_typiclust_finds_more_than_fifty_clusters() -> None:
    """Sixty distant groups of three, each with a typical middle; clustering in batches need not find every group."""
    features = {f"{group:02d}{side}": [100.0 * group + side] for group in range(60) for side in (0, 1, 2)}
    found = typiclust(features, 60, seed=0)
    assert len(set(found)) == 60
    assert len({id[:2] for id in found}) > 45
    assert typiclust(features, 60, seed=0) == found
