"""Who learns and who judges: validation cases chosen once, by a hash of the image's id alone.

A draw by a random generator would change with the order of the files or the number of cases; a hash gives the same
answer on every machine, and for an image that arrives a year later.
"""

import hashlib
from collections.abc import Collection

_HASH_BITS = 53  # as many as a float holds, so that the quotient below is exact and never rounds up to 1.0


def stable_fraction(image_id: str) -> float:
    """A number in [0, 1) that depends on the id alone: the first 53 bits of its SHA-256."""
    first_bits = int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8], "big") >> (64 - _HASH_BITS)
    return first_bits / 2**_HASH_BITS


def is_late_validation(image_id: str, fraction: float) -> bool:
    """Whether an image that arrives after the first choice is a validation case: its hash is below `fraction`.

    Raises:
        ValueError: `fraction` is not in [0, 1).
    """
    _check_fraction(fraction)
    return stable_fraction(image_id) < fraction


def first_validation(image_ids: Collection[str], fraction: float) -> frozenset[str]:
    """The validation cases of a new study: the ids with the smallest hash, round(n * fraction) of them.

    At least one where `fraction` > 0 and there are four ids or more; with fewer, the rounding alone decides.
    Halves are rounded to even, as Python does. Repeated ids count once, order does not matter.

    Raises:
        ValueError: `fraction` is not in [0, 1).
    """
    _check_fraction(fraction)
    distinct = set(image_ids)
    count = round(len(distinct) * fraction)
    if fraction > 0 and len(distinct) >= 4:
        count = max(count, 1)
    return frozenset(sorted(distinct, key=lambda image_id: (stable_fraction(image_id), image_id))[:count])


def _check_fraction(fraction: float) -> None:
    if not 0.0 <= fraction < 1.0:
        raise ValueError(f"validation fraction: expected a number in [0, 1), got {fraction}")
