"""Reads the series of the files in a viewer's store request to the PACS (DICOM PS3.18, STOW-RS).

The server thereby knows who sent a segmentation before the PACS lists it, whatever author the file names.
"""

import io
import re
from collections.abc import Iterator
from email.message import Message

import pydicom

from activelabel.data.files.one_case import one_case
from activelabel.errors import InvalidInputError

_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


def sent_series(body: bytes, content_type: str) -> set[str]:
    """The series UIDs of all DICOM files in a multipart body.

    A part that cannot be read is left out; the PACS refuses it.
    """
    return {uid for file in _parts(body, content_type) if (uid := _series_uid(file))}


def _parts(body: bytes, content_type: str) -> Iterator[bytes]:
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/related" or not boundary:
        return
    for part in body.split(b"--" + boundary.encode("latin-1", "replace"))[1:]:
        end = _END_OF_HEADERS.search(part)
        if end:
            yield part[end.end() :]


def _series_uid(file: bytes) -> str:
    try:
        with one_case("what a viewer stores"):
            return str(pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True).get("SeriesInstanceUID", ""))
    except InvalidInputError:
        return ""
