"""What went wrong, said in one line to whoever can mend it.

Every error that a user can cause is an `ActiveLabelError`. Its text names the file, field or setting, says what was
expected and what came, and what to do. The server turns each into a 4xx (503 where another service is to blame, 507
where a disk is full) with that line; the command line prints it and exits with 2. Anything else is a defect of ours and
stays a traceback.
"""


class ActiveLabelError(Exception):
    """Base of all errors that a user can cause and mend."""


class InvalidInputError(ActiveLabelError):
    """A file, field or setting is not what it must be."""


class SetAsideError(InvalidInputError):
    """An image cannot be used, and is set aside in the ledger already, with the reason."""


class NotFoundError(ActiveLabelError):
    """A name is not one of those that exist; the text lists the ones that do."""


class NotReadyError(ActiveLabelError):
    """The request is sound, but something must happen first (a model trained, a case labelled)."""


class ForbiddenError(ActiveLabelError):
    """The request would read or write where it has no business."""


class NotLoggedInError(ActiveLabelError):
    """The request does not say who asks, or what it says is not true."""


class AnotherReaderError(ActiveLabelError):
    """The client sends the work of somebody else than the one whom the server takes it for."""


class AnotherProjectError(ActiveLabelError):
    """The client sends work of another project than the one that is served here."""


class UnavailableError(ActiveLabelError):
    """What the request needs, such as the PACS or the ledger, does not answer; nothing is wrong with the request."""


class StorageFullError(ActiveLabelError):
    """There is no room left to keep what was sent."""


class TooManyError(ActiveLabelError):
    """More is asked for than may be kept at once, or tried within some time; nothing else is wrong with the request.

    Attributes:
        seconds: how long to wait; None where time alone changes nothing.
    """

    def __init__(self, text: str, seconds: int | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds


class AskedBackError(InvalidInputError):
    """What was sent is kept, but does not count before whoever sent it has said that it is meant so."""
