"""The images that a bundle segments."""

import re
from pathlib import Path

ENDINGS = (".nii.gz", ".nii")
FIRST_CHANNEL = re.compile(r"_0000(?=\.nii(\.gz)?$)")
"""In the name of the first of several files of an image, as nnU-Net has them."""


def list_images(place: str, channels: int) -> list[dict[str, str | list[str]]]:
    """The NIfTI file at `place`, or all those in the folder there, in order, as items of a data set.

    An image of several channels is one file with them along its last axis, or a file for each, `CASE_0000.nii.gz`,
    `CASE_0001.nii.gz` and so on, of which the first is listed.

    Raises:
        ValueError: there is none, or a channel is missing.
    """
    path = Path(place)
    files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    names = [str(file) for file in files if file.name.endswith(ENDINGS)]
    images: list[dict[str, str | list[str]]] = []
    if channels > 1 and any(FIRST_CHANNEL.search(name) for name in names):
        firsts = [name for name in names if FIRST_CHANNEL.search(name)]
        images += [{"image": _channels(first, channels)} for first in firsts]
    else:
        images += [{"image": name} for name in names]
    if not images:
        raise ValueError(f"--dataset_dir {place}: expected an image, or a folder of images, in .nii.gz or .nii")
    return images


def _channels(first: str, channels: int) -> list[str]:
    names = [FIRST_CHANNEL.sub(f"_{number:04d}", first) for number in range(channels)]
    missing = [Path(name).name for name in names if not Path(name).is_file()]
    if missing:
        raise ValueError(f"{Path(first).name}: expected {channels} channels, got no {missing[0]}")
    return names
