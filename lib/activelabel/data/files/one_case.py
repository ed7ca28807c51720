"""One bad case never stops the rest: whatever is raised while one is read is a line about that case."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from activelabel.errors import ActiveLabelError, InvalidInputError


@contextmanager
def one_case(name: str) -> Iterator[None]:
    """Around all that is done to read and prepare one case: what goes wrong is one line that names it.

    Raises:
        InvalidInputError: in place of whatever is raised; errors that have a line already stay what they are.
    """
    try:
        yield
    except ActiveLabelError:
        raise
    except Exception as error:
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
    """Whether an error says that memory was not enough, which it may be at another time."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            return True
        error = error.__cause__
    return False
