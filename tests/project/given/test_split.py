"""A live project follows a given split from its first image on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from activelabel.data.given_splits import read_split
from activelabel.errors import InvalidInputError
from activelabel.project.given.split import check_no_test_cases, check_split, given_split
from activelabel.project.settings import parse_settings
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

Sync = Callable[..., dict[str, str]]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    yield opened
    opened.close()


@pytest.fixture
def split_file(tmp_path: Path) -> Path:
    path = tmp_path / "split.txt"
    path.write_text("".join(f"case_{number} {'val' if number in (2, 7) else 'train'}\n" for number in range(12)))
    return path


def roles(ledger: Ledger) -> dict[str, str]:
    return {image.id: image.role for image in ledger.images()}


def test_exactly_the_images_of_the_split_are_for_validation_also_when_they_come_late(
    ledger: Ledger, split_file: Path
) -> None:
    split = given_split(parse_settings({"splits": str(split_file)}))
    assert split is not None
    names = [f"case_{number}" for number in range(12)]
    ledger.sync_images(names[:5], 3, None, split.is_validation)
    assert [name for name, role in roles(ledger).items() if role == "validation"] == ["case_2"]
    ledger.sync_images([*names, "new"], 3, None, split.is_validation)
    assert [name for name, role in roles(ledger).items() if role == "validation"] == ["case_2", "case_7"]
    check_split(split, ledger)


def test_other_images_of_a_validation_patient_are_for_validation_too(ledger: Ledger, split_file: Path) -> None:
    split = read_split(split_file)
    patients = {"case_2": "Ann", "case_2_later": "Ann", "case_3": "Bob"}
    ledger.sync_images(["case_2", "case_2_later", "case_3"], 3, patients, split.is_validation)
    assert roles(ledger) == {"case_2": "validation", "case_2_later": "validation", "case_3": "training"}


def test_a_split_without_validation_images_leaves_the_choice_to_the_hash(ledger: Ledger, split_file: Path) -> None:
    names = [f"case_{number}" for number in (0, 1, 3, 4, 5, 6, 8, 9)]
    ledger.sync_images(names, 2, None, read_split(split_file).is_validation)
    assert sorted(roles(ledger).values()).count("validation") == 2
    check_split(read_split(split_file), ledger)


def test_a_split_that_comes_too_late_is_refused(ledger: Ledger, split_file: Path) -> None:
    names = [f"case_{number}" for number in range(12)]
    ledger.sync_images(names, 3)
    drawn = {name for name, role in roles(ledger).items() if role == "validation"}
    assert drawn != {"case_2", "case_7"}, "else there is nothing to see"
    with pytest.raises(InvalidInputError, match=r"--conf splits .*split\.txt: 'case_\d+'.* had another role"):
        check_split(read_split(split_file), ledger)


def test_test_cases_do_not_lie_with_the_others(tmp_path: Path, ledger: Ledger) -> None:
    (tmp_path / "split.txt").write_text("a train\nb test\n")
    split = read_split(tmp_path / "split.txt")
    with pytest.raises(InvalidInputError, match=r"'sub~b' may only test, and lies with the images"):
        check_no_test_cases(split, ["a", "sub~b"])
    ledger.sync_images(["a", "b"], 1)
    with pytest.raises(InvalidInputError, match="'b' may only test"):
        check_split(split, ledger)
    check_no_test_cases(split, ["a", "c"])
