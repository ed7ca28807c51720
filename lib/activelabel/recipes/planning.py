"""Plans a recipe from the properties of a data set and the memory, by the rules of nnU-Net (Isensee et al. 2021).

Rules from nnU-Net: the spacing is the median, for thick slices the 10th percentile; a patch has the proportions of the
median image and is shortened until it fits the memory; the network has as many levels as leave 4 voxels at the lowest;
CT is windowed by percentiles of the foreground, other images are z-scored; a step learns from at most 5 % of all
voxels. Own rules: this project's networks, a bound on a processor's work, coarser slices for it, and short trainings.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from activelabel.recipes.fingerprint import Fingerprint, ImageShape, Lengths, Machine, median
from activelabel.recipes.patch_size import LEAST_EDGE, fit_patch, multiples, possible_strides, training_bytes
from activelabel.recipes.target_spacing import coarser_spacing, median_size, target_spacing

_IN_PLANE_ABOVE = 2.0
"""The ratio of slice distance to pixel size above which the first poolings are in the plane, as in nnU-Net."""
_SAME_SPACING = 0.05
_WORK = {"unet": 1.0, "unet2d": 3.6}
"""The measured processor time per voxel of a step, that of a `unet` as 1: in the plane, levels are as fine in depth."""
_STEP_WORK = 57_000
"""The measured processor time of a step without a voxel, in voxels of a `unet`."""
_CPU_WORK = 400 * (_STEP_WORK + 179_200)
"""The most work of a training on a processor: that of the recipe `quick`."""
_DATASET_SHARE = 0.05


@dataclass(frozen=True)
class Choice:
    """A number of a recipe, and the reason for it."""

    value: object
    why: str


Plan = dict[str, dict[str, Choice]]
"""Choices by section and key."""


def plan(data: Fingerprint, machine: Machine) -> Plan:
    """The numbers of a recipe for this data set on this machine.

    Raises:
        ValueError: there is no image.
    """
    if not data.shapes:
        raise ValueError("a recipe is planned for at least one image")
    thickness = median([shape.spacing_mm[2] / max(shape.spacing_mm[:2]) for shape in data.shapes])
    kind, why_kind = _kind(thickness, machine)
    shapes = data.oriented if kind == "unet" else data.shapes
    spacing = target_spacing(shapes)
    if kind == "unet2d":
        spacing = coarser_spacing(median_size(shapes, spacing), spacing)
    size = median_size(shapes, spacing)
    base, most = (32, 320) if machine.has_gpu else (16, 128)
    patch, strides, shrunk = fit_patch(kind, size, base, machine)
    voxels = math.prod(patch)
    batch, patches, why_batch = _batch(kind, patch, base, machine, shapes, spacing, shrunk)
    channels = [min(most, base * 2**level) for level in range(strides + 1)]
    return {
        "network": {
            "kind": Choice(kind, why_kind),
            "channels": Choice(channels, _why_channels(strides, base, most, machine)),
            "strides": Choice([2] * strides, _why_strides(kind, patch, strides)),
            "residual_units": Choice(0, "as the recipe quick: as good after as many seconds"),
            "dropout": Choice(0.2, "as quick: it must be there for Monte Carlo passes"),
            "normalisation": Choice("instance", "as nnU-Net, whose batches are as small"),
            **({} if kind == "anisotropic_unet" else {"upsampling": Choice("smoothed", "leaves no grid of dots")}),
        },
        "preprocessing": _preprocessing(data, kind, shapes, spacing),
        "training": {
            **_steps(kind, machine, voxels * patches * batch),
            **({"sampling": Choice("slices", "each annotated slice alike")} if kind == "unet2d" else {}),
            "batch_size": Choice(batch, why_batch),
            "patch_size": Choice(list(patch), _why_patch(size, shrunk, machine)),
            "patches_per_volume": Choice(patches, _why_patches(patches)),
            "learning_rate": Choice(5e-3, "as quick"),
            "loss": Choice("dice_ce", "as nnU-Net"),
            "validate_every": Choice(8, "as quick"),
            "validation_cases": Choice(*_validation(len(data.shapes))),
        },
        "prediction": {
            "repeats": Choice(10 if machine.has_gpu else 5, "Monte Carlo passes, as many as the hardware gives soon"),
            "window_size": Choice(list(patch), "the patch that was learnt from"),
            "window_overlap": Choice(0.25, "as quick; nnU-Net has 0.5, four times the windows"),
        },
        "query": {
            "strategy": Choice("variance", "as quick"),
            "start": Choice(4, "as quick"),
            "size": Choice(2, "as quick"),
        },
    }


def _kind(thickness: float, machine: Machine) -> tuple[str, str]:
    ratio = f"slices are {thickness:.1f} times as thick as their pixels are wide"
    if thickness <= _IN_PLANE_ABOVE:
        return "unet", f"{ratio}: 3D, as within {_IN_PLANE_ABOVE:g}"
    if machine.has_gpu:
        return "anisotropic_unet", f"{ratio}: its upper levels work in the plane"
    return "unet2d", f"{ratio}: in the plane; in 3D it takes six times as long on a processor"


def _why_channels(strides: int, base: int, most: int, machine: Machine) -> str:
    device = "on a GPU, as nnU-Net" if machine.has_gpu else "on a processor"
    return f"{strides + 1} levels; {base} at first {device}, doubled to {most} at most"


def _why_strides(kind: str, patch: Sequence[int], strides: int) -> str:
    edges = [length // step for length, step in zip(patch, multiples(kind, strides), strict=True)]
    lowest = "x".join(map(str, edges[:2] if kind == "unet2d" else edges))
    why = f"the lowest level has {lowest} voxels; at least {LEAST_EDGE} are wanted along an axis that is halved"
    fewer = possible_strides(kind, patch) > strides
    return f"{why}, and one more would make the patch much larger than the image" if fewer else why


def _why_patch(size: Sequence[int], shrunk: bool, machine: Machine) -> str:
    image = "x".join(map(str, size))
    bound = f"{machine.memory_bytes / 2**30:.1f} GiB" if machine.has_gpu else "what a processor does in a second or two"
    return f"the median image is {image} voxels" + (
        f"; made smaller to fit {bound}" if shrunk else ", and fits as a whole"
    )


def _batch(
    kind: str,
    patch: tuple[int, int, int],
    base: int,
    machine: Machine,
    shapes: Sequence[ImageShape],
    spacing: Lengths,
    shrunk: bool,
) -> tuple[int, int, str]:
    """The number of cases, or slices, per step, of patches for each, and the reason."""
    voxels, patches = math.prod(patch), 2
    if kind == "unet2d":
        return 2, patches, "slices; many steps rather than large ones, on a processor"
    if not machine.has_gpu and not shrunk:
        return 1, 1, "many steps rather than large ones, and two patches of a case would show the same"
    whole = sum(math.prod(median_size([shape], spacing)) for shape in shapes)
    by_memory = machine.memory_bytes // training_bytes(kind, voxels * patches, base)
    by_share = int(whole * _DATASET_SHARE // (voxels * patches))
    if not machine.has_gpu:
        return 1, patches, "many steps rather than large ones, on a processor"
    found = max(1, min(by_memory, by_share))
    why = f"{by_memory} would fit the memory, and {by_share} are {_DATASET_SHARE:.0%} of all voxels"
    return found, patches, f"{why}; at least one"


def _steps(kind: str, machine: Machine, step_voxels: int) -> dict[str, Choice]:
    if machine.has_gpu:
        return {
            "epochs": Choice(40, "with steps_per_epoch: nnU-Net's 250,000 steps are a day; a round has minutes"),
            "steps_per_epoch": Choice(50, "2,000 steps in all"),
        }
    steps = max(120, min(1000, int(_CPU_WORK / (_STEP_WORK + _WORK[kind] * step_voxels))))
    return {
        "epochs": Choice(40, "as quick"),
        "steps_per_epoch": Choice(max(3, round(steps / 40)), "in all about as long as a training of quick"),
    }


def _why_patches(patches: int) -> str:
    return "the whole image" if patches == 1 else "one of them around foreground, as nnU-Net's third of a batch"


def _validation(images: int) -> tuple[int, str]:
    return max(1, min(5, images // 10)), "one image in ten, 5 at most: each has to be annotated as a whole"


def _preprocessing(data: Fingerprint, kind: str, shapes: Sequence[ImageShape], spacing: Lengths) -> dict[str, Choice]:
    chosen = {"orientation": Choice("RAS", "as all recipes")}
    if kind != "unet":
        chosen["slices_last"] = Choice(True, f"{kind} works in the plane of the acquisition")
    apart = max(
        abs(own / wanted - 1) for shape in shapes for own, wanted in zip(shape.spacing_mm, spacing, strict=True)
    )
    if apart > _SAME_SPACING:
        median_mm = [median([shape.spacing_mm[axis] for shape in shapes]) for axis in range(3)]
        thick = spacing[2] < round(median_mm[2], 4) and kind != "unet"
        why = f"the median of {len(shapes)} images, from which they differ by up to {apart:.0%}"
        if kind == "unet2d" and spacing[0] > median_mm[0] * (1 + _SAME_SPACING):
            factor = spacing[0] / median_mm[0]
            why = f"slices {factor:.2g} times as coarse as the median image's: fewer pixels, more steps"
        chosen["spacing_mm"] = Choice(list(spacing), why + ("; of thick slices the 10th percentile" if thick else ""))
    where = "foreground" if data.foreground_share is not None else "voxels, as nobody drew a foreground"
    if len(set(data.ct_channels)) > 1:
        settings = ["window" if ct else "zscore" for ct in data.ct_channels]
        chosen["intensity"] = Choice(settings, "for each channel, whether it looks like Hounsfield units")
        chosen["window_hu"] = Choice(_window(data), f"0.5 and 99.5 % of the {where} of the CT")
    elif data.is_ct:
        chosen["intensity"] = Choice("window", "images look like Hounsfield units")
        chosen["window_hu"] = Choice(_window(data), f"0.5 and 99.5 % of the {where} of {data.measured} images")
    else:
        chosen["intensity"] = Choice("zscore", "images do not look like Hounsfield units")
    return chosen


def _window(data: Fingerprint) -> list[float]:
    """The ends of the window, apart even where all that was measured has one value."""
    low, high = (round(end, 1) for end in data.window)
    return [low, high] if low < high else [low - 1, high + 1]
