"""Channels as 3D Slicer stores them, written by its own library."""

from pathlib import Path

import numpy as np
import pytest
from channel_files import CHANNELS, made_up_channels
from slicer_volumes import write_with_slicer
from small_studies import AFFINE_RAS

from activelabel.data.files.channels import channel_layout
from activelabel.data.files.studies_folder import find_images
from activelabel.data.volumes import read_volume


@pytest.mark.parametrize("kind", ["vector", "sequence"])
def test_channels_come_as_3d_slicer_stores_them(tmp_path: Path, kind: str) -> None:
    """A vector volume has them before the other axes of its NRRD, a sequence of volumes behind them."""
    channels, _ = made_up_channels(3)
    file = tmp_path / ("case.nrrd" if kind == "vector" else "case.seq.nrrd")
    write_with_slicer(channels, AFFINE_RAS, file, as_sequence=kind == "sequence")
    found = find_images(tmp_path, layout=channel_layout(CHANNELS))
    (image_id,) = found.files
    volume = read_volume(found.image(image_id))
    assert np.array_equal(volume.channels, channels)
    assert np.allclose(volume.affine_ras, AFFINE_RAS)
