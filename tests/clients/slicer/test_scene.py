"""What the module does to a scene of Slicer, on Slicer's own logic."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from orientations import ORIENTATIONS, affine_towards
from slicer_panel import SlicerScene, new_scene

from activelabel.data.grids import Grid
from activelabel.data.label_checking import check_label
from activelabel.data.labels.label_texts import parse_labels
from activelabel.data.slice_places import slice_places
from activelabel.data.slices import plane_name
from ActiveLabelLib.errors import ClientError

SHAPE = (7, 6, 5)
LABELS = ("liver", "spleen", "tumour")
VALUES = {"liver": 1, "tumour": 5}
"""A project without a value for the spleen, and with a gap."""


def rotated(degrees: float) -> NDArray[np.float64]:
    """Return the affine of an oblique image, turned about two axes, with voxels of three sizes."""
    angle = np.radians(degrees)
    about_z = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    about_x = [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    affine = np.eye(4)
    affine[:3, :3] = np.array(about_z) @ np.array(about_x) @ np.diag([-1.5, -1.2, 2.0])
    affine[:3, 3] = (5.0, -3.0, 7.0)
    return affine


AFFINES = {code: affine_towards(code, (1.5, 1.2, 2.0)) for code in ORIENTATIONS[::5]} | {"oblique": rotated(20.0)}


@pytest.fixture
def scene() -> Any:
    return SlicerScene(new_scene())


def write(file: Path, voxels: NDArray[np.generic], affine: NDArray[np.float64]) -> Path:
    image = nibabel.Nifti1Image(voxels, affine)
    image.set_qform(affine, code=1)
    nibabel.save(image, file)
    return file


def drawn_label() -> NDArray[np.uint8]:
    label = np.zeros(SHAPE, np.uint8)
    label[1:4, 2:5, 0:2] = 1
    label[3:6, 1:3, 3] = 5
    return label


@pytest.mark.parametrize("name", AFFINES)
def test_a_label_goes_through_the_scene_voxel_for_voxel(scene: Any, tmp_path: Path, name: str) -> None:
    """The values of the project come back from the server's own check of what the module has sent."""
    image = write(tmp_path / "image.nii.gz", np.arange(210, dtype=np.int16).reshape(SHAPE), AFFINES[name])
    label = write(tmp_path / "label.nii.gz", drawn_label(), AFFINES[name])
    scene.open_image(image, "case7", LABELS)
    scene.open_label(label, VALUES)
    scene.write_label(tmp_path / "sent.nii.gz", LABELS)
    labels = parse_labels(["liver=1", "spleen=2", "tumour=5"], "--labels")
    checked = check_label(tmp_path / "sent.nii.gz", Grid(SHAPE, AFFINES[name]), labels, LABELS)
    np.testing.assert_array_equal(checked.array, drawn_label())


def test_nothing_drawn_is_a_label_of_background(scene: Any, tmp_path: Path) -> None:
    image = write(tmp_path / "image.nii.gz", np.ones(SHAPE, np.int16), rotated(10))
    scene.open_image(image, "case7", LABELS)
    scene.write_label(tmp_path / "sent.nii.gz", LABELS)
    sent = nibabel.load(tmp_path / "sent.nii.gz")
    assert (sent.shape, np.unique(sent.dataobj).tolist()) == (SHAPE, [0])


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_view_shows_the_slice_whose_position_the_server_names(
    scene: Any, tmp_path: Path, name: str, axis: int
) -> None:
    """The plane of the view then goes through all voxels of the slice, and through those of no other slice."""
    affine = AFFINES[name]
    scene.open_image(write(tmp_path / "image.nii.gz", np.ones(SHAPE, np.int16), affine), "case7", LABELS)
    places = slice_places(Grid(SHAPE, affine), axis)
    assert places.plane == plane_name(Grid(SHAPE, affine), axis)
    for index in range(SHAPE[axis]):
        scene.show_slice(places.plane, float(places.positions_mm[index]))
        assert scene.slice_position(places.plane) == pytest.approx(places.positions_mm[index], abs=1e-4)
        voxels = np.argwhere(np.ones(SHAPE))
        to_ras = scene._view(places.plane).GetSliceToRAS()
        matrix = np.array([[to_ras.GetElement(row, column) for column in range(4)] for row in range(4)])
        across = (np.linalg.inv(matrix) @ affine @ np.c_[voxels, np.ones(len(voxels))].T)[2]
        np.testing.assert_array_equal(np.abs(across) < 1e-3, voxels[:, axis] == index)


