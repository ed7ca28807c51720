"""Splits as other programs and people write them."""

import json
from pathlib import Path

import pytest

from activelabel.data.given_splits import read_split
from activelabel.errors import InvalidInputError


def put(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_fold_of_nnunet_names_cases_without_their_channel(tmp_path: Path) -> None:
    folds = [{"train": ["a", "b"], "val": ["c"]}, {"train": ["a", "c"], "val": ["b"]}]
    file = put(tmp_path, "splits_final.json", folds)
    first, second = read_split(file), read_split(file, 1)
    assert [first.role_of(name) for name in ("a_0000", "b", "imagesTr~c_0000", "d", "a_0001")] == [
        "training", "training", "validation", None, None,
    ]  # fmt: skip
    assert second.of("validation", ["a", "b_0000", "c"]) == {"b_0000"}
    assert first.without_test(["a", "c", "d"]) == ["a", "c", "d"]
    with pytest.raises(InvalidInputError, match="fold 2 is asked for, expected 0 to 1"):
        read_split(file, 2)


def test_the_decathlon_gives_paths(tmp_path: Path) -> None:
    content = {
        "name": "Liver",
        "labels": {"0": "background", "1": "liver"},
        "numTraining": 2,
        "training": [
            {"image": "./imagesTr/liver_1.nii.gz", "label": "./labelsTr/liver_1.nii.gz"},
            {"image": "./imagesTr/liver_2.nii.gz", "label": "./labelsTr/liver_2.nii.gz"},
        ],
        "validation": [{"image": "./imagesTr/liver_3.nii.gz"}],
        "test": ["./imagesTs/liver_9.nii.gz"],
    }
    split = read_split(put(tmp_path, "dataset.json", content))
    assert dict(split.roles) == {
        "liver_1": "training", "liver_2": "training", "liver_3": "validation", "liver_9": "test",
    }  # fmt: skip


def test_a_text_file_has_a_case_and_its_role_a_line(tmp_path: Path) -> None:
    text = '\ufeff# ours\na, train\n"b c"\tval  # late\nimages/d.nii.gz;TEST\n\ne validation\n'
    assert dict(read_split(put(tmp_path, "split.csv", text)).roles) == {
        "a": "training", "b c": "validation", "d": "test", "e": "validation",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("s.txt", "a training\nb\n", r"line 2: expected a case and its role .* got 'b'"),
        ("s.txt", "a training\nb learning\n", "line 2: expected a case and its role"),
        ("s.txt", "a training\na val\n", "'a' is for training and for validation"),
        ("s.txt", "\n", "it names no case"),
        ("s.json", [{"train": ["a"]}], "expected .* got KeyError: 'val'"),
        ("s.json", [{"train": [1], "val": []}], "a case is 1, no text"),
        ("s.json", {"labels": {}}, "it names no case"),
        ("s.json", [[1]], "got TypeError"),
        ("s.json", "{", "cannot be read"),
        ("s.json", 7, "got TypeError"),
    ],
)
def test_a_file_that_is_no_split_is_refused_in_one_line(
    tmp_path: Path, name: str, content: object, expected: str
) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        read_split(put(tmp_path, name, content))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"none\.json: cannot be read"):
        read_split(tmp_path / "none.json")
