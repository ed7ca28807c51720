"""Memory that steps on a CPU free is kept for the next step, instead of going back to the operating system each time.

By default, glibc gives large blocks back as soon as they are free. The next step asks for the same blocks again, and
the operating system clears them page by page: about 6 of the 100 ms of a small step.
"""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names in glibc's malloc.h
_LARGEST_BLOCK = 32 << 20
"""Larger blocks always go back; it is the most that glibc takes here, and what it comes to by itself in the end."""
_KEPT, _USUAL = 2**31 - 1, 2 * _LARGEST_BLOCK
"""How many free bytes at the end of the heap are kept, during a training and after it."""


@contextmanager
def freed_memory_kept(device_type: str) -> Iterator[None]:
    """Keep freed memory within the process until the context ends; on a CPU and with glibc only."""
    if device_type != "cpu" or platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
    library.mallopt(_TRIM_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        library.mallopt(_TRIM_THRESHOLD, _USUAL)
        library.malloc_trim(0)
