"""Plans a recipe from the properties of a data set and the memory, by the rules of nnU-Net (Isensee et al. 2021).

Rules from nnU-Net: the spacing is the median, for thick slices the 10th percentile; a patch has the proportions of the
median image and is shortened until it fits the memory; the network has as many levels as leave 4 voxels at the lowest;
CT is windowed by percentiles of the foreground, other images are z-scored; a step learns from at most 5 % of all
voxels. Own rules: this project's networks, a bound on a processor's work, coarser slices for it, and short trainings.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from activelabel.recipes.fingerprint import ANISOTROPY, Fingerprint, ImageShape, Lengths, Machine, median, percentile

_IN_PLANE_ABOVE = 2.0
"""The ratio of slice distance to pixel size above which the first poolings are in the plane, as in nnU-Net."""
_LEAST_EDGE = 4  # voxels at the lowest level
_MOST_STRIDES = 5
_LOWEST_LEVELS_SHARED = 2  # the upper two levels of an anisotropic_unet pool in the plane only
_SAME_SPACING = 0.05
_BYTES = {"unet": 30, "unet2d": 30, "anisotropic_unet": 160}
"""The measured bytes of memory of a training per voxel of a patch and channel of the first level."""
_CPU_VOXELS = 2**17
"""The most voxels of a step on a processor; a step of the recipe `quick` has 179,200."""
_WORK = {"unet": 1.0, "unet2d": 3.6}
"""The measured processor time per voxel of a step, that of a `unet` as 1: in the plane, levels are as fine in depth."""
_STEP_WORK = 57_000
"""The measured processor time of a step without a voxel, in voxels of a `unet`."""
_MOST_PADDING = 1.25
"""On a processor a level is left out if the patch, rounded up for it, has more voxels than this times the image's."""
_LEAST_STRIDES = 2  # fewer are never left for the sake of the padding
_CPU_WORK = 400 * (_STEP_WORK + 179_200)
"""The most work of a training on a processor: that of the recipe `quick`."""
_CPU_PIXELS = 120 * 120
"""The most pixels of a slice on a processor."""
_MOST_COARSER = 2.0
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
        spacing = _coarser(_median_size(shapes, spacing), spacing)
    size = _median_size(shapes, spacing)
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


def target_spacing(shapes: Sequence[ImageShape]) -> Lengths:
    """The spacing to resample to: the median of each axis; for thick slices the 10th percentile of their distances.

    With the median of 10 mm, images with slices of 5 mm would lose every second one.
    """
    axes = [[shape.spacing_mm[axis] for shape in shapes] for axis in range(3)]
    sizes = [median([shape.size[axis] for shape in shapes]) for axis in range(3)]
    target = [median(values) for values in axes]
    worst = max(range(3), key=lambda axis: target[axis])
    others = [axis for axis in range(3) if axis != worst]
    widest = max(target[axis] for axis in others)
    few = sizes[worst] * ANISOTROPY < min(sizes[axis] for axis in others)
    if target[worst] > ANISOTROPY * widest and few:
        target[worst] = max(percentile(axes[worst], 10), widest)
    return (round(target[0], 4), round(target[1], 4), round(target[2], 4))


def fit_patch(kind: str, size: Sequence[int], base: int, machine: Machine) -> tuple[tuple[int, int, int], int, bool]:
    """The patch for images of this size, the number of strides that it allows, and whether it had to be made smaller.

    The axis that is longest relative to the image is shortened until two patches fit. On a processor there are fewer
    strides where the patch would otherwise be much larger than the image: nothing is learnt from what pads it.
    """
    patch = [1 if kind == "unet2d" and axis == 2 else length for axis, length in enumerate(size)]
    shrunk = False
    while True:
        strides = _strides(kind, patch)
        steps, rounded = _rounded(kind, strides, patch)
        while kind == "unet" and not machine.has_gpu and strides > _LEAST_STRIDES:
            if math.prod(rounded) <= _MOST_PADDING * math.prod(patch):
                break
            strides -= 1
            steps, rounded = _rounded(kind, strides, patch)
        if _fits(kind, rounded, base, machine):
            break
        shortened = _shorter(rounded, size, steps)
        if shortened is None:
            break
        patch, shrunk = shortened, True
    return (rounded[0], rounded[1], rounded[2]), strides, shrunk


def _fits(kind: str, patch: Sequence[int], base: int, machine: Machine) -> bool:
    voxels = 2 * math.prod(patch)
    return _memory(kind, voxels, base) <= machine.memory_bytes and (machine.has_gpu or voxels <= 2 * _CPU_VOXELS)


