"""Labels that Slicer itself makes and exports arrive as they were drawn, for any axes of the image."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from orientations import affine_towards
from slicer_module import SlicerModule, params_at_0_8_5, params_at_main
from small_studies import write_nifti

from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.labels.label_texts import parse_labels
from activelabel.data.volumes import read_grid
from activelabel.server.client_info import read_label_info
from activelabel.server.routes.request_checks import parse_label_params
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

LABELS = ("liver", "spleen", "kidney")
SHAPE = (12, 14, 9)


def oblique(codes: str = "LPI") -> NDArray[np.float64]:
    """Return an anisotropic affine with axes near `codes` (left-handed by default), turned by 17 and 11 degrees."""
    affine = affine_towards(codes, (0.7, 1.1, 3.5))
    for first, second, degrees in ((0, 1, 17.0), (1, 2, 11.0)):
        turn = np.eye(4)
        cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        turn[[first, first, second, second], [first, second, first, second]] = cos, -sin, sin, cos
        affine = turn @ affine
    return affine


def drawing() -> NDArray[np.uint8]:
    """Return a drawing of liver and kidney without spleen, in which no shape is its own mirror image."""
    label = np.zeros(SHAPE, np.uint8)
    label[2:5, 3:6, 2:4] = 1
    label[7:9, 8:13, 5] = 3
    return label


class Desk:
    """An image, the module that shows it, and the archive that receives its labels."""

    def __init__(self, folder: Path, affine: NDArray[np.float64], labels: Sequence[str] = LABELS) -> None:
        self.folder = folder
        noise = np.random.default_rng(0).normal(0, 100, SHAPE).astype(np.int16)
        self.image = write_nifti(folder / "case.nii.gz", noise, affine)
        self.module = SlicerModule(self.image)
        self.ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
        self.ledger.sync_images(["case"], 0)
        reader = HistoryReader(self.ledger, labels, folder / "labels", folder / "predictions", asks_slices=False)
        self.archive = LabelArchive(self.ledger, reader, "acquisition")

    def submit(self, file_name: str, params: Any) -> NDArray[np.uint8]:
        """Press *Submit Label*, and return the kept label."""
        file = self.folder / file_name
        info = parse_label_params(json.dumps({**params(self.module.export(file)), "client_id": "user-xyz"}), "case")
        kept = self.archive.keep("case", "final", file, read_grid(self.image), read_label_info(info))
        return np.asarray(nibabel.load(self.archive.file(kept)).dataobj).astype(np.uint8)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, oblique())


@pytest.mark.parametrize("params", [params_at_0_8_5, params_at_main])
@pytest.mark.parametrize("file_name", ["label.nii.gz", "label.nrrd"])
def test_a_label_drawn_in_slicer_is_kept_voxel_by_voxel(desk: Desk, file_name: str, params: Any) -> None:
    desk.module.add_segments(LABELS)
    desk.module.draw("liver", drawing() == 1)
    desk.module.draw("kidney", drawing() == 3)
    np.testing.assert_array_equal(desk.submit(file_name, params), drawing())


@pytest.mark.parametrize("codes", ["LPS", "SRA", "PIR"])
def test_a_label_drawn_in_slicer_is_kept_in_every_orientation_of_the_axes(tmp_path: Path, codes: str) -> None:
    desk = Desk(tmp_path, oblique(codes))
    desk.module.add_segments(LABELS)
    desk.module.draw("liver", drawing() == 1)
    desk.module.draw("kidney", drawing() == 3)
    np.testing.assert_array_equal(desk.submit("label.nii.gz", params_at_main), drawing())


@pytest.mark.parametrize("params", [params_at_0_8_5, params_at_main])
def test_values_follow_segments_in_another_order_and_with_some_left_out(desk: Desk, params: Any) -> None:
    """Values follow the sent segments, while `idx` also counts the others."""
    desk.module.add_segments(["foreground_scribbles", "kidney", "background", "liver"])
    desk.module.draw("liver", drawing() == 1)
    desk.module.draw("kidney", drawing() == 3)
    desk.module.draw("background", drawing() == 0)
    assert desk.module.export(desk.folder / "x.nii.gz") == [{"name": "kidney", "idx": 2}, {"name": "liver", "idx": 4}]
    np.testing.assert_array_equal(desk.submit("label.nii.gz", params), drawing())


def test_a_label_on_which_nothing_is_drawn_is_kept_as_empty(desk: Desk) -> None:
    desk.module.add_segments(LABELS)
    assert not desk.submit("label.nii.gz", params_at_main).any()


@pytest.mark.parametrize("empty", [(), (1,), (3,), (1, 3)])
def test_a_label_that_opens_with_the_image_comes_back_unchanged(desk: Desk, empty: tuple[int, ...]) -> None:
    """Slicer maps values to names by their position, also if values are missing."""
    before = np.where(np.isin(drawing(), empty), 0, drawing()).astype(np.uint8)
    original = write_nifti(desk.folder / "original.nii.gz", before, oblique())
    desk.module.import_label(original, LABELS)
    desk.module.add_segments(LABELS)
    np.testing.assert_array_equal(desk.submit("label.nii.gz", params_at_main), before)


@pytest.mark.parametrize("text", ["whole=1+2+3+4,core=1+4,enhancing=4", "organ=5+2,tumour=3,ignore=7"])
def test_values_of_a_label_map_come_back_as_they_are_in_the_file(tmp_path: Path, text: str) -> None:
    """The module offers the structures first, so that its segments are in another order than the values."""
    labels = parse_labels(text.split(","), "test")
    desk = Desk(tmp_path, oblique(), labels)
    earlier = np.zeros(SHAPE, np.uint8)
    for place, value in enumerate(labels.drawn_names.values()):
        earlier[2 * place : 2 * place + 2, 3:6, 2:4] = value
    write_nifti(tmp_path / "original.nii.gz", earlier, oblique())
    desk.module.add_segments(labels.offered_names)
    desk.module.import_label(tmp_path / "original.nii.gz", list(labels.shown_names))
    np.testing.assert_array_equal(desk.submit("label.nii.gz", params_at_main), earlier)
