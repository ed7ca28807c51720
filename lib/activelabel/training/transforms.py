"""Transforms from annotated cases to training patches: deterministic steps, which are cached, then random ones.

In between, labels are shifted by one, so that 0 means "not annotated". Around a small image, and in corners that a
rotation brings in, the label is filled with 0 and the image is reflected.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, RandomizableTransform, Transform
from monai.utils import convert_to_tensor
from torch import Tensor
from torch.utils.data import Dataset
from typing_extensions import NotRequired, TypedDict

from activelabel.data.files.image_files import ImageJson
from activelabel.data.label_checking import check_label
from activelabel.data.labels.label_map import IGNORE, label_map_of
from activelabel.data.preprocessing import prepare_label
from activelabel.data.slice_resampling import prepare_annotated_slices
from activelabel.errors import InvalidInputError
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.recipes import PreprocessingSettings, TrainingSettings
from activelabel.training.augmentation import AUGMENTATIONS
from activelabel.training.losses.by_name import UNANNOTATED
from activelabel.training.partners import with_partners
from activelabel.training.patches import KEYS, PadToPatch, RatioPatches, patch_around
from activelabel.training.slice_patches import KeepAnnotatedSlices, SlicePatches
from activelabel.training.voxel_index import ListVoxels, VoxelIndex


class Case(TypedDict):
    """An annotated case: the files of its image and of its label, whose values are those of the app.

    `slices` lists the annotated slices along `slice_axis` of the image's own voxel array; None means all slices.
    `content` says what the image holds, by which it is known again although its files have other times; None if that
    is not known.
    """

    image: ImageJson
    label: str
    slices: NotRequired[list[int] | None]
    slice_axis: NotRequired[int | None]
    content: NotRequired[str | None]


class LoadCase(Transform):
    """Load a `Case` as the network sees it: image float32 (C, *S), label and bool `annotated` (1, *S).

    The label has the number of each voxel's part (`LabelMap.parts`), which is that of its structure where structures
    exclude each other. Ignored voxels are not annotated. Deterministic: MONAI caches it.
    """

    def __init__(
        self, preprocessing: PreprocessingSettings, labels: Sequence[str], kept: PreparedImages | None = None
    ) -> None:
        """`kept`: prepared images that need not be read again; by default, each is read."""
        self._preprocessing = preprocessing
        self._kept = kept or PreparedImages(None)
        self.labels = label_map_of(labels)

    def __call__(self, case: Case) -> dict[Hashable, Tensor]:
        """Read, check and prepare both files.

        Raises:
            InvalidInputError: a file cannot be read, the label does not belong to the image or is ignored as a whole,
                or an annotated slice lies outside the image.
            ValueError: the case has slices but no axis.
        """
        image = self._kept.get(case["image"], self._preprocessing)
        grid = image.original
        checked = self.labels.part_numbers(check_label(case["label"], grid, self.labels).array)
        slices, axis = case.get("slices"), case.get("slice_axis")
        if slices is None:
            label = prepare_label(checked, grid, self._preprocessing)
            return self._loaded(case, image.tensor, label, torch.ones_like(label, dtype=torch.bool))
        if axis is None:
            raise ValueError("a case with slices needs the axis along which they are counted")
        check_slices(Path(case["label"]).name, slices, grid.shape[axis])
        label, annotated = prepare_annotated_slices(checked, slices, axis, image, self._preprocessing)
        return self._loaded(case, image.tensor, label, annotated)

    def _loaded(self, case: Case, image: Tensor, label: Tensor, annotated: Tensor) -> dict[Hashable, Tensor]:
        if self.labels.ignored:
            judged = label != self.labels.ignored_part
            label, annotated = label * judged, annotated & judged
            if not annotated.any():
                raise InvalidInputError(
                    f"{Path(case['label']).name}: all its voxels are ignored ({IGNORE}): draw something, or leave the "
                    "case out"
                )
        return {"image": image, "label": label, "annotated": annotated}


def check_slices(label: str, slices: Sequence[int], count: int) -> None:
    """Check that the `slices` that a label covers are among the `count` slices of its image.

    Raises:
        InvalidInputError: one is not among them, or `slices` is empty.
    """
    wrong = [index for index in slices if not 0 <= index < count]
    if wrong or not slices:
        which = f"slice {wrong[0]} of" if wrong else "no slice of"
        raise InvalidInputError(
            f"{label}: {which} {count} is recorded as annotated, expected one or more from 0 to {count - 1}: "
            "annotate the image again"
        )


class ShiftLabel(Transform):
    """Raise labels by one and set unannotated voxels to 0; later steps never see the values of the file there."""

    def __call__(self, case: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """From `LoadCase`'s three tensors to image and int16 label."""
        return {"image": case["image"], "label": (case["label"].to(torch.int16) + 1) * case["annotated"]}


