"""Memory that a process keeps when a network's values are freed, for those of its next pass or training step."""

import ctypes
import functools

# Parameters of glibc's `mallopt`, by their numbers in malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK_BYTES = 32 << 20  # an older glibc refuses more
_KEPT_BYTES = 256 << 20

KEPT_BY_TRAINING_BYTES = 2047 << 20
"""A step frees what it has computed for its gradient at once, more than a pass does; it is as much as can be said."""


@functools.cache
def keep_freed_memory(kept_bytes: int = _KEPT_BYTES) -> bool:
    """Have the C library keep some freed memory instead of giving all of it back; whether this is a library that can.

    It gives back each larger block at once, and gets it page by page for the next value, each page filled with zeros
    first: 4,000 pages in a training step of a small network, 6 of its 100 ms. Blocks of up to 32 MB are now kept,
    `kept_bytes` of them at most. It holds for the whole process. Other libraries than glibc stay as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no such function, or no such way to ask for it (Windows)
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK_BYTES) and mallopt(_TRIM_THRESHOLD, kept_bytes))
