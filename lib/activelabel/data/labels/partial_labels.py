"""Labels that cover only some slices of an image, and the merge of two drawings into one label."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from activelabel.data.labels.arrays import LabelArray
from activelabel.data.labels.label_map import label_map_of
from activelabel.data.slices import differing_slices


@dataclass(frozen=True, eq=False)
class PartialLabel:
    """A label `(W, H, D)` of `slices`, the indices along `axis` that it covers.

    Outside them it is 0, or shows what was drawn there and does not count, as a reviewer has returned it.
    """

    array: LabelArray
    axis: int
    slices: frozenset[int]

    def foreground_slices(self, labels: Sequence[str]) -> int:
        """The number of its slices with a structure of the label map `labels` on them."""
        label_map = label_map_of(labels)
        drawn = self.array if label_map.undrawn == (0,) else label_map.drawn(self.array)
        return len(self.slices.intersection(differing_slices(drawn, 0, self.axis)))


def merge(before: PartialLabel | None, sent: LabelArray, axis: int, covered: Collection[int]) -> PartialLabel:
    """The label `before`, with the slices `covered` taken from `sent`; the rest of `sent` is ignored."""
    merged = np.zeros_like(sent) if before is None else before.array.copy("K")
    of_merged, of_sent = (np.moveaxis(array, axis, 0) for array in (merged, sent))
    indices = sorted(covered)
    of_merged[indices] = of_sent[indices]
    return PartialLabel(merged, axis, frozenset(covered) | (before.slices if before else frozenset()))