def test_only_changes_of_the_drawing_change_its_stamp(scene: Any, tmp_path: Path) -> None:
    image = write(tmp_path / "image.nii.gz", np.ones(SHAPE, np.int16), rotated(10))
    scene.open_image(image, "case7", LABELS)
    stamps = [scene.stamp()]
    scene.show_slice("axial", 3.0)
    scene.write_label(tmp_path / "sent.nii.gz", LABELS)
    scene.segmentation.GetSegmentation().GetNthSegment(0).SetColor(0.1, 0.2, 0.3)
    assert scene.stamp() == stamps[0]
    scene.open_label(write(tmp_path / "label.nii.gz", drawn_label(), rotated(10)), VALUES)
    stamps.append(scene.stamp())
    scene.segmentation.GetSegmentation().GetNthSegment(0).SetName("lung")
    stamps.append(scene.stamp())
    scene.segmentation.GetSegmentation().RemoveSegment("tumour")
    stamps.append(scene.stamp())
    assert len(set(stamps)) == 4


def test_a_drawn_segment_that_is_no_label_is_named_and_an_empty_one_is_left_out(scene: Any, tmp_path: Path) -> None:
    scene.open_image(write(tmp_path / "image.nii.gz", np.ones(SHAPE, np.int16), rotated(10)), "case7", LABELS)
    scene.segmentation.GetSegmentation().AddEmptySegment("Segment_1", "Segment_1")
    scene.write_label(tmp_path / "sent.nii.gz", LABELS)
    label = write(tmp_path / "label.nii.gz", drawn_label(), rotated(10))
    scene.open_label(label, {"Segment_1": 1, "tumour": 5})
    with pytest.raises(ClientError, match="'Segment_1' is no label of this project: rename it to one of liver, spleen"):
        scene.write_label(tmp_path / "sent.nii.gz", LABELS)


def test_a_value_without_a_name_is_refused(scene: Any, tmp_path: Path) -> None:
    scene.open_image(write(tmp_path / "image.nii.gz", np.ones(SHAPE, np.int16), rotated(10)), "case7", LABELS)
    with pytest.raises(ClientError, match="value 5 is no structure"):
        scene.open_label(write(tmp_path / "label.nii.gz", drawn_label(), rotated(10)), {"liver": 1})


def test_the_map_lies_in_the_foreground_of_every_view_from_0_to_its_largest_value(scene: Any, tmp_path: Path) -> None:
    scene.open_image(write(tmp_path / "image.nii.gz", np.ones(SHAPE, np.int16), rotated(10)), "case7", LABELS)
    uncertainty = np.linspace(0, 0.6, 210, dtype=np.float32).reshape(SHAPE)
    scene.show_overlay(write(tmp_path / "map.nii.gz", uncertainty, rotated(10)))
    scene.set_overlay_opacity(0.35)
    composites = list(scene._each("vtkMRMLSliceCompositeNode"))
    assert [one.GetForegroundOpacity() for one in composites] == [0.35] * 3
    for composite in composites:
        display = scene._scene.GetNodeByID(composite.GetForegroundVolumeID()).GetDisplayNode()
        window = (display.GetWindowLevelMin(), display.GetWindowLevelMax())
        assert window == pytest.approx((0.0, 0.6))
        assert composite.GetBackgroundVolumeID() == scene.volume.GetID()


def test_a_case_leaves_nothing_behind(tmp_path: Path) -> None:
    made = SlicerScene(new_scene())
    before = made._scene.GetNumberOfNodes()
    for _ in range(2):
        image = write(tmp_path / "image.nii.gz", np.ones(SHAPE, np.float32), rotated(10))
        made.open_image(image, "case7", LABELS)
        made.show_overlay(image)
        made.open_label(write(tmp_path / "label.nii.gz", drawn_label(), rotated(10)), VALUES)
        made.write_label(tmp_path / "sent.nii.gz", LABELS)
    made.clear()
    assert made._scene.GetNumberOfNodes() == before


def test_a_file_that_slicer_cannot_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "image.nii.gz").write_text("no image", encoding="utf-8")
    made = SlicerScene(new_scene())
    with pytest.raises(ClientError, match="Slicer cannot read"):
        made.open_image(tmp_path / "image.nii.gz", "case7", LABELS)
