"""Pseudo-labels: a computed foreground from which a proxy model learns before anything is annotated.

For CT, nath2022 (3.1): the largest connected part of a soft-tissue window. The paper covers CT only; for all other
images the foreground is tissue that gives signal, found by multi-Otsu thresholds.
"""

import numpy as np
from numpy.typing import NDArray

from activelabel.data.modality import Modality
from activelabel.data.volumes import Volume
from activelabel.errors import InvalidInputError

Mask = NDArray[np.bool_]

CLASSES = 4
"""Classes of multi-Otsu; the darkest is not foreground. With three, half of a hippocampus would be darkest."""
COMPONENT_SHARE = 0.1
"""Components of at least this share of the largest are kept, such as the other lung, leg or hemisphere."""

_NEIGHBOURS_26 = np.ones((3, 3, 3), dtype=np.bool_)
_BINS = 256
_OUTLIER_PERCENT = 0.5
_LEAST_BACKGROUND_SHARE = 0.5


def pseudo_label(volume: Volume, modality: Modality, window_hu: float = 50.0, level_hu: float = 125.0) -> Mask:
    """The pseudo-label of an image on its own voxels: bool (W, H, D), neither empty nor everything.

    Args:
        volume: the image as it was read.
        modality: CT gives `soft_tissue`, anything else `foreground`.
        window_hu: width of the window, for CT.
        level_hu: middle of the window, for CT.

    Raises:
        InvalidInputError: nothing or everything is foreground, so the volume has no pseudo-label and is ranked last; or
            the window is empty.
    """
    ct = modality == "CT"
    mask = soft_tissue(volume.array, window_hu, level_hu) if ct else foreground(volume.array)
    if mask.any() and not mask.all():
        return mask
    extent = "everything" if mask.any() else "empty"
    low, high = float(volume.array.min()), float(volume.array.max())
    how = f"{level_hu - window_hu / 2:g} to {level_hu + window_hu / 2:g} HU" if ct else "foreground by intensity"
    hint = "proxy.window_hu and proxy.level_hu" if ct else "the image"
    raise InvalidInputError(
        f"{volume.path.name}: its pseudo-label ({how}) is {extent}, expected foreground and background; its voxels are "
        f"{low:g} to {high:g}: check {hint}, or set proxy.modality; the image is ranked last"
    )


def soft_tissue(volume_hu: NDArray[np.float32], window_hu: float = 50.0, level_hu: float = 125.0) -> Mask:
    """Largest 26-connected component of the voxels within `level_hu` ± `window_hu` / 2, both ends in (nath2022, 3.1).

    Args:
        volume_hu: (W, H, D) in Hounsfield units.
        window_hu: width of the window.
        level_hu: middle of the window.

    Returns:
        Bool (W, H, D); of equal components, the first by voxel index; all False if nothing lies in the window.

    Raises:
        InvalidInputError: the window is empty or inverted.
    """
    if not (window_hu > 0 and np.isfinite(window_hu) and np.isfinite(level_hu)):
        raise InvalidInputError(
            f"proxy.window_hu is {window_hu:g} around proxy.level_hu {level_hu:g}: the window holds nothing, "
            "expected a width above 0 and a finite level"
        )
    inside = (volume_hu >= level_hu - window_hu / 2) & (volume_hu <= level_hu + window_hu / 2)
    labels, sizes = _components(inside)
    return inside if not sizes.size else labels == int(sizes.argmax()) + 1


def foreground(volume: NDArray[np.float32]) -> Mask:
    """Tissue that gives signal: the large components of the voxels brighter than the darkest of four classes.

    First, a constant background on most of the image's border is left out, whatever its value (0 in z-scored images,
    where tissue lies on both sides of it). Multi-Otsu thresholds of the rest then tell air, fluid or cortical bone from
    tissue, even in crops without any background. A majority vote over the 27 voxels around each voxel removes noise,
    and components below a tenth of the largest are left out.

    Args:
        volume: (W, H, D), finite, in any unit; scaling and shifting it changes nothing.

    Returns:
        Bool (W, H, D). A constant image gives all False. An image of background and one other value gives the voxels of
        that value that remain after the vote and the removal of small components.
    """
    background = _constant_background(volume)
    body = np.ones(volume.shape, dtype=np.bool_) if background is None else volume != background
    values = volume[body]
    if not values.size or (background is None and values.min() == values.max()):
        return np.zeros(volume.shape, dtype=np.bool_)
    threshold = _darkest_class_threshold(values)
    bright = body if threshold is None else body & (volume >= threshold)
    from scipy import ndimage  # a scoring, which seldom draws a pseudo-label, need not wait for it

    # The majority of a mask is the median of the image against the same threshold, and much faster.
    smooth = ndimage.uniform_filter(bright.astype(np.float32), size=3, mode="nearest") > 0.5
    labels, sizes = _components(smooth & body)
    kept = np.concatenate([[False], sizes >= COMPONENT_SHARE * sizes.max(initial=0)])  # The background is label 0.
    return np.asarray(kept[labels], dtype=np.bool_)


def _constant_background(volume: NDArray[np.float32]) -> float | None:
    """The value that more than half of the voxels of the six faces share; None if there is none."""
    faces = np.concatenate([volume.take(end, axis=axis).ravel() for axis in range(3) for end in (0, -1)])
    values, counts = np.unique(faces, return_counts=True)
    most = int(counts.argmax())
    return float(values[most]) if counts[most] > _LEAST_BACKGROUND_SHARE * faces.size else None


def _darkest_class_threshold(values: NDArray[np.float32]) -> float | None:
    """The upper end of the darkest of `CLASSES` classes, or of fewer if there are fewer values; None for one value."""
    low, high = np.percentile(values, [_OUTLIER_PERCENT, 100 - _OUTLIER_PERCENT])
    if low == high:
        low, high = values.min(), values.max()
    counts, edges = np.histogram(np.clip(values, low, high), bins=_BINS, range=(float(low), float(high)))
    classes = min(CLASSES, int(np.count_nonzero(counts)))
    if classes < 2:
        return None
    # The edge above the last bin of the darkest class: a bin's middle may lie above some of its own voxels.
    centres = (edges[:-1] + edges[1:]) / 2
    from skimage.filters import threshold_multiotsu  # takes a second to import

    thresholds = threshold_multiotsu(classes=classes, hist=(counts, centres))
    return float(edges[np.searchsorted(centres, thresholds[0]) + 1])


def _components(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """26-connected components, numbered from 1, and the number of voxels of each."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=_NEIGHBOURS_26)
    return labels, np.bincount(labels.ravel(), minlength=count + 1)[1:]
