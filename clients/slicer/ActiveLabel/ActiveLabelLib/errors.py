"""What can go wrong between the module and its server, each with one line for the person at the screen."""

from __future__ import annotations

_PASSING = (401, 408, 412, 429, 502, 503, 504, 507)
"""A login has ended, a request was too slow, somebody else is logged in, too many ask; the server is not there for a
proxy, its ledger does not answer, or its disk is full."""


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
        return self.status in _PASSING

    @property
    def is_fault(self) -> bool:
        """Whether the server fails at what is sent: perhaps once, perhaps always."""
        return self.status >= 500 and not self.may_pass


class SilentError(ClientError):
    """The server does not answer; it may later."""


class CancelledError(SilentError):
    """The person has broken off what was asked: as with a silent server, nobody knows whether it has come."""


class CaseError(ClientError):
    """The request does not fit the case that is open."""
