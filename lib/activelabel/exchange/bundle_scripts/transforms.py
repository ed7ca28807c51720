"""Transforms of a bundle that MONAI does not have: before the network, and from its probabilities to a mask."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, NormalizeIntensity, Orientation, ScaleIntensityRange, SpatialResample
from torch import Tensor

from activelabel.data.grids import Grid, axis_order
from activelabel.data.intensities import spread_sample
from activelabel.data.labels.label_map import LabelMap
from activelabel.data.slices import PLANES, SlicePlane, plane_name, slice_axis

AXIS_ENDS = (("L", "R"), ("P", "A"), ("I", "S"))


class ScaleChannelsd(MapTransform):
    """Brings each channel into the network's range: windowed, or z-scored, each by itself.

    Windowed voxels run from 0 to 1. Before z-scoring, the voxels that are not 0 are clipped to their usual range and a
    share of it beyond: a hot voxel is no tissue. Voxels of 0, outside the body, stay 0.
    """

    def __init__(
        self, keys: str, kinds: Sequence[str], window_hu: Sequence[float], percent: float, beyond: float
    ) -> None:
        """`kinds` are `window` or `zscore`, one for each channel.

        The usual range lies between the percentiles `percent` and 100 - `percent`; `beyond` is a share of it.
        """
        super().__init__(keys)
        self._kinds = tuple(kinds)
        low, high = window_hu
        self._window = ScaleIntensityRange(a_min=low, a_max=high, b_min=0.0, b_max=1.0, clip=True)
        self._zscore = NormalizeIntensity(nonzero=True)
        self._percent = percent
        self._beyond = beyond

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """`data` with its images scaled.

        Raises:
            ValueError: an image has another number of channels.
        """
        changed = dict(data)
        for key in self.key_iterator(changed):
            image = changed[key]
            if len(image) != len(self._kinds):
                raise ValueError(f"{key}: the image has {len(image)} channels, expected {len(self._kinds)}")
            plain = image.as_tensor()
            scaled = [self._scaled(plain[place : place + 1], kind) for place, kind in enumerate(self._kinds)]
            changed[key] = MetaTensor(torch.cat(scaled), meta=image.meta)
        return changed

    def _scaled(self, channel: Tensor, kind: str) -> Tensor:
        done = self._window(channel) if kind == "window" else self._zscore(self._clipped(channel))
        return torch.as_tensor(done).as_subclass(Tensor)

    def _clipped(self, image: Tensor) -> Tensor:
        inside = image != 0
        if not inside.any():
            return image
        sample = spread_sample(image[inside].numpy())
        low, high = np.percentile(sample, [self._percent, 100 - self._percent])
        beyond = self._beyond * (high - low)
        return torch.where(inside, image.clamp(low - beyond, high + beyond), image)


class SlicesLastd(MapTransform):
    """Brings the axes into order, with the axis across the slices of each image last."""

    def __init__(self, keys: str, axcodes: str, plane: SlicePlane) -> None:
        """`axcodes` as in MONAI's `Orientationd`; `plane` is that of the slices, or the one of the acquisition."""
        super().__init__(keys)
        self._codes = axcodes
        self._plane = plane

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """`data` with the axes of its images in order."""
        changed = dict(data)
        for key in self.key_iterator(changed):
            image = changed[key]
            grid = _grid(image.shape[1:], image.affine)
            across = PLANES.index(plane_name(grid, slice_axis(grid, self._plane)))
            codes = self._codes[:across] + self._codes[across + 1 :] + self._codes[across]
            changed[key] = Orientation(axcodes=codes, labels=AXIS_ENDS)(image)
        return changed


