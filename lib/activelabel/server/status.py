"""The HTTP status of each error."""

from activelabel.errors import (
    ActiveLabelError,
    AnotherProjectError,
    AnotherReaderError,
    AskedBackError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    NotLoggedInError,
    NotReadyError,
    SetAsideError,
    StorageFullError,
    TooManyError,
    UnavailableError,
)

STATUS: dict[type[ActiveLabelError], int] = {
    InvalidInputError: 422,
    SetAsideError: 422,
    NotFoundError: 404,
    NotReadyError: 409,
    AskedBackError: 409,
    # No other refusal has it, so a client knows that it has to wait for its reader, or for its project.
    AnotherReaderError: 412,
    AnotherProjectError: 412,
    ForbiddenError: 403,
    NotLoggedInError: 401,
    UnavailableError: 503,
    StorageFullError: 507,
    TooManyError: 429,
}


def status_of(error: ActiveLabelError) -> int:
    """The HTTP status of an error."""
    return STATUS.get(type(error), 400)
