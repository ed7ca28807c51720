"""The split into training and validation: a fixed number of validation cases, chosen once by a hash of the patient.

A random generator would depend on the order of the files; a hash gives the same answer on every machine. All images of
a patient are on one side, because a model would recognise a patient that it has seen. A PACS names the patient of an
image; without that, each image counts as a patient of its own.
"""

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from itertools import compress
from typing import TypeVar

import numpy as np

from activelabel.analysis.name_hashes import first_bytes

_HASH_BITS = 53  # a float holds so many bits: the quotient below is exact and never rounds up to 1.0
_LARGEST_SHARE = 4  # at most one image in so many: most of a small study must be left to learn from


_Named = TypeVar("_Named")


def stable_fraction(name: str) -> float:
    """A number in [0, 1) that depends on the name of a patient or image alone: the first 53 bits of its SHA-256."""
    first_bits = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> (64 - _HASH_BITS)
    return first_bits / 2**_HASH_BITS


def smallest_by_hash(items: Collection[_Named], count: int, name_of: Callable[[_Named], str]) -> list[_Named]:
    """The `count` items, or all if there are fewer, of which the names have the smallest fractions, smallest first.

    Of the same fraction those come first whose names do, then those that come first.
    """
    few: Iterable[_Named] = items
    if 0 < count < len(items):
        bits = first_bytes(map(name_of, items)) >> np.uint64(64 - _HASH_BITS)
        few = compress(items, (bits <= np.partition(bits, count - 1)[count - 1]).tolist())
    return heapq.nsmallest(count, few, key=lambda item: (stable_fraction(name_of(item)), name_of(item)))


def validation_count(images: int, wanted: int) -> int:
    """The number of validation cases: the wanted number, but no more than one in four images."""
    return min(wanted, images // _LARGEST_SHARE)


def choose_validation(
    image_ids: Collection[str], count: int, patients: Mapping[str, str] | None = None, *, at_least_one: bool = True
) -> frozenset[str]:
    """`count` images, or all if there are fewer: those of the patients with the smallest hashes.

    A patient with more images than are still wanted is passed over, so the result may be smaller. The order of the ids
    and repeated ids do not matter.

    Args:
        image_ids: the images to choose from.
        count: the wanted number of images.
        patients: the patient of each image by id; an image that is not in it counts as a patient of its own.
        at_least_one: if all patients have more images than are wanted, choose the one with the fewest nevertheless, as
            long as there is another to learn from.

    Raises:
        ValueError: `count` is negative.
    """
    if count < 0:
        raise ValueError(f"validation cases: expected 0 or more, got {count}")
    if not patients:  # in a fraction of the memory, as a million images at a first start need
        once = image_ids if isinstance(image_ids, Set | Mapping) else set(image_ids)
        return frozenset(smallest_by_hash(once, count, str))
    in_order = sorted(by_patient(image_ids, patients).items(), key=lambda item: (stable_fraction(item[0]), item))
    chosen: set[str] = set()
    for _, images in in_order:
        if len(chosen) + len(images) <= count:
            chosen.update(images)
    if at_least_one and not chosen and count and len(in_order) > 1:
        fewest: list[str] = min((images for _, images in in_order), key=len)
        chosen.update(fewest)
    return frozenset(chosen)


def by_patient(image_ids: Iterable[str], patients: Mapping[str, str]) -> dict[str, list[str]]:
    """The images of each patient, in order; an image of an unknown patient is under its own id."""
    images = defaultdict[str, list[str]](list)
    for image_id in sorted(set(image_ids)):
        images[patients.get(image_id, image_id)].append(image_id)
    return dict(images)