class RestoreMaskd(MapTransform):
    """Turns probabilities (C, *S) into the most probable class of each voxel (1, W, H, D) of the image's own grid.

    Probabilities are interpolated, not classes; of equal ones the first class counts. It works class by class, as all
    classes of a large image would not fit into memory at once. Of structures that overlap, each is where it is more
    probable than not.
    """

    def __init__(self, keys: str, image_key: str, labels: Mapping[str, Any] | None = None) -> None:
        """`image_key` names the prepared image, from which the probabilities are; `labels` is what a `LabelMap` is made
        of, if the mask has other values than the numbers of the classes.
        """
        super().__init__(keys)
        self._image_key = image_key
        self._labels = None if labels is None else label_map_from(labels)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """`data` with a mask instead of probabilities."""
        changed = dict(data)
        image = changed[self._image_key]
        prepared = _grid(image.shape[1:], image.affine)
        original = _grid(image.meta["spatial_shape"], image.meta["original_affine"])
        for key in self.key_iterator(changed):
            mask = self._mask(torch.as_tensor(changed[key]).as_subclass(Tensor), prepared, original)
            meta = {"affine": torch.from_numpy(original.affine_ras), "filename_or_obj": image.meta["filename_or_obj"]}
            changed[key] = MetaTensor(mask[None], meta=meta)
        return changed

    def _mask(self, probabilities: Tensor, prepared: Grid, original: Grid) -> Tensor:
        if self._labels is None:
            return most_probable(probabilities, prepared, original)
        if self._labels.overlaps:
            maps = (_restored(one[None], prepared, original) for one in probabilities[1:])
            values = self._labels.paint([map.numpy() > 0.5 for map in maps])
        else:
            values = self._labels.value_of_class(most_probable(probabilities, prepared, original).numpy())
        return torch.from_numpy(values.astype(np.int32))


class SaveMaskd(MapTransform):
    """Writes masks as NIfTI, on the grid of their images.

    The `SaveImaged` of MONAI 1.6 takes a volume for a slice, and fails where the first two axes lie in no plane.
    """

    def __init__(self, keys: str, output_dir: str, postfix: str, dtype: str) -> None:
        """Write `NAME_postfix.nii.gz` into `output_dir`, with voxels of `dtype`; `NAME_0000` is taken for `NAME`."""
        super().__init__(keys)
        self._folder = Path(output_dir)
        self._postfix = postfix
        self._dtype = np.dtype(dtype)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """`data`, whose masks are files now."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for key in self.key_iterator(dict(data)):
            mask = data[key]
            name = Path(mask.meta["filename_or_obj"]).name.removesuffix(".gz").removesuffix(".nii")
            name = name.removesuffix("_0000")
            voxels = mask.as_tensor()[0].cpu().numpy().astype(self._dtype)
            image = nibabel.Nifti1Image(voxels, mask.affine.numpy())
            nibabel.save(image, self._folder / f"{name}_{self._postfix}.nii.gz")
        return dict(data)


def label_map_from(content: Mapping[str, Any]) -> LabelMap:
    """The label map of its attributes, whose lists are tuples again."""
    return LabelMap(
        tuple(content["names"]),
        tuple(tuple(values) for values in content["values"]),
        tuple(content["ignored"]),
        tuple(content["background"]),
        tuple(content["class_order"]),
    )


def most_probable(probabilities: Tensor, prepared: Grid, original: Grid) -> Tensor:
    """The most probable class of each voxel of `original`: (C, *S) on `prepared` gives int16 (W, H, D)."""
    best = _restored(probabilities[:1], prepared, original)
    classes = torch.zeros(best.shape, dtype=torch.int16)
    for value in range(1, len(probabilities)):
        restored = _restored(probabilities[value : value + 1], prepared, original)
        classes[restored > best] = value
        best = torch.maximum(best, restored)
    return classes


def _restored(one: Tensor, prepared: Grid, original: Grid) -> Tensor:
    """One map (1, *S) on the original grid, float32 (W, H, D): in another order, or interpolated."""
    order = axis_order(prepared, original)
    if order is not None:
        return torch.from_numpy(order.apply(one[0].float().cpu().numpy()).copy())
    image = MetaTensor(one.float(), meta={"affine": torch.from_numpy(prepared.affine_ras)})
    resample = SpatialResample(mode="bilinear", padding_mode="border", dtype=torch.float32)
    moved = resample(image, dst_affine=torch.from_numpy(original.affine_ras), spatial_size=original.shape)
    plain: Tensor = moved.as_tensor().cpu()[0]
    return plain


def _grid(shape: Any, affine: Any) -> Grid:
    width, height, depth = (int(size) for size in shape)
    return Grid((width, height, depth), torch.as_tensor(affine).double().numpy())
