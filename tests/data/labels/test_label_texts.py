"""Label maps as texts, there and back, and one line for each contradiction."""

import pytest

from activelabel.data.labels.label_map import label_map_of
from activelabel.data.labels.label_texts import (
    entries_of,
    parse_labels,
    read_stored,
    setting_of,
    stored_labels,
    text_of,
)
from activelabel.errors import InvalidInputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("liver,tumour", "liver,tumour"),
        ("liver=1,tumour=2", "liver,tumour"),
        ("liver = 2 + 1 , tumour=2", "liver=1+2,tumour=2"),
        ("liver,tumour,ignore=3", "liver=1,tumour=2,ignore=3"),
        ("core=1+4,Background=0+3+2", "core=1+4,background=2+3"),
        ("whole=1+2,core=2,regions_class_order=1+2", "whole=1+2,core=2,regions_class_order=1+2"),
        ("a=1,b=2,regions_class_order=1+2", "a,b"),
        ("grade=3=1", "grade=3=1"),
    ],
)
def test_a_text_comes_back(text: str, expected: str) -> None:
    labels = parse_labels(text.split(","), "test")
    assert text_of(labels) == expected
    assert parse_labels(entries_of(labels), "test") == labels
    assert read_stored(stored_labels(labels)) == labels


def test_plain_names_are_stored_as_they_always_were() -> None:
    assert stored_labels(("liver", "grade=3")) == ["liver", "grade=3"]
    assert read_stored(["liver", "grade=3"]) == label_map_of(("liver", "grade=3")), "no values of a name of before"
    assert stored_labels(parse_labels(["liver=1+2"], "test")) == ["", "liver=1+2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("liver=1,2", "'2' has no values and others have: give all structures values, like 2=3"),
        ("liver=one", "'liver=one' is no name with values; write it like liver=1"),
        ("liver=" + "1" * 5000, "'liver=1{74}' is no name with values"),
        ("liver=0", "'liver' has value 0, expected 1 to 65535; 0 is always background"),
        ("liver=70000", "'liver' has value 70000, expected 1 to 65535"),
        ("a=1+2,b=2+1", r"'a' and 'b' have the same values 1\+2: they are one structure"),
        ("a=1,a=2", "the label 'a' is named twice"),
        ("a=1,ignore=1", "value 1 is ignore and something else"),
        ("a=1,background=1", "value 1 is background and something else"),
        ("a=1,ignore=2,background=2", "value 2 is ignore and something else"),
        ("a,ignore", "'ignore' is no structure; it needs values, like ignore=3"),
        ("a=1,background", "'background' has no values and others have"),
        ("ignore=3", "expected at least one name"),
        (
            "a=1+2,b=2,regions_class_order=1",
            "regions_class_order has 1 values, expected 2, one for each structure: a, b",
        ),
        ("a=1+2,b=2,regions_class_order=1+1", r"regions_class_order paints 'b' with value 1, which is none of its"),
    ],
)
def test_a_contradiction_is_one_line(text: str, expected: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^--conf labels.*{expected}") as error:
        parse_labels(text.split(","), "--conf labels")
    assert "\n" not in str(error.value)


def test_a_name_with_a_comma_is_no_setting() -> None:
    """A `dataset.json` may name one; a simulation would hand it to its runs as two labels, the second always empty."""
    assert setting_of(("kidney left", "spleen")) == "kidney left,spleen"
    with pytest.raises(InvalidInputError, match=r"label 'kidney, left': settings list labels by commas"):
        setting_of(("kidney, left", "spleen"))
