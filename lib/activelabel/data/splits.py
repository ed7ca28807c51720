"""Who learns and who judges: a fixed number of validation cases, chosen once by a hash of the image's id alone.

A draw by a random generator would change with the order of the files; a hash gives the same answer on every machine.
"""

import hashlib
from collections.abc import Collection

_HASH_BITS = 53  # as many as a float holds, so that the quotient below is exact and never rounds up to 1.0
_LARGEST_SHARE = 4  # one image in so many at most: of a small study most must be left to learn from


def stable_fraction(image_id: str) -> float:
    """A number in [0, 1) that depends on the id alone: the first 53 bits of its SHA-256."""
    first_bits = int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8], "big") >> (64 - _HASH_BITS)
    return first_bits / 2**_HASH_BITS


def validation_count(images: int, wanted: int) -> int:
    """How many of so many images are validation cases: the wanted number, but no more than one in four."""
    return min(wanted, images // _LARGEST_SHARE)


def choose_validation(image_ids: Collection[str], count: int) -> frozenset[str]:
    """The `count` ids with the smallest hashes, or all where there are fewer. Order and repetition do not matter.

    Raises:
        ValueError: `count` is negative.
    """
    if count < 0:
        raise ValueError(f"validation cases: expected 0 or more, got {count}")
    return frozenset(sorted(set(image_ids), key=lambda image_id: (stable_fraction(image_id), image_id))[:count])
