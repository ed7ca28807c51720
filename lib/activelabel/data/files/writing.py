"""Writing a file completely or not at all."""

import errno
import os
import secrets
from pathlib import Path

from activelabel.backports import ON_WINDOWS

CANNOT_BE_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""Error numbers of the system for a full or read-only disk."""


def write_atomically(path: Path, content: bytes | memoryview, *, lasting: bool = True, whole: bool = True) -> None:
    """Put `content` at `path`: at every moment, also after a power cut, the file is the earlier one or the new one.

    If it is not `lasting`, the earlier one may come back with a power cut: for copies that can be made again, which
    then cost one wait for the disk less. If it need not be `whole` after a power cut either, because its reader
    notices, nothing waits for the disk.

    The unfinished file lies in the same folder under a name that ends in `.part`, which readers of images and models
    ignore.

    Raises:
        OSError: the folder is missing, read-only or full; `path` is then unchanged, and no other file is left.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            if whole:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    if lasting:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut; Windows has no way to ask for that."""
    if ON_WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
