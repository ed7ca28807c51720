"""Which files make an image, and its channels on one grid."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from channel_files import CHANNELS, SIZE, made_up_channels, shifted_affine, write_case_files, write_task01
from small_studies import AFFINE_RAS, write_nifti

from activelabel.data.channel_grids import covered_share
from activelabel.data.files.channels import ONE_CHANNEL, channel_layout
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.labels_folder import find_labels
from activelabel.data.files.studies_folder import find_images
from activelabel.data.grids import Grid
from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import InvalidInputError
from activelabel.project.given.channel_files import shown_channel
from activelabel.project.readability import content_sha256

BRATS = ("_flair", "_t1", "_t1ce", "_t2")
FOUR = channel_layout(CHANNELS)
AS_BRATS = channel_layout(("FLAIR", "T1", "T1CE", "T2"), BRATS, shown="t1ce")


def test_files_that_nnunet_numbers_make_one_image_named_as_their_label(tmp_path: Path) -> None:
    channels = write_case_files(tmp_path / "imagesTr", "case_7", 3)
    write_nifti(tmp_path / "case_7.nii.gz", np.zeros(SIZE, np.uint8))
    found = find_images(tmp_path / "imagesTr", layout=FOUR)
    assert found.files == {"case_7": "case_7_0000.nii.gz"}
    assert found.lines() == []
    volume = read_volume(found.image("case_7"))
    assert volume.channels.shape == (4, *SIZE)
    assert np.array_equal(volume.channels, channels)
    assert np.array_equal(volume.array, channels[0])
    assert find_labels(tmp_path, found.files).files["case_7"] == "case_7.nii.gz"


def test_without_channels_each_file_is_an_image_as_before(tmp_path: Path) -> None:
    write_case_files(tmp_path, "case", 1)
    found = find_images(tmp_path)
    assert set(found.files) == {f"case_000{number}" for number in range(4)}
    assert found.image("case_0001") == ImageFiles(tmp_path / "case_0001.nii.gz")
    assert found.image("case_0001").as_json() == str(tmp_path / "case_0001.nii.gz")
    volume = read_volume(found.image("case_0001"))
    assert volume.channels.shape == (1, *SIZE)
    assert np.shares_memory(volume.channels, volume.array)


def test_the_channel_that_is_shown_gives_grid_and_file(tmp_path: Path) -> None:
    channels = write_case_files(tmp_path, "a", 2, BRATS)
    files = find_images(tmp_path, layout=AS_BRATS).image("a")
    assert files.path.name == "a_t1ce.nii.gz"
    assert not files.in_frames
    assert [channel.path.name for channel in files.channels] == [f"a{ending}.nii.gz" for ending in BRATS]
    assert np.array_equal(read_volume(files).array, channels[2])
    assert np.array_equal(read_volume(files).channels, channels)
    assert ImageFiles.of(json.loads(json.dumps(files.as_json()))) == files


def test_an_ending_within_another_is_not_taken_for_it(tmp_path: Path) -> None:
    layout = channel_layout(("a", "b"), ("_ce", "_t1_ce"))
    write_nifti(tmp_path / "x_ce.nii.gz", np.ones(SIZE, np.float32))
    write_nifti(tmp_path / "x_t1_ce.nii.gz", np.full(SIZE, 2, np.float32))
    found = find_images(tmp_path, layout=layout)
    assert found.files == {"x": "x_ce.nii.gz"}
    assert [float(channel.max()) for channel in read_volume(found.image("x")).channels] == [1, 2]


def test_files_that_are_called_only_as_their_channel_lie_in_the_folder_of_their_case(tmp_path: Path) -> None:
    for case in ("p1", "p2"):
        write_case_files(tmp_path / case, "", 5, ("FLAIR", "T1", "T1CE", "T2"))
    layout = channel_layout(("FLAIR", "T1", "T1CE", "T2"), ("FLAIR", "T1", "T1CE", "T2"))
    assert find_images(tmp_path, layout=layout).files == {"p1": "p1/FLAIR.nii.gz", "p2": "p2/FLAIR.nii.gz"}


def test_an_image_without_a_channel_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    for number, case in enumerate(("a", "b", "c")):
        write_case_files(tmp_path, case, number, BRATS)
    (tmp_path / "b_t1.nii.gz").unlink()
    (tmp_path / "c_t1ce.nii.gz").unlink()
    found = find_images(tmp_path, layout=AS_BRATS)
    assert list(found.files) == ["a"]
    assert found.lines() == [
        "1 passed over (b_flair.nii.gz): the channel T1 (a file that ends in _t1) is missing: put it beside",
        "1 passed over (c_flair.nii.gz): the channel T1CE (a file that ends in _t1ce) is missing: put it beside",
    ]
    with pytest.raises(InvalidInputError, match=r"^b_t1ce\.nii\.gz: its channel T1 is missing, expected the file b_t1"):
        read_volume(AS_BRATS.files(tmp_path / "b_t1ce.nii.gz"))


def by_itk(voxels: np.ndarray, path: Path, is_vector: bool = False) -> None:
    """Write an image (W, H, D), or frames (C, W, H, D) as values of a voxel or as a fourth axis, with SimpleITK."""
    array = voxels.transpose(3, 2, 1, 0) if is_vector else voxels.transpose(*range(voxels.ndim - 3), -1, -2, -3)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array), isVector=is_vector)
    affine_lps = np.diag([-1, -1, 1, 1]) @ AFFINE_RAS
    spacing_mm = np.linalg.norm(affine_lps[:3, :3], axis=0)
    direction = np.eye(image.GetDimension())
    direction[:3, :3] = affine_lps[:3, :3] / spacing_mm
    more = [1.0] * (image.GetDimension() - 3)
    image.SetSpacing([*spacing_mm, *more])
    image.SetOrigin([*affine_lps[:3, 3], *(0.0 for _ in more)])
    image.SetDirection(direction.ravel().tolist())
    SimpleITK.WriteImage(image, str(path))


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nii.gz"])
@pytest.mark.parametrize("is_vector", [True, False])
def test_channels_are_the_values_of_a_voxel_or_a_fourth_axis_in_each_format(
    tmp_path: Path, ending: str, is_vector: bool
) -> None:
    channels, _ = made_up_channels(1)
    by_itk(channels, tmp_path / f"case{ending}", is_vector)
    layout = channel_layout(CHANNELS, shown="T1w")
    files = find_images(tmp_path, layout=layout).image("case")
    volume = read_volume(files)
    assert np.array_equal(volume.channels, channels)
    assert np.array_equal(volume.array, channels[1])
    assert np.allclose(volume.affine_ras, AFFINE_RAS)
    assert read_grid(files).shape == SIZE
    shown = read_volume(shown_channel(files, tmp_path / "shown", "case"))
    assert np.array_equal(shown.array, channels[1])
    assert np.allclose(shown.affine_ras, AFFINE_RAS)
    with pytest.raises(
        InvalidInputError, match=rf"^case{ending}: .* expected 3D with 3 frames for the channels a, b, c"
    ):
        read_volume(channel_layout(("a", "b", "c")).files(files.path))


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_the_channels_of_a_case_are_files_in_each_format(tmp_path: Path, ending: str) -> None:
    channels, _ = made_up_channels(2)
    for number, channel in enumerate(channels):
        by_itk(channel, tmp_path / f"case_{number:04}{ending}")
    found = find_images(tmp_path, layout=FOUR)
    assert found.files == {"case": f"case_0000{ending}"}
    volume = read_volume(found.image("case"))
    assert np.array_equal(volume.channels, channels)
    assert np.allclose(volume.affine_ras, AFFINE_RAS)


def test_channels_in_files_of_two_formats_are_said_to_be_such(tmp_path: Path) -> None:
    channels, _ = made_up_channels(2)
    by_itk(channels[0], tmp_path / "case_a.nrrd")
    by_itk(channels[1], tmp_path / "case_b.mha")
    found = find_images(tmp_path, layout=channel_layout(("A", "B"), ("_a", "_b")))
    assert found.files == {}
    assert sorted(found.lines()) == [
        "1 passed over (case_a.nrrd): its channels are files of several formats: convert B (_b) to this one",
        "1 passed over (case_b.mha): its channels are files of several formats: convert A (_a) to this one",
    ]


def test_a_channel_that_nobody_asks_for_is_no_image(tmp_path: Path) -> None:
    write_case_files(tmp_path, "a", 1, BRATS)
    found = find_images(tmp_path, layout=channel_layout(("FLAIR",), ("_flair",)))
    assert found.files == {"a": "a_flair.nii.gz"}
    assert set(found.passed_over) == {f"a{end}.nii.gz" for end in BRATS[1:]}
    assert read_volume(found.image("a")).channels.shape == (1, *SIZE)


def test_the_frames_of_a_file_are_channels(tmp_path: Path) -> None:
    folder = write_task01(tmp_path, 1)
    found = find_images(folder / "imagesTr", layout=FOUR)
    assert found.files == {"BRATS_000": "BRATS_000.nii.gz"}
    files, channels = found.image("BRATS_000"), made_up_channels(0)[0]
    volume = read_volume(files)
    assert files.in_frames
    assert np.array_equal(volume.channels, channels)
    assert np.array_equal(volume.affine_ras, AFFINE_RAS)
    assert read_grid(files).shape == SIZE
    assert ImageFiles.of(json.loads(json.dumps(files.as_json()))) == files


def test_some_frames_in_another_order(tmp_path: Path) -> None:
    folder = write_task01(tmp_path, 1)
    layout = channel_layout(("T2w", "flair"), declared=CHANNELS)
    volume = read_volume(layout.files(folder / "imagesTr" / "BRATS_000.nii.gz"))
    assert np.array_equal(volume.channels, made_up_channels(0)[0][[3, 0]])
    by_number = channel_layout(("T2w", "flair"), ("_0003", "_0000"))
    assert np.array_equal(
        read_volume(by_number.files(folder / "imagesTr" / "BRATS_000.nii.gz")).channels, volume.channels
    )


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        (SIZE, "the image is 24x20x16 voxels of 1 values, expected 3D with 4 frames for the channels FLAIR, T1w"),
        ((*SIZE, 3), "the image is 24x20x16x3 voxels"),
        ((*SIZE, 5), "the image is 24x20x16x5 voxels"),
        ((*SIZE, 2, 2), "the image is 24x20x16x2x2 voxels"),
        (SIZE[:2], "24x20 voxels"),
    ],
)
def test_another_number_of_frames_is_refused(tmp_path: Path, shape: tuple[int, ...], problem: str) -> None:
    file = write_nifti(tmp_path / "a.nii.gz", np.ones(shape, np.float32))
    for read in (read_volume, read_grid):
        with pytest.raises(InvalidInputError, match=problem):
            read(FOUR.files(file))


def test_several_frames_stay_refused_where_an_image_has_one_channel(tmp_path: Path) -> None:
    file = write_nifti(tmp_path / "a.nii.gz", np.ones((*SIZE, 4), np.float32))
    for read in (read_volume, read_grid):
        with pytest.raises(InvalidInputError, match="the image is 24x20x16x4 voxels, expected 3D"):
            read(file)


def test_a_channel_that_lies_reversed_is_put_in_order_exactly(tmp_path: Path) -> None:
    channels = write_case_files(tmp_path, "a", 4)
    reversed_ras = AFFINE_RAS @ np.array([[-1, 0, 0, SIZE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    write_nifti(tmp_path / "a_0002.nii.gz", channels[2][::-1], reversed_ras)
    volume = read_volume(FOUR.files(tmp_path / "a_0000.nii.gz"))
    assert np.array_equal(volume.channels, channels)
    assert not volume.resampled


def test_a_channel_on_another_grid_is_resampled_to_the_shown_one(tmp_path: Path) -> None:
    """A plane of millimetres is the same plane on every grid: worked out from the affines alone."""
    write_case_files(tmp_path, "a", 4)
    fine = np.diag([-0.75, -0.75, 1.0, 1.0])
    places = np.indices((49, 41, 33)).reshape(3, -1)
    x_mm, y_mm, z_mm = fine[:3, :3] @ places
    write_nifti(tmp_path / "a_0003.nii.gz", (2 * x_mm + y_mm - 3 * z_mm).reshape(49, 41, 33).astype(np.float32), fine)
    volume = read_volume(FOUR.files(tmp_path / "a_0000.nii.gz"))
    x_mm, y_mm, z_mm = AFFINE_RAS[:3, :3] @ np.indices(SIZE).reshape(3, -1)
    assert np.allclose(volume.channels[3], (2 * x_mm + y_mm - 3 * z_mm).reshape(SIZE), atol=1e-3)
    assert set(volume.resampled) == {3}


def test_where_a_channel_ends_it_has_its_lowest_value(tmp_path: Path) -> None:
    write_case_files(tmp_path, "a", 4)
    bright = np.full((24, 20, 12), 7, np.float32)
    bright[0, 0, 0] = -1000
    write_nifti(tmp_path / "a_0001.nii.gz", bright, shifted_affine((0, 0, 1.0)))
    array = read_volume(FOUR.files(tmp_path / "a_0000.nii.gz")).channels[1]
    assert np.allclose(array[2:, 2:, 2:11], 7)
    assert np.allclose(array[2:, 2:, 13:], -1000)


@pytest.mark.parametrize(("depth", "share"), [(16, 1.0), (8, 0.5), (4, 0.25)])
def test_the_share_that_a_grid_covers_of_another(depth: int, share: float) -> None:
    assert covered_share(Grid((24, 20, depth), AFFINE_RAS), Grid(SIZE, AFFINE_RAS)) == share


def test_a_channel_that_covers_too_little_is_refused_with_the_reason(tmp_path: Path) -> None:
    channels = write_case_files(tmp_path, "a", 4)
    write_nifti(tmp_path / "a_0001.nii.gz", channels[1], shifted_affine((0, 0, 20.0)))
    line = (
        r"^a_0001\.nii\.gz: its channel T1w covers 38% of FLAIR \(a_0000\.nii\.gz\), expected at least 50%: they "
        "are not of one place"
    )
    with pytest.raises(InvalidInputError, match=line):
        read_volume(FOUR.files(tmp_path / "a_0000.nii.gz"))


@pytest.mark.parametrize("place", range(4))
def test_the_content_of_every_channel_counts(tmp_path: Path, place: int) -> None:
    channels = write_case_files(tmp_path, "a", 4)
    files = FOUR.files(tmp_path / "a_0000.nii.gz")
    before = content_sha256(read_volume(files))
    channels[place, 3, 4, 5] += 1
    write_nifti(tmp_path / f"a_000{place}.nii.gz", channels[place])
    assert content_sha256(read_volume(files)) != before


def test_a_resampled_channel_counts_as_its_file_has_it(tmp_path: Path) -> None:
    channels = write_case_files(tmp_path, "a", 4)
    files = FOUR.files(tmp_path / "a_0000.nii.gz")
    write_nifti(tmp_path / "a_0001.nii.gz", channels[1], shifted_affine((0, 0, 1.0)))
    before = read_volume(files)
    write_nifti(tmp_path / "a_0001.nii.gz", channels[1], shifted_affine((0, 0, 2.0)))
    moved = read_volume(files)
    assert content_sha256(before) != content_sha256(moved)
    moved.channels[1] += 1e-3  # as another machine may interpolate
    assert content_sha256(moved) == content_sha256(read_volume(files))


@pytest.mark.parametrize(
    ("names", "files", "shown", "declared", "line"),
    [
        (("A", "a"), (), "", (), "^channels 'A', 'a': expected a name for each that differs"),
        (("A", ""), (), "", (), "^channels 'A', ''"),
        (("A", "B"), ("_a",), "", (), "^channel_files _a: expected a different ending for each of the 2 channels"),
        (("A", "B"), ("_a", "_a"), "", (), "^channel_files _a,_a: expected a different ending"),
        (("A", "B"), (), "C", (), "^shown_channel C: use one of the channels, A, B"),
        ((), (), "C", (), "^shown_channel C: no channels are named"),
        (("T1", "T3"), (), "", ("T1", "T2"), "^channels: 'T3' is none of those of the dataset.json, T1, T2"),
    ],
)
def test_channels_that_contradict_themselves_are_refused(
    names: tuple[str, ...], files: tuple[str, ...], shown: str, declared: tuple[str, ...], line: str
) -> None:
    with pytest.raises(InvalidInputError, match=line):
        channel_layout(names, files, shown, declared)


def test_names_come_from_the_endings_or_the_dataset_where_nobody_gives_them() -> None:
    assert channel_layout((), BRATS).names == ("flair", "t1", "t1ce", "t2")
    assert channel_layout((), declared=CHANNELS).names == CHANNELS
    assert channel_layout((), declared=("CT",)) == ONE_CHANNEL == channel_layout(())
