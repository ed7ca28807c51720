"""The location of the studies: a folder or a PACS."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from activelabel.errors import InvalidInputError

ANSWER_SECONDS = 60.0
"""How long a folder may take to answer at a start: a tape or a share that sleeps needs some time."""
_NAMES = ("EACCES", "EPERM", "EIO", "ESTALE", "ETIMEDOUT", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ENXIO", "ENODEV")
_NO_ANSWER = frozenset(getattr(errno, name) for name in _NAMES if hasattr(errno, name))
"""Error numbers of a disk or share that does not answer, or of what this user may not read."""


def is_pacs(studies: str) -> bool:
    """Whether `--studies` is the address of a PACS."""
    return studies.startswith(("http://", "https://"))


def require_studies(studies: str) -> None:
    """Check that the folder of the images is there.

    Raises:
        InvalidInputError: it is not.
    """
    if not is_pacs(studies) and not Path(studies).is_dir():
        raise InvalidInputError(f"--studies {studies}: there is no such folder: mount it, or name another")


def require_answer(studies: str, seconds: float = ANSWER_SECONDS) -> None:
    """Check that the folder of the images answers: a share whose server is gone may keep whoever asks for ever.

    Raises:
        InvalidInputError: it has not answered after some seconds.
    """
    if is_pacs(studies):
        return
    asking = threading.Thread(target=os.path.isdir, args=(studies,), name="studies", daemon=True)
    asking.start()
    asking.join(seconds)
    if asking.is_alive():
        raise InvalidInputError(
            f"--studies {studies}: its disk or share has not answered for {seconds:g} s: mount it again, or name "
            "another folder"
        )


@contextmanager
def reading_explained(studies: str, written: Path | None = None) -> Iterator[None]:
    """Turn the error of a folder that cannot be read at a start into one line, but not one in the folder `written`.

    Raises:
        InvalidInputError: its disk or share does not answer, or this user may not read it.
    """
    try:
        yield
    except OSError as error:
        is_written = written is not None and is_below(error, written)
        if error.errno not in _NO_ANSWER or is_written:
            raise
        raise InvalidInputError(
            f"--studies {studies}: {error.filename or 'a file'} cannot be read ({error.strerror}): does its disk or "
            "share answer, and may this user read it?"
        ) from error


def is_below(error: OSError, folder: Path) -> bool:
    """Whether an error is about a path in a folder, or the folder itself; also if it names no path."""
    return error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(folder)
