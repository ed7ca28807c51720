"""How much a request may send: counted as it comes in, before anything reads it or keeps it."""

from fastapi import HTTPException, Request
from starlette.types import Message

from activelabel.data.file_guard import largest_file_bytes

FORM_BYTES = 2**20
"""What a form may hold beside its file."""


def limited(request: Request) -> Request:
    """The request, whose body can be read up to the size of the largest image.

    Raises:
        HTTPException: 413, if its header says that it is larger; or later, when more has come.
    """
    most = largest_file_bytes() + FORM_BYTES
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise _too_large(most)
    receive, come = request.receive, 0

    async def counted() -> Message:
        nonlocal come
        message = await receive()
        come += len(message.get("body", b""))
        if come > most:
            raise _too_large(most)
        return message

    return Request(request.scope, counted)


def _too_large(most: int) -> HTTPException:
    return HTTPException(
        413,
        f"the request is larger than {most:,} bytes, more than the largest image that is taken (--conf "
        "largest_image_voxels)",
    )
