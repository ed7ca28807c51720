"""Names of uploads are harmless and still recognisable to the user."""

import io
from pathlib import Path

import pytest
from fastapi import UploadFile
from hypothesis import given
from hypothesis import strategies as st
from monailabel.utils.sessions import Sessions

from activelabel.errors import InvalidInputError, TooManyError
from activelabel.server.routes.uploads import check_room_for_session, received, safe_name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("case 7.nii.gz", "case 7.nii.gz"),
        ("/home/ann/label.nrrd", "label.nrrd"),
        ("../../../etc/passwd", "passwd"),
        ("C:\\ward\\label.nii", "label.nii"),
        ("Größe.nii.gz", "Gr__e.nii.gz"),
        ("a\0b\n.nii", "a_b_.nii"),
        (".nii.gz", "upload.nii.gz"),
        ("..", "upload.nii.gz"),
        ("folder/", "upload.nii.gz"),
        ("", "upload.nii.gz"),
        (None, "upload.nii.gz"),
        ("x" * 200 + ".nii.gz", "x" * 93 + ".nii.gz"),
    ],
)
def test_names_by_hand(sent: str | None, kept: str) -> None:
    assert safe_name(sent) == kept


@given(st.text(max_size=300))
def test_no_name_leaves_its_folder(sent: str) -> None:
    name = safe_name(sent)
    assert Path(name).name == name
    assert not name.startswith(".")
    assert len(name.encode()) <= 106
    assert safe_name(name) == name


def test_an_upload_is_written_under_its_name(tmp_path: Path) -> None:
    path = received(UploadFile(io.BytesIO(b"voxels"), filename="../label.nii.gz"), tmp_path)
    assert path == tmp_path / "label.nii.gz"
    assert path.read_bytes() == b"voxels"


@pytest.mark.parametrize(("most", "kept"), [(6, True), (5, False), (None, True)])
def test_an_upload_that_is_too_large_is_not_read(tmp_path: Path, most: int | None, kept: bool) -> None:
    upload = UploadFile(io.BytesIO(b"voxels"), filename="label.nii.gz")
    if kept:
        assert received(upload, tmp_path, most).read_bytes() == b"voxels"
        return
    with pytest.raises(InvalidInputError, match=r"^label\.nii\.gz: it is 6 bytes long, expected 5 at most$"):
        received(upload, tmp_path, most)
    assert not list(tmp_path.iterdir())


def test_sessions_are_so_many_and_no_more(tmp_path: Path) -> None:
    sessions = Sessions(str(tmp_path / "sessions"))
    check_room_for_session(None, 1)
    check_room_for_session(sessions, 1)
    image = tmp_path / "image.nii.gz"
    image.write_bytes(b"voxels")
    session_id, _ = sessions.add_session(str(image))
    with pytest.raises(TooManyError, match="1 sessions keep images here"):
        check_room_for_session(sessions, 1)
    check_room_for_session(sessions, 2)
    sessions.remove_session(session_id)
    check_room_for_session(sessions, 1)
