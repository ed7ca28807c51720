"""The files that an id may be of, beside the ids that the names of all files give."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activelabel.data.files.files_of_id import files_of_id
from activelabel.data.files.names import ENDINGS, image_ids

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


@pytest.mark.parametrize("image_id", ["größe", "a" * 197])
def test_only_all_names_tell_of_accents_and_of_shortened_ids(tmp_path: Path, image_id: str) -> None:
    assert files_of_id(image_id, tmp_path) is None
