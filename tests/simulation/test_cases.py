"""Cases are paired by name, and test cases are set aside by their ids alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from channel_files import made_up_channels, write_case_files
from small_studies import write_nifti

from activelabel.data.files.channels import channel_layout
from activelabel.data.files.studies_folder import find_images
from activelabel.data.given_splits import read_split
from activelabel.data.patients.given import read_patients
from activelabel.data.splits import stable_fraction
from activelabel.errors import InvalidInputError
from activelabel.simulation.cases import find_cases, link_images

Folders = tuple[Path, Path]


@pytest.fixture
def folders(tmp_path: Path) -> Callable[..., Folders]:
    """Make folders of empty files of these names; their content is never read."""

    def make(images: list[str], labels: list[str]) -> Folders:
        made = (tmp_path / "images", tmp_path / "labels")
        for folder, names in zip(made, (images, labels), strict=True):
            folder.mkdir()
            for name in names:
                (folder / name).touch()
        return made

    return make


def test_images_and_labels_are_paired_by_name_whatever_their_endings(folders: Callable[..., Folders]) -> None:
    images, labels = folders(["a.nii.gz", "b.nrrd", "c.nii", ".hidden.nii"], ["a.nii", "b.nii.gz", "c.mha", "d.nii"])
    cases = find_cases(images, labels, test_cases=1, smallest_pool=2)
    assert {name: path.name for name, path in cases.images.items()} == {"a": "a.nii.gz", "b": "b.nrrd", "c": "c.nii"}
    assert {name: path.name for name, path in cases.labels.items()} == {"a": "a.nii", "b": "b.nii.gz", "c": "c.mha"}


def test_test_cases_are_those_whose_ids_have_the_smallest_hashes(folders: Callable[..., Folders]) -> None:
    names = [f"case_{index}" for index in range(12)]
    images, labels = folders([f"{name}.nii" for name in names], [f"{name}.nii" for name in names])
    cases = find_cases(images, labels, test_cases=4, smallest_pool=1)
    by_hash = sorted(names, key=stable_fraction)
    assert cases.test == tuple(sorted(by_hash[:4]))
    assert cases.pool == tuple(sorted(by_hash[4:]))
    assert len(find_cases(images, labels, None, 1).test) == 3, "one in four"


@pytest.mark.parametrize(
    ("images", "labels", "expected"),
    [
        (["a.nii", "b.nii"], ["a.nii"], "1 of 2 images have no label of their name, the first is 'b'"),
        (["a.nii"], [], "expected files that end in .nii.gz, .nii, .nrrd, .mha, found none"),
        (["a.mhd"], ["a.mha"], "images: expected files that end in .nii.gz, .nii, .nrrd, .mha, found none"),
        (["a.nii", "a.nrrd"], ["a.nii"], "1 of 2 images have no label of their name, the first is 'a_nrrd'"),
        (
            ["a.nii", "b.nii", "c.nii"],
            ["a.nii", "b.nii", "c.nii"],
            "3 cases, of which 1 are set aside to test",
        ),
    ],
)
def test_unpaired_files_and_impossible_counts_are_refused_in_one_line(
    folders: Callable[..., Folders], images: list[str], labels: list[str], expected: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        find_cases(*folders(images, labels), test_cases=1, smallest_pool=3)
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_folder_is_named(folders: Callable[..., Folders]) -> None:
    images, labels = folders(["a.nii"], ["a.nii"])
    with pytest.raises(InvalidInputError, match=r"--labels .*nowhere: there is no such folder"):
        find_cases(images, labels / "nowhere", 1, 1)


def test_images_are_linked_under_their_ids_and_can_be_linked_again(
    folders: Callable[..., Folders], tmp_path: Path
) -> None:
    images, labels = folders(["a.nii.gz", "b.nii"], ["a.nii", "b.nii"])
    cases = find_cases(images, labels, 0, 2)
    for _ in range(2):
        link_images(cases, ["b"], tmp_path / "studies")
    (link,) = (tmp_path / "studies").iterdir()
    assert link.name == "b.nii"
    assert link.resolve() == (images / "b.nii").resolve()


def test_links_are_renewed_after_the_images_have_moved(folders: Callable[..., Folders], tmp_path: Path) -> None:
    images, labels = folders(["a.nii"], ["a.nii"])
    link_images(find_cases(images, labels, 0, 1), ["a"], tmp_path / "studies")
    moved = images.rename(tmp_path / "elsewhere")
    link_images(find_cases(moved, labels, 0, 1), ["a"], tmp_path / "studies")
    assert (tmp_path / "studies" / "a.nii").resolve() == (moved / "a.nii").resolve()


def test_a_link_is_named_after_the_image_whatever_the_image_links_to(
    folders: Callable[..., Folders], tmp_path: Path
) -> None:
    """git-annex and DVC keep files under their hash, without an ending."""
    images, labels = folders(["a.nii.gz"], ["a.nii"])
    (images / "a.nii.gz").rename(tmp_path / "8f14e45f")
    (images / "a.nii.gz").symlink_to(tmp_path / "8f14e45f")
    link_images(find_cases(images, labels, 0, 1), ["a"], tmp_path / "studies")
    (link,) = (tmp_path / "studies").iterdir()
    assert link.name == "a.nii.gz"


def test_a_given_split_names_the_test_cases_and_the_cases_that_take_part(
    folders: Callable[..., Folders], tmp_path: Path
) -> None:
    names = [f"case_{index}" for index in range(6)]
    images, labels = folders([f"{name}_0000.nii.gz" for name in names], [f"{name}.nii.gz" for name in names[:5]])
    fold = '{"train": ["case_0", "case_3", "case_4"], "val": ["case_1", "case_2"]}'
    (tmp_path / "splits_final.json").write_text(f"[{fold}]")
    split = read_split(tmp_path / "splits_final.json")
    cases = find_cases(images, labels, None, 2, split=split)
    assert cases.test == ("case_1_0000", "case_2_0000")
    assert cases.pool == ("case_0_0000", "case_3_0000", "case_4_0000")
    assert any("case_5_0000.nii.gz" in line and "does not name it" in line for line in cases.passed_over)
    with pytest.raises(InvalidInputError, match=r"--test 2: .* says which cases test"):
        find_cases(images, labels, 2, 2, split=split)
    (tmp_path / "other.txt").write_text("case_0 test\ncase_1 val\ncase_2 train\n")
    cases = find_cases(images, labels, None, 1, split=read_split(tmp_path / "other.txt"))
    assert (cases.test, cases.pool) == (("case_0_0000",), ("case_1_0000", "case_2_0000"))
    (tmp_path / "foreign.txt").write_text("x train\n")
    with pytest.raises(InvalidInputError, match="it names none of the 6 images, of which the first is 'case_0_0000'"):
        find_cases(images, labels, None, 1, split=read_split(tmp_path / "foreign.txt"))


def test_all_images_of_a_patient_test_or_none_does(folders: Callable[..., Folders], tmp_path: Path) -> None:
    names = [f"p{index // 2}_{index % 2}" for index in range(16)] + ["phantom"]
    images, labels = folders([f"{name}.nii" for name in names], [f"{name}.nii" for name in names])
    patients = read_patients(r"^(p\d)_")
    cases = find_cases(images, labels, None, 2, patients=patients)
    assert len(cases.test) == 4, "a quarter of 16"
    assert {name[:2] for name in cases.test}.isdisjoint(name[:2] for name in cases.pool)
    assert {name[:2] for name in cases.test} == set(sorted({name[:2] for name in names[:16]}, key=stable_fraction)[:2])
    assert any("phantom.nii" in line and "says no patient for it" in line for line in cases.passed_over)
    (tmp_path / "split.txt").write_text("p0_0 train\np0_1 test\np1_0 train\n")
    with pytest.raises(InvalidInputError, match=r"patient 'p0' is for training \('p0_0'\) and test \('p0_1'\)"):
        find_cases(images, labels, None, 1, split=read_split(tmp_path / "split.txt"), patients=patients)
    with pytest.raises(InvalidInputError, match="all 17 images are of one patient"):
        find_cases(images, labels, None, 1, patients=read_patients("^(p)"))
    with pytest.raises(InvalidInputError, match="it says the patient of no image, of which the first is 'p0_0'"):
        find_cases(images, labels, None, 1, patients=read_patients("(x)"))


def test_labels_that_lie_beside_the_channels_of_their_images_are_found(tmp_path: Path) -> None:
    for number in range(3):
        write_case_files(tmp_path, f"case_{number}", number, ("_flair", "_t1", "_t1ce", "_t2"))
        write_nifti(tmp_path / f"case_{number}_seg.nii.gz", made_up_channels(number)[1])
    layout = channel_layout((), ("_flair", "_t1", "_t1ce", "_t2"))
    cases = find_cases(tmp_path, tmp_path, 1, 1, layout=layout)
    assert {case: path.name for case, path in cases.labels.items()} == {
        f"case_{number}": f"case_{number}_seg.nii.gz" for number in range(3)
    }
    assert cases.passed_over == ()
    link_images(cases, cases.pool, tmp_path / "run")
    assert set(find_images(tmp_path / "run", layout=layout, links_out=True).files) == set(cases.pool)
