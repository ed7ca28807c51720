"""Who learns and who judges: a fixed number of validation cases, chosen once by a hash of the patient alone.

A draw by a random generator would change with the order of the files; a hash gives the same answer on every machine.
All images of a patient are on one side: a model would recognise whom it has seen. Whose an image is, a PACS says; where
nobody does, each image counts as a patient of its own.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

_HASH_BITS = 53  # as many as a float holds, so that the quotient below is exact and never rounds up to 1.0
_LARGEST_SHARE = 4  # one image in so many at most: of a small study most must be left to learn from


def stable_fraction(name: str) -> float:
    """A number in [0, 1) that depends on the name of a patient or image alone: the first 53 bits of its SHA-256."""
    first_bits = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> (64 - _HASH_BITS)
    return first_bits / 2**_HASH_BITS


def validation_count(images: int, wanted: int) -> int:
    """How many of so many images are validation cases: the wanted number, but no more than one in four."""
    return min(wanted, images // _LARGEST_SHARE)


def choose_validation(
    image_ids: Collection[str], count: int, patients: Mapping[str, str] | None = None, *, at_least_one: bool = True
) -> frozenset[str]:
    """`count` images, or all where there are fewer: those of the patients with the smallest hashes.

    A patient with more images than are still wanted is passed over, so there may be fewer. Order and repetition do not
    matter.

    Args:
        image_ids: from which they are chosen.
        count: how many.
        patients: of an image, whose it is; one that is not in it is nobody else's.
        at_least_one: if all patients have more images than are wanted, choose the one with the fewest nevertheless, as
            long as there is another to learn from.

    Raises:
        ValueError: `count` is negative.
    """
    if count < 0:
        raise ValueError(f"validation cases: expected 0 or more, got {count}")
    in_order = sorted(by_patient(image_ids, patients or {}).items(), key=lambda item: (stable_fraction(item[0]), item))
    chosen: set[str] = set()
    for _, images in in_order:
        if len(chosen) + len(images) <= count:
            chosen.update(images)
    if at_least_one and not chosen and count and len(in_order) > 1:
        fewest: list[str] = min((images for _, images in in_order), key=len)
        chosen.update(fewest)
    return frozenset(chosen)


def by_patient(image_ids: Iterable[str], patients: Mapping[str, str]) -> dict[str, list[str]]:
    """The images of each patient, in order; an image of which nobody says whose it is, is under its own id."""
    images = defaultdict[str, list[str]](list)
    for image_id in sorted(set(image_ids)):
        images[patients.get(image_id, image_id)].append(image_id)
    return dict(images)
