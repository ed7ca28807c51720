"""A small exported model with random weights, and images in several orientations and spacings."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from exported_models import MakeExported
from scipy.ndimage import gaussian_filter

from activelabel.exchange.exported import Exported
from activelabel.networks import build_network
from activelabel.recipes import NetworkSettings, PredictionSettings, PreprocessingSettings
from activelabel.training.checkpoints import ModelDescription

NETWORK = NetworkSettings(channels=(4, 8), strides=(2,), residual_units=0, dropout=0.2)


@pytest.fixture
def make_exported() -> MakeExported:
    def make(
        network: torch.nn.Module | None = None,
        prediction: Any = None,
        channels: tuple[str, ...] = (),
        **preprocessing: Any,
    ) -> Exported:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            built = build_network(NETWORK, 3, max(1, len(channels))) if network is None else network
        return Exported(
            name="tiny-7",
            version=7,
            network=built.eval(),
            description=ModelDescription(
                recipe="tiny",
                labels=("liver", "tumour"),
                network=NETWORK,
                channels=channels,
                preprocessing=PreprocessingSettings(**{"intensity": "window", **preprocessing}),
            ),
            prediction=PredictionSettings(repeats=2, window_size=(16, 16, 8), **(prediction or {})),
            modality="CT",
            metrics={"dice": 0.75},
            licence="CC-BY-4.0",
            card="# tiny-7\n",
        )

    return make


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """An image with axes against RAS, an oblique one with its axes exchanged, and one smaller than a window."""
    folder = tmp_path / "images"
    folder.mkdir()
    cosine, sine = np.cos(0.2), np.sin(0.2)
    oblique = np.array(
        [[0, 0.9 * cosine, -3 * sine, 5], [0, 0.9 * sine, 3 * cosine, 7], [1.1, 0, 0, -3], [0, 0, 0, 1.0]]
    )
    random = np.random.default_rng(0)
    for name, shape, affine in (
        ("against", (34, 28, 14), np.diag([-0.7, -0.8, 2.5, 1.0])),
        ("oblique", (24, 30, 11), oblique),
        ("small", (9, 22, 6), np.diag([1.5, -1.2, 1.7, 1.0])),
    ):
        voxels = 900 * gaussian_filter(random.normal(size=shape), 1.5)
        voxels[:3] = 0  # outside the body
        nibabel.save(nibabel.Nifti1Image(voxels.astype(np.int16), affine), folder / f"{name}.nii.gz")
    return folder
