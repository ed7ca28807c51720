"""Answers with the current content of a file, even if it is replaced during the transfer."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from fastapi.responses import StreamingResponse
from monailabel.utils.others.generic import get_mime_type

from activelabel.errors import NotFoundError

_CHUNK = 2**18


def whole_file(path: Path, name: str) -> StreamingResponse:
    """A response with the file under `name`; the file is opened once, so that the length fits the content.

    Raises:
        NotFoundError: the file is gone.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise NotFoundError(f"{name}: the file is gone: ask for the list again") from error
    size = os.fstat(file.fileno()).st_size
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": f"attachment; filename*=utf-8''{quote(name)}"
        if quote(name) != name
        else f'attachment; filename="{name}"',
    }
    return StreamingResponse(_chunks(file, size), media_type=get_mime_type(name), headers=headers)


def _chunks(file: BinaryIO, left: int) -> Iterator[bytes]:
    """Read at most `left` bytes, even if the file grows."""
    with file:
        while chunk := file.read(min(left, _CHUNK)):
            left -= len(chunk)
            yield chunk
