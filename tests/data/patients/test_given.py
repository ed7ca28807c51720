"""Patients by a pattern or a table, and splits that must not share one."""

from pathlib import Path

import pytest

from activelabel.data.files.studies_folder import FolderContent
from activelabel.data.given_splits import GivenSplit
from activelabel.data.patients.given import GivenPatients, check_parts, cleaned, read_patients
from activelabel.errors import InvalidInputError


def test_a_pattern_finds_the_patient_anywhere_in_the_id() -> None:
    patients = read_patients(r"(patient\d+)_frame")
    assert patients.of("imagesTr~patient012_frame01_0000") == "patient012"
    assert patients.of_all(["patient001_frame01", "patient001_frame12", "phantom"]) == {
        "patient001_frame01": "patient001", "patient001_frame12": "patient001",
    }  # fmt: skip


def test_an_empty_group_is_no_patient() -> None:
    assert read_patients(r"^(\d*)_").of("_a") is None
    assert read_patients(r"^(?:x(\d+))?_?").of("a") is None, "a group that takes no part"


def test_a_table_names_images_as_people_do(tmp_path: Path) -> None:
    table = tmp_path / "who.csv"
    table.write_text(
        '\ufeffpatient, Image ,age\nAnn,a,3\n"Bob  M",imagesTr/b.nii.gz,4\n\nCid,sub~c,5\n', encoding="utf-8"
    )
    patients = read_patients(str(table))
    assert patients.of_all(["a_0000", "imagesTr~b", "sub~c", "c", "d"]) == {
        "a_0000": "Ann", "imagesTr~b": "Bob M", "sub~c": "Cid",
    }  # fmt: skip


def test_a_table_may_have_tabs_or_semicolons(tmp_path: Path) -> None:
    for name, delimiter in (("a.tsv", "\t"), ("b.csv", ";")):
        (tmp_path / name).write_text(f"image{delimiter}patient\r\nx{delimiter}Doe, J\r\n")
        assert read_patients(str(tmp_path / name)).of("x") == "Doe, J"


def test_a_nul_in_a_table_is_a_blank_on_every_python(tmp_path: Path) -> None:
    (tmp_path / "who.csv").write_text("image,patient\na,Doe\0J\n")
    assert read_patients(str(tmp_path / "who.csv")).of("a") == "Doe J"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (r"patient\d+", r"it has 0 groups: give one group in parentheses"),
        (r"(a)(b)", "it has 2 groups"),
        ("(a", "no regular expression"),
        ("nowhere.csv", r"nowhere\.csv: cannot be read"),
    ],
)
def test_what_is_no_pattern_and_no_table_is_refused(said: str, expected: str) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        read_patients(said)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "expected a first line with image and patient, got ''"),
        ("case,who\na,b\n", "expected a first line with image and patient, got 'case,who'"),
        ("image,patient\n", "it names no image"),
        ("image,patient\na,\n", "line 2: expected an image and its patient, got 'a,'"),
        ("image,patient\na\n", "line 2: expected an image and its patient"),
        ("image,patient\na,x\na.nii.gz,y\n", "line 3: 'a' is of 'x' and of 'y'"),
        (f"image,patient\na,{'x' * 200_000}\n", r"no table \(field larger than field limit"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "who.csv").write_text(content)
    with pytest.raises(InvalidInputError, match=expected):
        read_patients(str(tmp_path / "who.csv"))


def test_an_image_of_an_unknown_patient_is_passed_over() -> None:
    content = FolderContent(Path("x"), {"p1_a": "p1_a.nii", "odd": "odd.nii"}, {"old.hdr": "two files"})
    known = read_patients(r"(p\d)_").known_only(content)
    assert known.files == {"p1_a": "p1_a.nii"}
    assert known.passed_over["odd.nii"].startswith(r"--conf patients (p\d)_ says no patient for it")
    assert "old.hdr" in known.passed_over


def test_a_pattern_for_no_image_at_all_is_refused_but_an_empty_folder_is_not() -> None:
    patients = read_patients(r"(p\d)_")
    patients.require_some([])
    patients.require_some(["odd", "p1_a"])
    with pytest.raises(InvalidInputError, match="it says the patient of no image, of which the first is 'odd'"):
        patients.require_some(["odd", "other"])


def test_a_name_is_kept_as_one_line_of_at_most_64_characters() -> None:
    assert cleaned(" Doe\n  J\0 ") == "Doe J"
    assert cleaned("x" * 63 + " y") == "x" * 63
    assert cleaned(" \n") is None


def test_a_split_that_shares_a_patient_is_refused_by_name() -> None:
    split = GivenSplit("folds.json", {"p1_a": "training", "p1_b": "validation", "p2_a": "test"})
    patients = GivenPatients("table", table={"p1_a": "Ann", "p1_b": "Ann", "p2_a": "Bob"})
    with pytest.raises(InvalidInputError) as refused:
        check_parts(split, patients.of_all(split.roles), "--conf splits")
    assert str(refused.value) == (
        "--conf splits folds.json: patient 'Ann' is for training ('p1_a') and validation ('p1_b'): give all images of "
        "a patient one role"
    )
    check_parts(split, {"p1_a": "Ann", "p1_b": "Bea", "p2_a": "Bob", "elsewhere": "Ann"}, "--conf splits")


def test_images_may_each_be_a_patient_of_their_own_and_none_is_passed_over() -> None:
    alone, names = read_patients("images"), read_patients("names")
    assert alone.of_all(["sub-01_T1w", "x"]) == {}
    assert names.of_all(["sub-01_T1w", "x"]) == {"sub-01_T1w": "sub-01"}
    content = FolderContent(Path(), {"sub-01_T1w": "sub-01_T1w.nii", "x": "x.nii"}, {})
    for patients in (alone, names):
        patients.require_some(["x"])
        assert patients.known_only(content) == content


def test_a_split_that_shares_a_patient_by_name_may_be_kept_by_a_setting() -> None:
    split = GivenSplit("folds.json", {"sub-1_a": "training", "sub-1_b": "validation"})
    with pytest.raises(InvalidInputError, match=r"one role, or, if the names mislead, say --conf patients images$"):
        check_parts(split, read_patients("names").of_all(split.roles), "--conf splits", by_names=True)