class StratifiedPatches(RandomizableTransform):
    """Patches around annotated voxels of a class that is drawn first, so that a small organ is as frequent as a large
    one.

    The first of two or more patches lies around a voxel of a foreground class, if any is annotated (chlebus2022, II.B);
    the others lie around a voxel of any class, background included. Each patch holds its voxel.
    """

    def __init__(self, size: Sequence[int], count: int) -> None:
        super().__init__()
        self._size = np.array(size)
        self._count = count

    def __call__(self, case: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Patches of an output of `ShiftLabel`; the case must be annotated somewhere and no smaller than a patch."""
        voxels = VoxelIndex(case)
        annotated = voxels.values
        foreground = [value for value in annotated if value > 1]
        patches = []
        for number in range(self._count):
            stratified = number == 0 and self._count > 1 and foreground
            value = int(self.R.choice(foreground if stratified else annotated))
            patches.append(patch_around(voxels.draw(value, self.R), case, self._size))
        return patches


class MarkUnannotated(Transform):
    """Patches as the network takes them: plain tensors, label values shifted back, `UNANNOTATED` among them."""

    def __call__(self, patch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The image and the label of `patch`, without MONAI's metadata, which costs time to collate."""
        image, shifted = (convert_to_tensor(patch[key], track_meta=False).contiguous() for key in KEYS)
        return {"image": image, "label": shifted.to(torch.int16) + UNANNOTATED}


def training_transforms(load: LoadCase, settings: TrainingSettings, seed: int) -> Compose:
    """From a `Case` to `patches_per_volume` patches, drawn from `seed`: image float32 (C, *S) and label int16 (1, *S).

    Unannotated voxels have the label `UNANNOTATED`. Images smaller than a patch are padded by reflection, as for
    prediction; the padding is unannotated. If slices are sampled, the result is the whole case with its label shifted,
    from which `training_items` draws.
    """
    prepared = case_preparation(load, settings)
    if settings.sampling == "slices":
        return prepared
    return _seeded([*prepared.transforms, *patch_transforms(settings, seed).transforms], seed)


def case_preparation(load: LoadCase, settings: TrainingSettings) -> Compose:
    """The part of `training_transforms` without randomness, whose result may be kept."""
    steps: list[Transform] = [load, ShiftLabel(), PadToPatch(settings.patch_size)]
    if settings.sampling == "volumes":
        steps.append(ListVoxels())
    elif settings.patch_size[-1] == 1:
        steps.append(KeepAnnotatedSlices())
    return Compose(steps)


def patch_transforms(settings: TrainingSettings, seed: int) -> Compose:
    """The part of `training_transforms` that draws patches from a prepared case."""
    return _seeded([_patches(settings), *_after(settings)], seed)


def training_items(cases: Dataset[Any], settings: TrainingSettings, seed: int) -> Dataset[list[dict[str, Tensor]]]:
    """The items of a loader: cases after `training_transforms`, or their annotated slices."""
    if settings.sampling == "slices":
        return SlicePatches(cases, settings, _seeded(_after(settings), seed))
    return with_partners(cases, settings)


def _after(settings: TrainingSettings) -> list[Transform]:
    """The transforms of a patch after it is cut out."""
    flat = settings.patch_size[-1] == 1
    return [*AUGMENTATIONS[settings.augmentation](flat), MarkUnannotated()]


def _seeded(steps: Sequence[Callable[..., Any]], seed: int) -> Compose:
    transforms = Compose(steps)
    transforms.set_random_state(seed=seed)
    return transforms


def _patches(settings: TrainingSettings) -> StratifiedPatches | RatioPatches:
    if settings.foreground_share is None:
        return StratifiedPatches(settings.patch_size, settings.patches_per_volume)
    return RatioPatches(settings.patch_size, settings.patches_per_volume, settings.foreground_share)
