"""Labels that cover only some slices of an image, and how two drawings become one label."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from activelabel.data.labels import LabelArray
from activelabel.data.slices import differing_slices


@dataclass(frozen=True, eq=False)
class PartialLabel:
    """A label `(W, H, D)` that is 0 outside `slices`, the indices along `axis` that it covers."""

    array: LabelArray
    axis: int
    slices: frozenset[int]

    @property
    def foreground_slices(self) -> int:
        """On how many of its slices something is drawn."""
        return len(differing_slices(self.array, 0, self.axis))


def drawn_slices(sent: LabelArray, axis: int, seen: Iterable[LabelArray]) -> set[int]:
    """Slices along `axis` on which something was drawn that was not there before.

    Args:
        sent: what the client sent, `(W, H, D)`.
        axis: along which slices are counted.
        seen: all that the client may have started from: earlier labels, a model's prediction. A slice that is as in one
            of them was not drawn; nor was one that came back empty.
    """
    drawn = differing_slices(sent, 0, axis)
    for label in seen:
        drawn &= differing_slices(sent, label, axis)
    return drawn


def merge(before: PartialLabel | None, sent: LabelArray, axis: int, covered: Collection[int]) -> PartialLabel:
    """What was there before, with the slices `covered` as they were sent; the rest of `sent` does not count."""
    merged = np.zeros_like(sent) if before is None else before.array.copy()
    of_merged, of_sent = (np.moveaxis(array, axis, 0) for array in (merged, sent))
    indices = sorted(covered)
    of_merged[indices] = of_sent[indices]
    return PartialLabel(merged, axis, frozenset(covered) | (before.slices if before else frozenset()))
