"""`dataset.json` as nnU-Net and the Decathlon write it, with every key that they define."""

import json
from pathlib import Path

import pytest

from activelabel.data.dataset_json import read_dataset
from activelabel.errors import InvalidInputError


def put(folder: Path, content: object) -> Path:
    path = folder / "dataset.json"
    path.write_text(json.dumps(content))
    return path


def test_every_key_of_nnunet_is_read(tmp_path: Path) -> None:
    content = {
        "channel_names": {"0": "T1", "10": "FLAIR", "2": "T2"},
        "labels": {"background": 0, "whole tumour": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4},
        "regions_class_order": [1, 2, 3],
        "numTraining": 10,
        "file_ending": ".nii.gz",
    }
    dataset = read_dataset(put(tmp_path, content))
    assert dataset.labels["core"] == (2, 3)
    assert dataset.labels["enhancing"] == (3,)
    assert dataset.regions == {"whole tumour": (1, 2, 3), "core": (2, 3)}
    assert dataset.regions_class_order == (1, 2, 3)
    assert dataset.channels == ("T1", "T2", "FLAIR"), "by number, not by text"
    assert dataset.file_ending == ".nii.gz"


def test_every_key_of_the_decathlon_is_read(tmp_path: Path) -> None:
    content = {"modality": {"0": "CT"}, "labels": {"2": "tumour", "0": "background", "1": "liver"}, "training": []}
    dataset = read_dataset(put(tmp_path, content))
    assert dataset.labels == {"background": (0,), "liver": (1,), "tumour": (2,)}
    assert (dataset.channels, dataset.regions, dataset.file_ending) == (("CT",), {}, "")
    assert read_dataset(put(tmp_path, {"modality": "MR", "labels": {"0": "background"}})).channels == ("MR",)


@pytest.mark.parametrize(
    "labels", ['{"background": 0, "liver": 1, "liver": 2}', '{"0": "background", "1": "liver", "1": "spleen"}']
)
def test_a_label_that_is_there_twice_is_refused(tmp_path: Path, labels: str) -> None:
    """Readers of JSON take the last in silence, and what the other says is lost."""
    (tmp_path / "dataset.json").write_text(f'{{"labels": {labels}}}')
    with pytest.raises(InvalidInputError, match=r"'(liver|1)' is there twice"):
        read_dataset(tmp_path / "dataset.json")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([], 'expected "labels" like .* got TypeError'),
        ({"labels": {"a": []}}, r"the value of 'a' is \[\], no whole number"),
        ({"labels": {"a": [1, "x"]}}, "no whole number"),
        ({"labels": {"a": True}}, "no whole number"),
        ({"labels": {"a": [1, 2], "b": [1, 2]}}, "two names have one value"),
        ({"labels": {"0": "a", "1": "a"}}, "the label 'a' is named twice"),
        ({"labels": {"1": {"name": "liver"}}}, "a name of a label is {'name': 'liver'}, no text"),
        ({"labels": {"a": "1" * 5000}}, "the value of 'a' is '1{79}, no whole number"),
        ({"labels": {"a": 1}, "regions_class_order": ["1" * 5000]}, "expected .regions_class_order. like"),
        ({"labels": {"a": 1}, "regions_class_order": "12"}, "expected .regions_class_order. like"),
        ({"labels": {"a": 1}, "file_ending": 3}, "expected .regions_class_order. like"),
        ({"labels": {"a": 1}, "channel_names": ["CT"]}, "expected .channel_names. like"),
        ({"labels": {"a": 1}, "channel_names": {"first": "CT"}}, "expected .channel_names. like"),
    ],
)
def test_a_dataset_json_of_another_form_is_refused_in_one_line(tmp_path: Path, content: object, expected: str) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        read_dataset(put(tmp_path, content))
