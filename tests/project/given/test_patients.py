"""A live project draws its validation cases by the patients of the settings, from the first image on."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activelabel.data.given_splits import read_split
from activelabel.errors import InvalidInputError
from activelabel.project.given.patients import check_patients, given_patients, patients_with_two_roles
from activelabel.project.given.roles import given_roles
from activelabel.project.given.split import check_split_of_patients
from activelabel.project.settings import parse_settings
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

PATTERN = r"^(p\d+)_"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    yield opened
    opened.close()


def test_without_the_setting_nothing_is_said() -> None:
    assert given_patients(parse_settings({})) is None
    assert given_patients(parse_settings({"patients": ""})) is None


def test_a_start_says_that_images_of_one_subject_count_as_several_patients(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    images = ["sub-1_ses-1_T1w", "sub-1_ses-2_T1w"]
    assert given_roles(parse_settings({}), ledger, images) == (None, None)
    assert "'sub-1' has 2 images by their names" in caplog.text
    caplog.clear()
    given_roles(parse_settings({"patients": "(sub-[A-Za-z0-9]+)"}), ledger, images)
    assert not caplog.text


def test_the_setting_is_read_once_and_names_patients(ledger: Ledger) -> None:
    patients = given_patients(parse_settings({"patients": PATTERN}))
    assert patients is not None
    ids = [f"p{number // 3}_{number % 3}" for number in range(30)]
    ledger.sync_images(ids, 6, patients.of_all(ids))
    judging = {image.id for image in ledger.images() if image.role == "validation"}
    assert len(judging) == 6
    assert len({image_id.partition("_")[0] for image_id in judging}) == 2, "two patients, with all three images"
    assert patients_with_two_roles(ledger, {}) == {}
    check_patients(patients, ledger)


def test_patients_that_come_too_late_are_refused_by_name(ledger: Ledger) -> None:
    ids = [f"p{number // 3}_{number % 3}" for number in range(30)]
    ledger.sync_images(ids, 6)
    patients = given_patients(parse_settings({"patients": PATTERN}))
    assert patients is not None
    with pytest.raises(
        InvalidInputError, match=r"patient 'p\d' has images for \w+ \('p\d_\d'\) and \w+ .* never change"
    ):
        check_patients(patients, ledger)
    patients_of = patients.of_all(ids)
    assert patients_with_two_roles(ledger, patients_of)
    assert patients_with_two_roles(ledger, {}) == {}, "each image is a patient of its own"


def test_test_cases_that_lie_elsewhere_are_seen_by_their_names_in_the_split(tmp_path: Path) -> None:
    (tmp_path / "split.txt").write_text("p1_a train\np2_a val\np1_b test\n")
    split, patients = read_split(tmp_path / "split.txt"), given_patients(parse_settings({"patients": PATTERN}))
    with pytest.raises(InvalidInputError, match=r"patient 'p1' is for training \('p1_a'\) and test \('p1_b'\)"):
        check_split_of_patients(split, patients, ["p1_a", "p2_a"])
    check_split_of_patients(split, None, ["p1_a", "p2_a"])


arrivals = st.lists(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 4)), max_size=12), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty ledger, to be copied: making its tables takes longer than all else."""
    path = tmp_path_factory.mktemp("empty") / "ledger.sqlite"
    ledger = Ledger(sqlite_url(path))
    ledger.sync_images([], 0)
    ledger.close()
    return path


@settings(max_examples=20, deadline=None)
@given(arrivals, st.integers(0, 8))
def test_no_patient_both_learns_and_judges_however_the_images_come(
    empty: Path, batches: list[set[tuple[int, int]]], wanted: int
) -> None:
    patients = given_patients(parse_settings({"patients": PATTERN}))
    assert patients is not None
    with TemporaryDirectory() as folder:
        ledger = Ledger(sqlite_url(copyfile(empty, Path(folder) / "ledger.sqlite")))
        there: set[str] = set()
        for batch in batches:
            there |= {f"p{patient}_{image}" for patient, image in batch}
            ledger.sync_images(there, wanted, patients.of_all(there))
            assert patients_with_two_roles(ledger, {}) == {}
        ledger.close()
