"""Made-up images of four channels: a file for each channel, or one file whose frames they are, as the Decathlon has."""

import json
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from small_studies import AFFINE_RAS, write_nifti

CHANNELS = ("FLAIR", "T1w", "t1gd", "T2w")
SIZE = (24, 20, 16)


def made_up_channels(seed: int, size: tuple[int, int, int] = SIZE) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Four channels (4, W, H, D) and a label, a ball that the second channel alone shows, dark in noise."""
    random = np.random.default_rng(seed)
    channels = random.normal(100, 10, (4, *size)).astype(np.float32)
    centre = np.array(size) / 2 + random.uniform(-2, 2, 3)
    away = np.linalg.norm(np.indices(size) - centre[:, None, None, None], axis=0)
    ball = away < min(size) / 3.2
    channels[1][ball] -= 60
    channels *= np.array([1, 3, 0.5, 2], np.float32)[:, None, None, None]
    return channels, ball.astype(np.uint8)


def write_task01(folder: Path, count: int, labels: bool = True, size: tuple[int, int, int] = SIZE) -> Path:
    """A folder as that of the Decathlon's Task01: `imagesTr` of 4D files, `labelsTr`, and `dataset.json`."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    cases = []
    for number in range(count):
        name = f"BRATS_{number:03}.nii.gz"
        channels, label = made_up_channels(number, size)
        write_nifti(folder / "imagesTr" / name, np.moveaxis(channels, 0, -1))
        if labels:
            write_nifti(folder / "labelsTr" / name, label)
        cases.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    described = {
        "modality": {str(place): name for place, name in enumerate(CHANNELS)},
        "labels": {"0": "background", "1": "ball"},
        "training": cases,
    }
    (folder / "dataset.json").write_text(json.dumps(described))
    return folder


def write_case_files(
    folder: Path, stem: str, seed: int, endings: tuple[str, ...] = ("_0000", "_0001", "_0002", "_0003")
) -> NDArray[np.float32]:
    """The four channels of a case, each in a file of its own; returns their voxels."""
    folder.mkdir(parents=True, exist_ok=True)
    channels, _ = made_up_channels(seed)
    for ending, channel in zip(endings, channels, strict=True):
        write_nifti(folder / f"{stem}{ending}.nii.gz", channel)
    return channels


def shifted_affine(by_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """The affine of the made-up images, moved."""
    affine = AFFINE_RAS.copy()
    affine[:3, 3] += by_mm
    return affine


def load(path: Path) -> NDArray[np.float32]:
    return np.asarray(nibabel.load(path).get_fdata(), dtype=np.float32)
