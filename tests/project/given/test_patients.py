"""A live project draws its validation cases by the patients of the settings, from the first image on."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activelabel.data.given_splits import read_split
from activelabel.data.patients.by_name import BY_NAMES
from activelabel.errors import InvalidInputError
from activelabel.project.given.patients import (
    FACT,
    check_patients,
    fix_patients,
    given_patients,
    patients_at_start,
    patients_in_force,
    patients_of_rebuilt,
    patients_with_two_roles,
)
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


IMAGES = ("sub-1_ses-1_T1w", "sub-1_ses-2_T1w")


def test_a_project_that_began_before_names_told_patients_stays_so_and_says_what_it_overlooks(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.sync_images(IMAGES, 1)
    for _ in range(2):
        fix_patients(parse_settings({}), ledger)
        assert given_roles(parse_settings({}), ledger, IMAGES) == (None, None)
    assert "'sub-1' has 2 images by their names" in caplog.text
    assert "each counts as a patient of its own" in caplog.text
    caplog.clear()
    given_roles(parse_settings({"patients": "images"}), ledger, IMAGES)
    assert not caplog.text


def test_a_new_project_keeps_in_its_ledger_by_which_names_it_tells_patients(
    ledger: Ledger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    fix_patients(parse_settings({}), ledger)
    ledger.sync_images(IMAGES, 1)
    monkeypatch.setattr("activelabel.project.given.patients.BY_NAMES", "(other)")  # of a later version
    fix_patients(parse_settings({}), ledger)
    _, patients = given_roles(parse_settings({}), ledger, IMAGES)
    assert patients is not None
    assert patients.of_all([*IMAGES, "x"]) == dict.fromkeys(IMAGES, "sub-1")
    assert "'sub-1' has 2 images by their names" in caplog.text
    assert "all images of a patient are for training, or all for validation" in caplog.text


def test_a_project_that_began_with_a_setting_does_not_go_by_names_when_it_is_left_out(ledger: Ledger) -> None:
    fix_patients(parse_settings({"patients": PATTERN}), ledger)
    ledger.sync_images(IMAGES, 1)
    fix_patients(parse_settings({}), ledger)
    assert patients_at_start(parse_settings({}), ledger) is None
    assert given_roles(parse_settings({}), ledger, IMAGES) == (None, None)


def test_what_a_start_without_images_recorded_does_not_count(ledger: Ledger) -> None:
    fix_patients(parse_settings({"patients": PATTERN}), ledger)
    patients = patients_at_start(parse_settings({}), ledger)
    assert patients is not None
    assert patients.of_all(IMAGES) == dict.fromkeys(IMAGES, "sub-1")
    fix_patients(parse_settings({}), ledger)
    ledger.sync_images(IMAGES, 1)
    assert patients_in_force(parse_settings({}), ledger) == patients


def test_a_project_whose_images_are_all_absent_has_begun(ledger: Ledger) -> None:
    ledger.sync_images(IMAGES, 1)
    ledger.sync_images([], 1)  # the share was not mounted
    assert patients_at_start(parse_settings({}), ledger) is None
    fix_patients(parse_settings({}), ledger)
    assert patients_at_start(parse_settings({}), ledger) is None


def test_patients_by_names_with_both_roles_are_said_with_their_names(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.sync_images([*IMAGES, "sub-2_ses-1_T1w", "sub-2_ses-2_T1w"], 1, None, {IMAGES[1]}.__contains__)
    ledger.fix_fact(FACT, BY_NAMES, "an earlier version took it for a new project")
    given_roles(parse_settings({}), ledger, IMAGES)
    assert (
        "patient 'sub-1' has images for training ('sub-1_ses-1_T1w') and validation ('sub-1_ses-2_T1w') by their "
        "names: they got their roles before names told patients"
    ) in caplog.text
    caplog.clear()
    given_roles(parse_settings({}), ledger, ["sub-2_ses-1_T1w", "sub-2_ses-2_T1w"])
    assert not caplog.text


@pytest.mark.parametrize(("roles", "holds"), [((1, 1), True), ((0, 1), False)])
def test_a_rebuilt_ledger_goes_by_names_unless_roles_contradict_them(
    ledger: Ledger, roles: tuple[int, int], holds: bool
) -> None:
    judging = [image for image, judges in zip(IMAGES, roles, strict=True) if judges]
    ledger.sync_images(IMAGES, 2, None, judging.__contains__)
    patients = patients_of_rebuilt(parse_settings({}), ledger, [*IMAGES, "sub-2_T1w"])
    assert (patients is not None) is holds
    assert (patients_in_force(parse_settings({}), ledger) is not None) is holds


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
