"""What can go wrong between the module and its server, each with one line for the person at the screen."""

from __future__ import annotations

_PASSING = (401, 408, 412, 429)
"""A login has ended, a request was too slow, somebody else is logged in, too many ask."""


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

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be taken later: what is sent is not at fault."""
        return self.status >= 500 or self.status in _PASSING


class SilentError(ClientError):
    """The server does not answer; it may later."""


class CaseError(ClientError):
    """The request does not fit the case that is open."""
