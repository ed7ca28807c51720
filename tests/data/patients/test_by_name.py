"""Patients by the names of images in common data sets, and what people are told of them."""

import re

import pytest

from activelabel.data.patients.by_name import BY_NAMES, grouped_line, overlooked_line, shared_by_name


@pytest.mark.parametrize(
    ("image", "patient"),
    [
        ("sub-01_ses-2_run-1_T1w", "sub-01"),
        ("sub-01~ses-2~anat~sub-01_ses-2_T1w", "sub-01"),
        ("sub-011_T1w", "sub-011"),
        ("patient001_frame01", "patient001"),
        ("patient001~patient001_frame12", "patient001"),
        ("training~patient101~patient101_4d", "patient101"),
        ("A0S9V9_sa_ED", "A0S9V9"),
        ("001_SA_ES", "001"),
        ("001_LA_ED", "001"),
        ("patient007_ES", "patient007"),
        ("patient007_ed", "patient007"),
        ("BraTS-GLI-00005-000", "BraTS-GLI-00005"),
        ("BraTS-MET-00005-101", "BraTS-MET-00005"),
        ("UPENN-GBM-00001_11", "UPENN-GBM-00001"),
        ("TCGA-02-0006_1996.08.23", "TCGA-02-0006"),
        ("OAS1_0001_MR2", "OAS1_0001"),
        ("OAS30001_MR_d0129", "OAS30001"),
        ("ADNI_002_S_0295_MR_MPR", "002_S_0295"),
        ("psma_95b833d65be26f2d_2018-04-23", "psma_95b833d65be26f2d"),
        ("fdg_0b98dbe00d_08-11-2002", "fdg_0b98dbe00d"),
        ("10000_1000000", "10000"),
    ],
)
def test_the_names_of_data_sets_tell_the_patient(image: str, patient: str) -> None:
    found = re.search(BY_NAMES, image)
    assert found is not None
    assert found.group(1) == patient
    beside = [f"case {number}" for number in range(1500)]
    assert shared_by_name([image, *beside, image]) == {patient: [image, image]}, "also where few names tell any"


@pytest.mark.parametrize(
    "image",
    [
        "hippocampus_001", "liver_3", "case_00012", "BRATS_001", "BraTS20_Training_001", "BraTS2021_00000",
        "subject-7_a", "mysub-01", "ct_RED", "train_ED", "frame01", "patient001", "volume-12", "s0011",
        "amos_0004", "2020_03_01",
    ],
)  # fmt: skip
def test_other_names_tell_none(image: str) -> None:
    assert re.search(BY_NAMES, image) is None


def test_a_patient_is_shared_by_several_images_only() -> None:
    images = ["patient002_frame01", "patient001_frame12", "patient001_frame01", "sub-01_T1w", "liver_1", "liver_2"]
    assert shared_by_name(images) == {"patient001": ["patient001_frame01", "patient001_frame12"]}


def test_people_are_told_once_with_two_images_of_the_first() -> None:
    images = ["sub-2_a", "sub-1_b", "sub-1_a", "sub-2_b", "sub-3_a"]
    assert grouped_line(images) == (
        "'sub-1' has 2 images by their names ('sub-1_a', 'sub-1_b'), as has 1 other patient: all images of a patient "
        "are for training, or all for validation; if the names mislead, say so with --conf patients (docs/files.md)"
    )
    line = overlooked_line(images[1:3])
    assert line is not None
    assert line.startswith("'sub-1' has 2 images by their names ('sub-1_a', 'sub-1_b'), and each counts as a patient")
    assert grouped_line(["sub-1_a", "x", "y"]) is overlooked_line(["sub-1_a", "x", "y"]) is None
