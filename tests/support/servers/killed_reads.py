"""A datastore that counts its reads and ends its reader at one of them, as `kill -9` does."""

from collections.abc import Callable

from activelabel.data.files.image_files import AnyImage, ImageFiles


class Killed(BaseException):
    """Ends a scoring without a chance to tidy up, as `kill -9` does."""


class CountedReads:
    """The part of a datastore that a scoring uses. Raises `Killed` at read number `killed_at`; `read` holds the ids."""

    def __init__(self, uri_of: Callable[[str], AnyImage]) -> None:
        self.uri_of = uri_of
        self.read: list[str] = []
        self.killed_at: int | None = None

    def image_files(self, image_id: str) -> ImageFiles:
        if len(self.read) == self.killed_at:
            raise Killed
        self.read.append(image_id)
        return ImageFiles.of(self.uri_of(image_id))
