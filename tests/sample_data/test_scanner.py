from dataclasses import replace

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from abdomen_phantom.patient import KIDNEYS, LABELS, LIVER, SPLEEN, TUMOUR, Finding, Habitus, Patient, Phase
from abdomen_phantom.scanner import Scan, scan

PATIENTS = {
    "native": Patient(0, Phase.NATIVE, Habitus.NORMAL, frozenset({Finding.LIVER_TUMOUR})),
    "arterial": Patient(1, Phase.ARTERIAL, Habitus.THIN, frozenset({Finding.SINGLE_KIDNEY})),
    "portal venous": Patient(2, Phase.PORTAL_VENOUS, Habitus.OBESE, frozenset({Finding.ASCITES, Finding.LIVER_TUMOUR})),
    "ill": Patient(3, Phase.NATIVE, Habitus.NORMAL, frozenset({Finding.FATTY_LIVER, Finding.SPLENOMEGALY})),
}


@pytest.fixture(scope="module")
def scans() -> dict[str, Scan]:
    return {name: scan(patient, seed=11) for name, patient in PATIENTS.items()}


@pytest.fixture(params=list(PATIENTS))
def any_scan(request: pytest.FixtureRequest, scans: dict[str, Scan]) -> Scan:
    return scans[request.param]


def centre_mm(made: Scan, value: int) -> np.ndarray:
    return points_mm(made, made.label == value).mean(axis=0)


def points_mm(made: Scan, mask: np.ndarray) -> np.ndarray:
    return nibabel.affines.apply_affine(made.affine_ras, np.argwhere(mask))


def volume_ml(made: Scan, value: int) -> float:
    return float((made.label == value).sum() * abs(np.linalg.det(made.affine_ras[:3, :3])) / 1000)


def core_hu(made: Scan, value: int) -> float:
    """Return the HU of a structure without its outermost voxels, which mix with their surroundings."""
    return float(made.volume_hu[ndimage.binary_erosion(made.label == value)].mean())


def spine_x_mm(made: Scan) -> float:
    """Return the middle of the bone in the body's middle third, which holds the spine and no ribs."""
    bone = made.volume_hu > 250
    bone[:32] = bone[64:] = False
    bone[:, :48] = False
    return float(np.median(points_mm(made, bone)[:, 0]))


def test_image_and_label_share_a_grid(any_scan: Scan) -> None:
    assert any_scan.volume_hu.shape == any_scan.label.shape == (96, 96, 48)
    assert any_scan.volume_hu.dtype == np.int16
    assert any_scan.label.dtype == np.uint8
    assert set(np.unique(any_scan.label)) <= set(LABELS)


def test_voxels_are_stored_as_a_scanner_does(any_scan: Scan) -> None:
    assert nibabel.aff2axcodes(any_scan.affine_ras) == ("L", "P", "S")
    x, y, z = nibabel.affines.voxel_sizes(any_scan.affine_ras)
    assert x == y
    assert 2.8 < x < 5.2
    assert 5.5 < z < 6.5


def test_organs_lie_on_their_side(any_scan: Scan) -> None:
    spine = spine_x_mm(any_scan)
    liver, spleen = centre_mm(any_scan, LIVER), centre_mm(any_scan, SPLEEN)
    assert liver[0] > spine + 20  # RAS+: the patient's right is positive
    assert spleen[0] < spine - 50
    assert spleen[1] < liver[1]  # further back
    kidneys = centre_mm(any_scan, KIDNEYS)
    assert kidneys[1] < liver[1]
    assert kidneys[2] < liver[2]


def test_kidneys_lie_on_both_sides_of_the_spine_unless_one_is_missing(scans: dict[str, Scan]) -> None:
    for name, made in scans.items():
        across = points_mm(made, made.label == KIDNEYS)[:, 0] - spine_x_mm(made)
        right = (across > 0).mean()
        if name == "arterial":
            assert right in (0.0, 1.0)
        else:
            assert 0.3 < right < 0.7


def test_volumes_are_plausible(any_scan: Scan) -> None:
    assert 700 < volume_ml(any_scan, LIVER) < 2100
    assert 90 < volume_ml(any_scan, SPLEEN) < 950
    assert 180 < volume_ml(any_scan, KIDNEYS) < 420


def test_a_large_spleen_is_larger_than_a_normal_one(scans: dict[str, Scan]) -> None:
    assert volume_ml(scans["ill"], SPLEEN) > 400
    assert volume_ml(scans["native"], SPLEEN) < 320


@pytest.mark.parametrize(
    ("name", "liver", "spleen", "kidneys"),
    [
        ("native", (42, 74), (34, 62), (20, 44)),
        ("arterial", (52, 92), (95, 150), (105, 190)),
        ("portal venous", (90, 132), (98, 145), (140, 205)),
        ("ill", (5, 42), (34, 62), (20, 44)),
    ],
)
def test_densities_are_those_of_the_phase(
    scans: dict[str, Scan],
    name: str,
    liver: tuple[float, float],
    spleen: tuple[float, float],
    kidneys: tuple[float, float],
) -> None:
    for value, (least, most) in ((LIVER, liver), (SPLEEN, spleen), (KIDNEYS, kidneys)):
        assert least < core_hu(scans[name], value) < most


def test_air_fat_and_bone_are_there(any_scan: Scan) -> None:
    volume = any_scan.volume_hu
    assert volume[:3, :3].mean() == pytest.approx(-1000, abs=3)
    counts, edges = np.histogram(volume, bins=np.arange(-200, -30, 10))
    assert -125 < edges[counts.argmax()] < -90
    assert np.percentile(volume[volume > 250], 90) > 350
    assert volume.max() < 1200


def test_a_tumour_is_inside_the_liver(scans: dict[str, Scan]) -> None:
    for name in ("native", "portal venous"):
        made = scans[name]
        tumour = made.label == TUMOUR
        assert volume_ml(made, TUMOUR) > 5
        around = ndimage.binary_dilation(tumour) & ~tumour
        assert (made.label[around] == LIVER).mean() > 0.6
    assert not (scans["arterial"].label == TUMOUR).any()
    assert not (scans["ill"].label == TUMOUR).any()


def test_the_liver_is_almost_all_in_one_piece(any_scan: Scan) -> None:
    pieces, _ = ndimage.label(np.isin(any_scan.label, (LIVER, TUMOUR)))
    sizes = np.bincount(pieces.ravel())[1:]
    assert sizes.max() / sizes.sum() > 0.97


def test_the_same_patient_and_seed_give_the_same_scan(scans: dict[str, Scan]) -> None:
    again = scan(PATIENTS["native"], seed=11)
    np.testing.assert_array_equal(again.volume_hu, scans["native"].volume_hu)
    np.testing.assert_array_equal(again.label, scans["native"].label)
    np.testing.assert_array_equal(again.affine_ras, scans["native"].affine_ras)


def test_cases_of_different_numbers_have_different_bodies(scans: dict[str, Scan]) -> None:
    other = scan(replace(PATIENTS["native"], number=40), seed=11)
    assert (other.label != scans["native"].label).mean() > 0.02
    assert not np.array_equal(other.affine_ras, scans["native"].affine_ras)
