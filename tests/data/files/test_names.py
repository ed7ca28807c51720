from pathlib import PurePath, PurePosixPath, PureWindowsPath

import pytest

from activelabel.data.files.names import (
    LONGEST_ID,
    are_plain_images,
    first_id,
    image_ids,
    is_hidden,
    is_one_name,
    label_words_off,
    labelled_ids,
    no_image,
    stem_of,
)


@pytest.mark.parametrize("text", ["..", ".", "", "/a", "a/b", "../a", "a/", "a\0b"])
@pytest.mark.parametrize("system", [PurePosixPath, PureWindowsPath])
def test_a_path_is_no_name(text: str, system: type[PurePath]) -> None:
    assert not is_one_name(text, system)


@pytest.mark.parametrize("text", ["a\\b", "..\\a", "\\\\host\\share\\a", "c:", "c:a", "c:\\a"])
def test_a_path_of_windows_is_a_name_elsewhere(text: str) -> None:
    assert not is_one_name(text, PureWindowsPath)
    assert is_one_name(text, PurePosixPath)


@pytest.mark.parametrize("text", ["a", "a.b", "...", "~", "..~a", ". .", "größe", "a b"])
@pytest.mark.parametrize("system", [PurePosixPath, PureWindowsPath])
def test_a_name_is_one(text: str, system: type[PurePath]) -> None:
    assert is_one_name(text, system)


@pytest.mark.parametrize(
    "name", ["a.nii.gz", "a.b.nii", "A.NII.GZ", "a.NII", "a.nrrd", "a.NRRD", "a.mha", "segment.nii"]
)
def test_an_image_is_known_by_its_ending(name: str) -> None:
    assert no_image(name) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.seg.nrrd", "a segmentation of 3D Slicer"),
        ("a.SEG.NRRD", "a segmentation of 3D Slicer"),
        ("a.hdr", "an image in two files"),
        ("a.IMG", "an image in two files"),
        ("a.mhd", "an image in two files"),
        ("a.nhdr", "an image in two files"),
        ("a.Nii.gz", "rename it to .nii.gz"),
        ("a.nii.GZ", "rename it to .nii.gz"),
        ("a.MHA", "rename it to .mha"),
        ("a.dcm", "DICOM is read from a PACS"),
        ("IM0001", "expected a file that ends in"),
        ("a.tar.gz", "expected a file that ends in"),
        ("a\nb.nii", "no client can send this name"),
    ],
)
def test_why_another_file_is_no_image(name: str, expected: str) -> None:
    assert expected in (no_image(name) or "")


@pytest.mark.parametrize(
    "name",
    ["dataset.json", "README.txt", "datastore_v2.json", "datastore_v2.json.damaged-12", "datastore_v2.changes.jsonl"],
)
def test_files_that_nobody_takes_for_images_are_passed_over_without_a_word(name: str) -> None:
    assert no_image(name) == ""


def test_files_that_systems_hide_are_recognised() -> None:
    assert is_hidden("._case.nii.gz")
    assert is_hidden("__MACOSX")
    assert not is_hidden("case_.nii.gz")


@pytest.mark.parametrize(
    ("name", "stem"), [("a.b.nii.gz", "a.b"), ("a.nii.b.NII", "a.nii.b"), ("a.seg.nrrd", "a"), ("a.png", "a.png")]
)
def test_the_stem_of_a_name_loses_only_the_ending(name: str, stem: str) -> None:
    assert stem_of(name) == stem


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("case_seg", [("case", True)]),
        ("case-label", [("case", True)]),
        ("case.Segmentation", [("case", True)]),
        ("segmentation-0", [("0", False)]),
        ("mask", [("", True)]),
        ("target", []),
        ("maskedcase", []),
        ("case_1", []),
    ],
)
def test_words_for_label_stand_by_themselves(stem: str, expected: list[tuple[str, bool]]) -> None:
    assert list(label_words_off(stem)) == expected


def test_an_id_keeps_the_folders_apart_and_is_the_stem_without_any() -> None:
    assert next(image_ids("case.nii.gz")) == "case"
    assert next(image_ids("a.b/c/case.1.nii.gz")) == "a.b~c~case.1"
    assert list(image_ids("case.NII.GZ"))[1] == "case_NII_GZ"
    assert len(set(image_ids("case.nrrd"))) == 4


@pytest.mark.parametrize("folders", ["", "a.b/c/"])
@pytest.mark.parametrize("length", [1, 30, 49, 50, 51, 100, 240])
@pytest.mark.parametrize("letter", ["f", "é", "\N{GRINNING FACE}"])
def test_the_first_id_alone_is_the_first_of_all(folders: str, length: int, letter: str) -> None:
    path = f"{folders}{letter * length}.nii.gz"
    assert first_id(path) == next(image_ids(path))


def test_an_id_is_short_enough_for_the_names_of_files() -> None:
    deep = [f"{'f' * 90}/{'g' * 90}/{'h' * 60}{end}.nii.gz" for end in "ab"]
    ids = [next(image_ids(path)) for path in deep]
    assert len(set(ids)) == 2
    assert all(len(image_id.encode()) <= LONGEST_ID for image_id in ids)


@pytest.mark.parametrize(
    ("label", "image"),
    [
        ("case2.nii.gz", "case2"),
        ("case2_seg.nii.gz", "case2"),
        ("case2-segmentation-label.nrrd", "case2"),
        ("case2.seg.nrrd", "case2"),
        ("label_case2.nii", "case2"),
        ("case2.nii.gz", "case2_0000"),
        ("sub/case2_mask.nii.gz", "sub~case2"),
    ],
)
def test_whose_label_a_file_may_be(label: str, image: str) -> None:
    assert image in list(labelled_ids(label))


@pytest.mark.parametrize(
    ("name", "is_plain"),
    [
        ("case_1.nii.gz", True),
        ("é 2.nii.gz", True),
        ("case.nii", False),
        (".case.nii.gz", False),
        ("__MACOSX.nii.gz", False),
        ("case_SEG.nii.gz", False),
        ("case_ſeg.nii.gz", False),
        ("ma\N{KELVIN SIGN}sk.nii.gz", True),
        ("mas\N{KELVIN SIGN}_a.nii.gz", False),
        ("Datastore_v2.json.nii.gz", False),
        ("a\tb.nii.gz", False),
        ("caf\udce9.nii.gz", False),
    ],
)
def test_names_are_plain_if_nothing_beside_them_counts(name: str, is_plain: bool) -> None:
    assert are_plain_images(["a.nii.gz", name]) is are_plain_images([name, "b.nii.gz"]) is is_plain
