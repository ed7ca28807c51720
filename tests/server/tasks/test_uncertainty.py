"""Bands of uncertainty, by hand."""

import pytest
import torch

from activelabel.errors import InvalidInputError
from activelabel.server.tasks.mask_files import MaskFormat, wanted_format
from activelabel.server.tasks.uncertainty import bands, chosen_measure


def test_bands_are_quarters_of_the_largest_value_and_named_with_their_range() -> None:
    mask, names = bands(torch.tensor([[[0.0, 0.09, 0.1, 0.19, 0.2, 0.3, 0.4]]]), "mutual_information")
    assert mask.flatten().tolist() == [0, 0, 1, 1, 2, 3, 3]
    assert names == {
        "mutual information 0.1 to 0.2": 1,
        "mutual information 0.2 to 0.3": 2,
        "mutual information 0.3 to 0.4": 3,
    }


def test_a_certain_model_has_no_bands() -> None:
    mask, names = bands(torch.zeros(2, 2, 2), "variance")
    assert not mask.any()
    assert names == {}


@pytest.mark.parametrize(
    ("asked", "chosen"), [(None, "variance"), ("margin", "margin"), (["entropy", "margin"], "entropy")]
)
def test_the_form_of_a_client_gives_a_name_or_the_list(asked: object, chosen: str) -> None:
    assert chosen_measure(asked) == chosen


@pytest.mark.parametrize("asked", ["doubt", 3, ["doubt"], {"measure": "margin"}])
def test_an_unknown_measure_lists_the_known_ones(asked: object) -> None:
    with pytest.raises(InvalidInputError, match="use one of variance, entropy"):
        chosen_measure(asked)


def test_formats_of_the_clients() -> None:
    assert wanted_format({}) == MaskFormat(".nii.gz", "uint8", True)
    ohif = {"result_extension": ".nrrd", "result_dtype": "uint16", "result_compress": False}
    assert wanted_format(ohif) == MaskFormat(".nrrd", "uint16", False)


@pytest.mark.parametrize("key", ["result_extension", "result_dtype"])
def test_other_formats_are_refused(key: str) -> None:
    for value in ("../x", ".json", 5):
        with pytest.raises(InvalidInputError, match=key):
            wanted_format({key: value})


def test_a_single_pass_shows_entropy_and_says_why_it_has_no_variance() -> None:
    assert chosen_measure(None, repeats=0) == "entropy"
    with pytest.raises(InvalidInputError, match=r"measure 'variance': use one of entropy.*prediction\.repeats is 0"):
        chosen_measure("variance", repeats=0)
