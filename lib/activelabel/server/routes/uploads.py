"""Uploaded files, kept under sanitised versions of their own names, so that errors can name them."""

import os
import re
import shutil
from pathlib import Path

from fastapi import UploadFile
from monailabel.utils.sessions import Sessions

from activelabel.data.files.guard import largest_file_bytes
from activelabel.errors import InvalidInputError, TooManyError

_HARMLESS = re.compile(r"[^A-Za-z0-9._ -]")
_LONGEST_NAME = 100


def received(upload: UploadFile, folder: str | Path, most_bytes: int | None = None) -> Path:
    """Write an upload into `folder`.

    Raises:
        InvalidInputError: the file has more than `most_bytes`, by default the limit of an image; nothing is written.
    """
    path, limit = Path(folder) / safe_name(upload.filename), most_bytes or largest_file_bytes()
    size = upload.file.seek(0, os.SEEK_END)
    upload.file.seek(0)
    if size > limit:
        raise InvalidInputError(f"{path.name}: it is {size:,} bytes long, expected {limit:,} at most")
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file)
    return path


def safe_name(name: str | None) -> str:
    """The last part of a client's path as a safe file name with the same ending; `upload.nii.gz` if it has no name.

    Both kinds of slashes separate parts, any unusual character becomes `_`, and the last 100 characters are kept.
    """
    base_name = re.split(r"[/\\]", name or "")[-1].strip()
    if not base_name.strip("."):
        return "upload.nii.gz"
    cleaned = _HARMLESS.sub("_", base_name)[-_LONGEST_NAME:]
    return f"upload{cleaned}" if cleaned.startswith(".") else cleaned


def check_room_for_session(sessions: Sessions | None, most: int) -> None:
    """Refuse a new session if there are already `most` sessions, whose images are kept until they expire.

    Raises:
        TooManyError: the limit is reached.
    """
    folder = Path(sessions.store_path) if sessions is not None else None
    if folder is not None and folder.is_dir() and sum(1 for _ in folder.iterdir()) >= most:
        raise TooManyError(
            f"{most} sessions keep images here, as many as may (--conf sessions_at_once): delete one, or wait until "
            "one expires"
        )
