"""What can go wrong between the module and its server, each with one line for the person at the screen."""

from __future__ import annotations


class ClientError(Exception):
    """Something that the person has to know; the text is one line."""


class RefusedError(ClientError):
    """The server answers, and refuses the request.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


class SilentError(ClientError):
    """The server does not answer; it may later."""


class CaseError(ClientError):
    """The request does not fit the case that is open."""
