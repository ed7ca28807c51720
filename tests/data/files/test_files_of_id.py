"""The files that an id may be of, beside the ids that the names of all files give."""

import os
from functools import partial
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activelabel.data.files import files_of_id as files_of_id_module
from activelabel.data.files.files_of_id import files_of_id
from activelabel.data.files.names import ENDINGS, image_ids, is_one_name

NAMES = st.from_regex(r"[ab~_.][ab~_.]{0,3}", fullmatch=True).filter(lambda name: name not in (".", ".."))
ENDS = st.sampled_from([*ENDINGS, ".NII.GZ", ".NII", ".Nrrd", ".nrRD"])


@pytest.mark.parametrize(
    ("path", "image_id"),
    [
        ("a.nii.gz", "a"),
        ("a.NII", "a"),
        ("a.NrRd", "a"),
        ("p/q/a.mha", "p~q~a"),
        ("p~q/a.nii", "p~q~a"),
        ("a_nii.nii", "a_nii"),
        ("a.nii", "a_nii"),
        ("p/a.nii.gz", f"p~a_nii_gz_{'0' * 8}"),
        ("a.mha", f"a_{'f' * 64}"),
    ],
)
def test_a_file_is_found_by_each_id_that_it_may_get(tmp_path: Path, path: str, image_id: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    (tmp_path / "other.nii.gz").touch()
    assert files_of_id(image_id, tmp_path) == [path]


@settings(max_examples=60, deadline=None)
@given(folders=st.lists(NAMES, max_size=2), name=NAMES, end=ENDS)
def test_every_id_of_every_file_leads_back_to_it(
    tmp_path_factory: pytest.TempPathFactory, folders: list[str], name: str, end: str
) -> None:
    top = tmp_path_factory.mktemp("studies")
    path = "/".join([*folders, f"{name}{end}"])
    (top / path).parent.mkdir(parents=True, exist_ok=True)
    (top / path).touch()
    for image_id in image_ids(path):
        assert path in (files_of_id(image_id, top) or ())


@pytest.mark.parametrize("image_id", ["../secret", "..~secret", ".~secret", "~secret", "/etc/passwd", "a\0b", "none"])
def test_nothing_outside_of_the_folder_is_looked_at(tmp_path: Path, image_id: str) -> None:
    (tmp_path / "secret.nii.gz").touch()
    (tmp_path / "studies").mkdir()
    assert files_of_id(image_id, tmp_path / "studies") == []


@pytest.mark.parametrize("image_id", ["..\\secret", "c:secret", "..\\studies~a"])
def test_nothing_outside_of_the_folder_is_looked_at_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_id: str
) -> None:
    monkeypatch.setattr(files_of_id_module, "is_one_name", partial(is_one_name, system=PureWindowsPath))
    (tmp_path / f"{image_id}.nii.gz").touch()  # what the file system here takes for a name
    assert files_of_id(image_id, tmp_path) == []


@pytest.mark.parametrize("image_id", ["größe", "a" * 197])
def test_only_all_names_tell_of_accents_and_of_shortened_ids(tmp_path: Path, image_id: str) -> None:
    assert files_of_id(image_id, tmp_path) is None


@pytest.fixture
def knows_no_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk like those of Windows and macOS, and like a share: whatever a name's case, it finds the file."""

    def as_it_is_spelt(path: str) -> str:
        place = str(tmp_path)
        for part in Path(path).relative_to(tmp_path).parts:
            beside = os.listdir(place) if is_dir(place) else []
            place = os.path.join(place, next((name for name in beside if name.lower() == part.lower()), part))
        return place

    lies_there, is_dir = os.path.lexists, os.path.isdir
    monkeypatch.setattr(os.path, "lexists", lambda path: lies_there(as_it_is_spelt(path)))
    monkeypatch.setattr(os.path, "isdir", lambda path: is_dir(as_it_is_spelt(path)))


@pytest.mark.usefixtures("knows_no_case")
@pytest.mark.parametrize(
    ("path", "image_id"),
    [
        ("new.nii.gz", "new"),
        ("new.nii.gz", "NEW"),
        ("1.nii.gz", "1"),
        ("p/1.nii.gz", "P~1"),
        ("1/p/new.nii.gz", "1~p~new"),
    ],
)
def test_only_all_names_tell_how_a_file_is_spelt_on_a_disk_that_knows_no_case(
    tmp_path: Path, path: str, image_id: str
) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    assert files_of_id(image_id, tmp_path) is None
    assert files_of_id("none", tmp_path) == []


def test_a_folder_that_knows_no_case_is_noticed_also_in_one_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p" / "q").mkdir(parents=True)
    (tmp_path / "p" / "q" / "new.nii.gz").touch()
    lies_there = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: lies_there(path.replace("/p/Q", "/p/q")))
    assert files_of_id("p~q~new", tmp_path) is None
    assert files_of_id("P~q~new", tmp_path) == []
