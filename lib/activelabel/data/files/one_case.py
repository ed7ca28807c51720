"""Errors of one case, turned into one line about it, so that a bad case never stops the rest."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from activelabel.data.files.writing import NO_ROOM
from activelabel.errors import ActiveLabelError, InvalidInputError


@contextmanager
def one_case(name: str) -> Iterator[None]:
    """A context for reading and preparing one case: any error becomes one line that names the case.

    Raises:
        InvalidInputError: in place of any other error; errors of this project, and that a disk is full, pass unchanged.
    """
    try:
        yield
    except ActiveLabelError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise  # no fault of this case, and no other is better off
        if for_want_of_memory(error):
            raise InvalidInputError(
                f"{name}: it needs more memory than there is: check size and spacing in its header, or free some "
                "memory and start again"
            ) from error
        message = " ".join(str(error).split())[:200]
        raise InvalidInputError(
            f"{name}: cannot be read ({type(error).__name__}: {message}): export or copy it again"
        ) from error


def for_want_of_memory(error: BaseException | None) -> bool:
    """Whether an error means a lack of memory, which may be over at another time."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            return True
        error = error.__cause__
    return False
