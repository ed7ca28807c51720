"""Memory that a process keeps when a network's values are freed, for those of its next pass or training step."""

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

# Parameters of glibc's `mallopt`, by their numbers in malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK_BYTES = 32 << 20  # an older glibc refuses more
_KEPT_BYTES = 256 << 20
_MOST_BYTES = 2047 << 20  # as much as can be said
_PART_OF_FREE = 4  # the cases that a training prepares may take half
_sharing = 1


def share_memory(processes: int) -> None:
    """Say of how many processes with trainings of their own on this machine this is one."""
    global _sharing
    _sharing = processes


@functools.cache
def keep_freed_memory() -> bool:
    """Have the C library keep some freed memory instead of giving all of it back; whether this is a library that can.

    It gives back each larger block at once, and gets it page by page for the next value, each page filled with zeros
    first: 4,000 pages in a training step of a small network, 6 of its 100 ms. Blocks of up to 32 MB are now kept, 256
    MB of them at most. It holds for the whole process. Other libraries than glibc stay as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no such function, or no such way to ask for it (Windows)
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK_BYTES) and mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))


@contextmanager
def more_kept_for_training(processes: int = 1) -> Iterator[None]:
    """Keep more while a training runs in this process, one at a time; afterwards it is given back.

    A step frees at once what it has computed for its gradient, more than a pass does. `processes`: how many train
    together on this machine.
    """
    if not keep_freed_memory():
        yield
        return
    library = ctypes.CDLL(None)
    kept_bytes = kept_for_training(psutil.virtual_memory().available, processes * _sharing)
    library.mallopt(_TRIM_THRESHOLD, kept_bytes)
    try:
        yield
    finally:
        library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        library.malloc_trim(ctypes.c_size_t(0))


def kept_for_training(free_bytes: int, processes: int) -> int:
    """How many freed bytes a training keeps, from what the machine has free and how many processes train."""
    return max(_KEPT_BYTES, min(_MOST_BYTES, free_bytes // (_PART_OF_FREE * processes)))
