"""What values mean, by hand: brain tumours as BraTS labels them, a liver with its tumours, and sets drawn at random."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activelabel.data.labels.label_map import LabelMap, label_map_of
from activelabel.data.labels.label_texts import parse_labels

BRATS = parse_labels(["whole=1+2+3+4", "core=1+4", "enhancing=4"], "test")
LITS = parse_labels(["liver=1+2", "tumour=2", "ignore=3"], "test")


def test_names_alone_are_values_from_1_on() -> None:
    plain = label_map_of(("liver", "spleen"))
    assert plain == ("liver", "spleen")
    assert plain.is_plain
    assert not plain.overlaps
    assert (len(plain), plain.index("spleen"), plain.channels, plain.highest) == (2, 1, 3, 2)
    assert plain.shown_names == {"liver": 1, "spleen": 2}
    values = np.array([0, 1, 2])
    assert plain.part_numbers(values).tolist() == plain.value_of_class(values).tolist() == [0, 1, 2]


def test_a_map_with_other_values_equals_no_names() -> None:
    other = parse_labels(["liver=2", "spleen=1"], "test")
    assert other != ("liver", "spleen")
    assert other != label_map_of(("liver", "spleen"))
    assert pickle.loads(pickle.dumps(other)) == other  # its own bytes
    assert {other: 1}[parse_labels(["liver=2", "spleen=1"], "test")] == 1


def test_structures_that_exclude_each_other_keep_the_values_of_their_files() -> None:
    labels = parse_labels(["organ=5+7", "tumour=2"], "test")
    assert not labels.overlaps
    assert labels.channels == 3
    assert labels.part_numbers(np.array([0, 2, 5, 7])).tolist() == [0, 2, 1, 1]
    assert labels.value_of_class(np.array([0, 1, 2])).tolist() == [0, 5, 2]
    assert labels.drawn_names == {"tumour": 2, "organ": 5, "organ (7)": 7}
    assert labels.predicted_names == {"tumour": 2, "organ": 5}
    assert list(labels.shown_names) == ["unused 1", "tumour", "unused 3", "unused 4", "organ", "unused 6", "organ (7)"]
    assert labels.offered_names == ("organ", "tumour")


def test_regions_of_brats_have_a_channel_each() -> None:
    assert BRATS.overlaps
    assert BRATS.channels == 3
    assert BRATS.painting == ((0, 2), (1, 1), (2, 4))
    assert BRATS.shown_names == {"core": 1, "whole": 2, "whole (3)": 3, "enhancing": 4}
    values = np.array([0, 1, 2, 3, 4])
    assert [mask.tolist() for _, mask in BRATS.structures(values)] == [
        [False, True, True, True, True],
        [False, True, False, False, True],
        [False, False, False, False, True],
    ]
    assert BRATS.part_numbers(values).tolist() == [0, 2, 1, 1, 3]
    assert BRATS.membership.astype(int).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_regions_are_painted_over_each_other_in_their_order() -> None:
    whole, core, enhancing = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 0, 1], [0, 0, 1, 0, 0]], dtype=bool)
    assert BRATS.paint([whole, core, enhancing]).tolist() == [2, 1, 4, 0, 1]  # the last: a core without its whole


def test_the_order_of_nnunet_says_the_values() -> None:
    texts = ["whole=1+2+3", "core=2+3", "enhancing=3", "regions_class_order=1+2+3"]
    labels = parse_labels(texts, "test")
    masks = [np.array(row, dtype=bool) for row in ([1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0])]
    assert labels.paint(masks).tolist() == [1, 2, 3, 0]


def test_a_value_of_two_structures_that_cross_is_painted_where_both_are() -> None:
    labels = parse_labels(["left=1+2", "right=2+3"], "test")
    masks = [np.array(row, dtype=bool) for row in ([1, 1, 0, 0], [0, 1, 1, 0])]
    assert labels.paint(masks).tolist() == [1, 2, 3, 0]
    assert labels.drawn_names == {"left": 1, "left and right (2)": 2, "right": 3}


def test_a_structure_whose_values_are_all_other_structures_too_is_not_drawn() -> None:
    labels = parse_labels(["necrosis=1", "edema=2", "other=3", "enhancing=4", "core=1+4"], "test")
    assert labels.channels == 5
    assert labels.drawn_names == {"necrosis": 1, "edema": 2, "other": 3, "enhancing": 4}
    assert labels.offered_names == ("necrosis", "edema", "other", "enhancing")
    assert [name for name, mask in labels.structures(np.array([4])) if mask.any()] == ["enhancing", "core"]


def test_ignored_voxels_belong_to_nothing_and_are_not_judged() -> None:
    values = np.array([0, 1, 2, 3])
    assert LITS.judged(values).tolist() == [True, True, True, False]
    assert LITS.part_numbers(values).tolist() == [0, 1, 2, LITS.ignored_part]
    assert all(not mask[3] for _, mask in LITS.structures(values))
    assert LITS.shown_names == {"liver": 1, "tumour": 2, "ignore": 3}
    assert LITS.shown_predicted_names == {"liver": 1, "tumour": 2}
    assert LITS.offered_names == ("liver", "tumour", "ignore")


def test_other_values_may_be_background() -> None:
    labels = parse_labels(["core=1+4", "background=2+3"], "test")
    assert labels.known.tolist() == [True] * 5
    assert labels.part_numbers(np.array([0, 1, 2, 3, 4])).tolist() == [0, 1, 0, 0, 1]
    assert labels.shown_names == {"core": 1, "background (2)": 2, "background (3)": 3, "core (4)": 4}


def test_values_far_apart_have_no_names_between_them() -> None:
    labels = parse_labels(["liver=1", "ignore=255"], "test")
    assert labels.shown_names == {"liver": 1, "ignore": 255}
    assert labels.shown_predicted_names == {"liver": 1}


def test_a_map_may_grow_at_its_end_only() -> None:
    before = label_map_of(("liver", "spleen"))
    assert parse_labels(["liver=1", "spleen=2", "bone=7"], "test").begins_with(before)
    assert not parse_labels(["liver=1+3", "spleen=2"], "test").begins_with(before)
    assert not parse_labels(["liver", "spleen", "ignore=3"], "test").begins_with(before)


VALUES = st.lists(st.integers(1, 6), min_size=1, max_size=6, unique=True).map(lambda values: tuple(sorted(values)))


@given(st.lists(VALUES, min_size=1, max_size=5, unique=True))
def test_what_a_value_means_comes_back_painted_as_a_value_that_means_the_same(
    structures: list[tuple[int, ...]],
) -> None:
    labels = LabelMap(tuple(f"s{index}" for index in range(len(structures))), tuple(structures))
    values = np.array(sorted(labels.owners))
    painted = labels.paint([mask for _, mask in labels.structures(values)])
    assert [labels.owners[value] for value in painted.tolist()] == [labels.owners[value] for value in values.tolist()]
    members = labels.membership[labels.part_numbers(values)]
    assert members.T.tolist() == [mask.tolist() for _, mask in labels.structures(values)]
    if not labels.overlaps:
        assert labels.value_of_class(labels.part_numbers(values)).tolist() == painted.tolist()


@pytest.mark.parametrize("labels", [BRATS, LITS])
def test_the_nth_shown_name_has_value_n(labels: LabelMap) -> None:
    assert list(labels.shown_names.values()) == list(range(1, labels.highest + 1))


def test_background_and_ignored_values_are_not_drawn() -> None:
    labels = parse_labels(["liver=1+2", "tumour=2", "background=4", "ignore=5"], "test")
    values = np.array([0, 1, 2, 4, 5, 9])
    assert labels.undrawn == (0, 4, 5)
    assert labels.drawn(values).tolist() == [False, True, True, False, False, True]
    assert label_map_of(["liver"]).drawn(values).tolist() == [False, True, True, True, True, True]
