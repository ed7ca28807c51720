"""From the most uncertain slice to the learnt slice: one index along the image's own axis in any orientation."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from orientations import ORIENTATIONS, affine_towards
from small_studies import write_nifti

from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.annotation.label_info import LabelInfo
from activelabel.data.preprocessing import prepare_image
from activelabel.data.slices import SlicePlane, slice_mask
from activelabel.data.volumes import read_volume
from activelabel.prediction.image_scores import image_scores
from activelabel.recipes import PreprocessingSettings, RegionSettings
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.training.transforms import LoadCase


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    codes=st.sampled_from(ORIENTATIONS),
    plane=st.sampled_from(["acquisition", "sagittal", "coronal", "axial"]),
    spacing=st.permutations([1.0, 1.5, 3.0]),
    slices_last=st.booleans(),
    place=st.floats(0, 0.999),
)
def test_the_most_uncertain_slice_is_the_one_that_is_asked_for_drawn_and_learnt(
    tmp_path_factory: pytest.TempPathFactory,
    codes: str,
    plane: SlicePlane,
    spacing: list[float],
    slices_last: bool,
    place: float,
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    affine = affine_towards(codes, tuple(spacing))
    shape = (4, 5, 6)
    ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
    ledger.sync_images(["a"], 0)
    reader = HistoryReader(ledger, ("ball",), folder / "labels", folder / "predictions", asks_slices=True)
    archive = LabelArchive(ledger, reader, plane)
    # Every voxel is the index of its slice, in hundredths of the window.
    ramp = write_nifti(folder / "a.nii.gz", np.zeros(shape, np.float32), affine)
    axis = archive.slice_axis("a", read_volume(ramp).grid)
    index = int(place * shape[axis])
    values = np.zeros(shape) + np.moveaxis(np.arange(shape[axis]).reshape(-1, 1, 1), 0, axis)
    volume = read_volume(write_nifti(ramp, values.astype(np.float32), affine))
    preprocessing = PreprocessingSettings(
        intensity="window", window_hu=(0.0, 100.0), slice_plane=plane, slices_last=slices_last
    )
    prepared = prepare_image(volume, preprocessing)

    foreground = 0.5 * torch.isclose(prepared.tensor[0], torch.tensor(index / 100))
    statistics = MonteCarloStatistics()
    statistics.update(torch.stack([1 - foreground, foreground]))
    (score, _) = image_scores(statistics, prepared, RegionSettings(), axis, ["entropy"], ["everything"])
    asked = int(np.argmax(score.slices or ()))
    assert asked == index

    ledger.grant_lease("ann", "a", 30, "uncertainty_slices", slices=[asked])
    drawn = slice_mask(shape, axis, [asked]).astype(np.uint8)
    kept = archive.keep("a", "final", write_nifti(folder / "sent.nii.gz", drawn, affine), volume.grid, LabelInfo("ann"))
    assert kept.slices == (asked,)

    case = LoadCase(preprocessing, ("ball",))(
        {
            "image": str(ramp),
            "label": str(archive.file(kept)),
            "slices": list(kept.slices),
            "slice_axis": ledger.image("a").slice_axis,
        }
    )
    annotated = case["annotated"]
    assert int(annotated.sum()) == drawn.sum()
    torch.testing.assert_close(case["image"][annotated], torch.full((int(drawn.sum()),), asked / 100))
    assert case["label"][annotated].unique().tolist() == [1]
