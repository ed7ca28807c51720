"""A datastore that counts what is read of it, and ends whoever reads it as `kill -9` does."""

from collections.abc import Callable


class Killed(BaseException):
    """As `kill -9` does, this ends a scoring without a chance to tidy up."""


class CountedReads:
    """What a scoring asks of a datastore, which ends it at the read number `killed_at`; `read` holds the ids so far."""

    def __init__(self, uri_of: Callable[[str], str]) -> None:
        self.uri_of = uri_of
        self.read: list[str] = []
        self.killed_at: int | None = None

    def get_image_uri(self, image_id: str) -> str:
        if len(self.read) == self.killed_at:
            raise Killed
        self.read.append(image_id)
        return self.uri_of(image_id)