def _memory(kind: str, voxels: int, base: int) -> int:
    return _BYTES[kind] * base * voxels


def _shorter(patch: list[int], size: Sequence[int], steps: Sequence[int]) -> list[int] | None:
    """The patch with its longest axis, relative to the image, shortened by a network step; None if impossible."""
    able = [axis for axis in range(3) if patch[axis] - steps[axis] >= min(_LEAST_EDGE * 2, patch[axis])]
    able = [axis for axis in able if patch[axis] > steps[axis]]
    if not able:
        return None
    longest = max(able, key=lambda axis: (patch[axis] / size[axis], patch[axis]))
    return [length - steps[axis] if axis == longest else length for axis, length in enumerate(patch)]


def _strides(kind: str, patch: Sequence[int]) -> int:
    """How often the axes of a patch can be halved so that the lowest level has at least 4 voxels along each."""
    in_plane = min(_halvings(length) for length in patch[:2])
    if kind == "unet2d":
        found = in_plane
    else:
        across = _halvings(patch[2]) + (_LOWEST_LEVELS_SHARED if kind == "anisotropic_unet" else 0)
        found = min(in_plane, across)
    return max(1, min(found, _MOST_STRIDES))


def _halvings(length: int) -> int:
    return max(0, int(math.log2(max(length, 1) / _LEAST_EDGE)))


def _divisors(kind: str, strides: int) -> tuple[int, int, int]:
    across = {"unet": strides, "unet2d": 0, "anisotropic_unet": max(0, strides - _LOWEST_LEVELS_SHARED)}[kind]
    return (2**strides, 2**strides, 2**across)


def _rounded(kind: str, strides: int, patch: Sequence[int]) -> tuple[tuple[int, int, int], list[int]]:
    """The multiples that so many strides need along each axis, and the patch rounded up to them."""
    steps = _divisors(kind, strides)
    return steps, [-(-length // step) * step for length, step in zip(patch, steps, strict=True)]


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
    edges = [length // step for length, step in zip(patch, _divisors(kind, strides), strict=True)]
    lowest = "x".join(map(str, edges[:2] if kind == "unet2d" else edges))
    why = f"the lowest level has {lowest} voxels; at least {_LEAST_EDGE} are wanted along an axis that is halved"
    fewer = _strides(kind, patch) > strides
    return f"{why}, and one more would make the patch much larger than the image" if fewer else why


def _why_patch(size: Sequence[int], shrunk: bool, machine: Machine) -> str:
    image = "x".join(map(str, size))
    bound = f"{machine.memory_bytes / 2**30:.1f} GiB" if machine.has_gpu else "what a processor does in a second or two"
    return f"the median image is {image} voxels" + (
        f"; made smaller to fit {bound}" if shrunk else ", and fits as a whole"
    )


def _median_size(shapes: Sequence[ImageShape], spacing: Lengths) -> tuple[int, int, int]:
    """The size of the median image after resampling."""
    resampled = [
        [
            round(length * own / wanted)
            for length, own, wanted in zip(shape.size, shape.spacing_mm, spacing, strict=True)
        ]
        for shape in shapes
    ]
    first, second, third = (max(1, round(median([sizes[axis] for sizes in resampled]))) for axis in range(3))
    return (first, second, third)


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
    whole = sum(math.prod(_median_size([shape], spacing)) for shape in shapes)
    by_memory = machine.memory_bytes // _memory(kind, voxels * patches, base)
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


def _coarser(size: Sequence[int], spacing: Lengths) -> Lengths:
    """The spacing at which slices of this size have few enough pixels for a processor, but twice as coarse at most."""
    factor = min(_MOST_COARSER, max(1.0, math.sqrt(size[0] * size[1] / _CPU_PIXELS)))
    return (round(spacing[0] * factor, 4), round(spacing[1] * factor, 4), spacing[2])


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
        chosen["window_hu"] = Choice([round(end, 1) for end in data.window], f"0.5 and 99.5 % of the {where} of the CT")
    elif data.is_ct:
        window = [round(data.window[0], 1), round(data.window[1], 1)]
        chosen["intensity"] = Choice("window", "images look like Hounsfield units")
        chosen["window_hu"] = Choice(window, f"0.5 and 99.5 % of the {where} of {data.measured} images")
    else:
        chosen["intensity"] = Choice("zscore", "images do not look like Hounsfield units")
    return chosen
