import numpy as np
import pytest

from activelabel.errors import InvalidInputError
from activelabel.store.checks import checked_name, checked_names, checked_slices, checked_word


def test_the_longest_names_are_kept_as_they_are():
    assert checked_name("é" * 255, "annotator") == "é" * 255
    assert checked_word("x" * 64, "tag") == "x" * 64


@pytest.mark.parametrize("name", ["", "x" * 256, "a\0b"])
def test_a_name_that_no_column_holds_is_refused(name):
    with pytest.raises(InvalidInputError, match=r"annotator .*expected 1 to 255 characters"):
        checked_name(name, "annotator")


@pytest.mark.parametrize("bad", ["", "x" * 256, "a\0b", b"caf\xe9".decode(errors="surrogateescape")])
def test_of_many_names_a_bad_one_is_refused_as_it_is_alone(bad):
    with pytest.raises(InvalidInputError) as alone:
        checked_name(bad, "image")
    with pytest.raises(InvalidInputError) as among:
        checked_names(["a", bad, "b"], "image")
    assert str(among.value) == str(alone.value)
    good = ["a", "é" * 255, "x" * 255]
    assert checked_names(good, "image") == good


def test_a_file_name_in_another_encoding_is_refused():
    with pytest.raises(InvalidInputError, match="expected UTF-8"):
        checked_name(b"caf\xe9".decode(errors="surrogateescape"), "image")


def test_a_long_word_is_refused():
    with pytest.raises(InvalidInputError, match=r"tag .*expected 1 to 64 characters, got 65"):
        checked_word("x" * 65, "tag")


def test_slices_are_sorted_and_any_whole_number_will_do():
    assert checked_slices(iter([7, np.int64(2), 0])) == (0, 2, 7)
    assert checked_slices(None) is None


@pytest.mark.parametrize("slices", [[], [1, 1], [-1], [1.0], ["1"], [True], [None]])
def test_impossible_slices_are_refused(slices):
    with pytest.raises(InvalidInputError, match="slices: expected"):
        checked_slices(slices)
