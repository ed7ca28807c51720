import os
from pathlib import Path

import pytest

from activelabel.data.files.links import LINKS_OUT
from activelabel.data.files.studies_folder import find_images, find_labels, label_files


@pytest.fixture
def put(tmp_path: Path) -> "Put":
    return Put(tmp_path)


class Put:
    """Makes empty files, as these tests open none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *paths: str) -> Path:
        for path in paths:
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).touch()
        return self.folder


def test_images_are_found_in_all_folders_and_the_rest_is_named(put: Put) -> None:
    folder = put(
        "case0.nii.gz", "UPPER.NII.GZ", "meta.mha", "old.hdr", "old.img", "subfolder/deep.nii.gz", "case0.seg.nrrd",
        "folder.nii.gz/inside.nii.gz", "._case0.nii.gz", ".git/case.nii", "labels/final/case0.nii.gz", "dataset.json",
        "activelabel/predictions/case0/1.nii.gz", "labelsTr/case0.nii.gz", "slices/1.dcm", "slices/2.dcm",
        "elsewhere/project/ledger.sqlite", "elsewhere/project/predictions/case0/1.nii.gz",
    )  # fmt: skip
    found = find_images(folder)
    assert found.files == {
        "UPPER": "UPPER.NII.GZ",
        "case0": "case0.nii.gz",
        "folder.nii.gz~inside": "folder.nii.gz/inside.nii.gz",
        "meta": "meta.mha",
        "subfolder~deep": "subfolder/deep.nii.gz",
    }
    assert sorted(line.split(":")[0] for line in found.lines()) == [
        "1 passed over (case0.seg.nrrd)",
        "1 passed over (labelsTr/)",
        "2 passed over (old.hdr, old.img)",
        "2 passed over (slices/1.dcm, slices/2.dcm)",
    ]


def test_a_line_counts_all_and_names_a_few(put: Put) -> None:
    (line,) = find_images(put(*(f"{number:02}.dcm" for number in range(40)))).lines()
    assert line.startswith("40 passed over (00.dcm, 01.dcm, 02.dcm, 03.dcm, 04.dcm and 35 more): expected a file")


def test_files_of_one_stem_get_ids_of_their_own(put: Put) -> None:
    folder = put("case.nii.gz", "case.nii", "case.NII.GZ", "case.nrrd", "case_nrrd.mha", "a/b.nii", "a~b.nii")
    files = dict(find_images(folder).files)
    nrrd_id = next(image_id for image_id, path in files.items() if path == "case.nrrd")
    assert nrrd_id.startswith("case_nrrd_")
    assert files == {
        "a~b": "a~b.nii",
        "a~b_nii": "a/b.nii",
        "case": "case.NII.GZ",
        "case_nii": "case.nii",
        "case_nii_gz": "case.nii.gz",
        "case_nrrd": "case_nrrd.mha",
        nrrd_id: "case.nrrd",
    }


def test_an_image_keeps_the_id_that_it_has(put: Put) -> None:
    put("case.nrrd")
    assert find_images(put.folder).files == {"case": "case.nrrd"}
    put("case.nii.gz")
    assert find_images(put.folder).files == {"case": "case.nii.gz", "case_nrrd": "case.nrrd"}, "nothing is known"
    kept = find_images(put.folder, {"case": "case.nrrd", "gone": "gone.nii"}).files
    assert kept == {"case": "case.nrrd", "case_nii_gz": "case.nii.gz"}


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["case.nii.gz"], ["case_seg.nii.gz", "case-label.nrrd"]),
        (["p1/p1_flair.nii.gz", "p1/p1_t1.nii.gz"], ["p1/p1_seg.nii.gz"]),
        (["volume-0.nii"], ["segmentation-0.nii"]),
        (["k/imaging.nii.gz"], ["k/segmentation.nii.gz"]),
        (["patient001_frame01.nii.gz"], ["patient001_frame01_gt.nii.gz"]),
    ],
)
def test_a_label_beside_its_image_is_no_image(put: Put, images: list[str], labels: list[str]) -> None:
    found = find_images(put(*images, *labels))
    assert sorted(found.files.values()) == images
    assert sorted(found.passed_over) == sorted(labels)


def test_a_word_for_label_alone_makes_no_label(put: Put) -> None:
    assert set(find_images(put("case_mask.nii.gz", "other.nii.gz")).files) == {"case_mask", "other"}


def test_links_are_images_under_their_own_names_but_linked_folders_are_not_entered(put: Put, tmp_path: Path) -> None:
    put("images/case.nii.gz", "elsewhere/blob", "elsewhere/other.nii")
    (tmp_path / "images" / "linked.nii.gz").symlink_to(tmp_path / "elsewhere" / "blob")
    (tmp_path / "images" / "gone.nii.gz").symlink_to(tmp_path / "nowhere")
    (tmp_path / "images" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "again.nii.gz").symlink_to("case.nii.gz")
    found = find_images(tmp_path / "images", links_out=True)
    assert set(found.files) == {"case", "linked", "again"}
    assert set(found.passed_over) == {"gone.nii.gz", "more/"}
    safe = find_images(tmp_path / "images")
    assert set(safe.files) == {"case", "again"}
    assert safe.passed_over.pop("linked.nii.gz") == LINKS_OUT
    assert "--conf links_out_of_studies true" in LINKS_OUT
    assert safe.passed_over == found.passed_over


def test_a_studies_folder_may_itself_be_a_link(put: Put, tmp_path: Path) -> None:
    put("images/case.nii.gz")
    (tmp_path / "studies").symlink_to(tmp_path / "images")
    assert set(find_images(tmp_path / "studies").files) == {"case"}
    assert not find_images(tmp_path / "studies").passed_over


def test_no_label_is_found_behind_a_link_out_of_the_folder(put: Put, tmp_path: Path) -> None:
    images = {name: f"{name}.nii.gz" for name in ("a", "b", "c", "d", "e")}
    put("studies/labels/final/a.nii.gz", "elsewhere/b.nii.gz", "elsewhere/c.nii.gz", "studies/kept/d.nii.gz")
    studies = tmp_path / "studies"
    final = studies / "labels" / "final"
    (final / "b.nii.gz").symlink_to(tmp_path / "elsewhere" / "b.nii.gz")
    (final / "more").symlink_to(tmp_path / "elsewhere")
    (final / "d.nii.gz").symlink_to(studies / "kept" / "d.nii.gz")
    found = find_labels(final, images, studies)
    assert set(found.files) == {"a", "d"}
    assert found.passed_over == {"b.nii.gz": LINKS_OUT, "more/": LINKS_OUT}
    assert set(find_labels(final, images).files) == {"a", "b", "d"}
    (studies / "labels" / "other").symlink_to(tmp_path / "elsewhere")
    assert find_labels(studies / "labels" / "other", images, studies).files == {}
    assert label_files(studies / "labels" / "other", studies) == []


def test_a_name_that_is_no_utf8_is_named_in_ascii(put: Put, tmp_path: Path) -> None:
    put("case.nii")
    (tmp_path / os.fsdecode(b"caf\xe9.nii")).touch()
    assert find_images(tmp_path).lines() == ["1 passed over (caf\\udce9.nii): its name is not UTF-8: rename it"]


def test_labels_are_found_under_the_names_that_people_give(put: Put) -> None:
    folder = put(
        "case0.nii.gz", "._case0.nii.gz", "case1.seg.nrrd", "case2_seg.nii.gz", "case3.nrrd", "case4.mha",
        "case5.NII.GZ", "case0-label.nii", "stranger.nii.gz", "case6.hdr",
    )  # fmt: skip
    found = find_labels(folder, {f"case{number}": f"case{number}.nii.gz" for number in range(8)})
    assert found.files == {
        "case0": "case0.nii.gz",
        "case1": "case1.seg.nrrd",
        "case2": "case2_seg.nii.gz",
        "case3": "case3.nrrd",
        "case4": "case4.mha",
        "case5": "case5.NII.GZ",
    }
    assert set(found.passed_over) == {"stranger.nii.gz", "case6.hdr"}
    assert found.more == {"case0-label.nii": "case0"}
    assert set(found.unused) == {"case0-label.nii", "stranger.nii.gz", "case6.hdr"}


def test_labels_of_images_of_one_stem_follow_the_endings(put: Put) -> None:
    found = find_labels(put("a.nii.gz", "a.nrrd"), {"a": "a.nii.gz", "a_nrrd": "a.nrrd"})
    assert found.files == {"a": "a.nii.gz", "a_nrrd": "a.nrrd"}
    ours = find_labels(put.folder, {"a": "a.nrrd", "a_nii_gz": "a.nii.gz"})
    assert ours.files["a"] == "a.nii.gz", "as a server names its own labels"


def test_the_test_images_of_a_data_set_are_not_learnt_from(put: Put) -> None:
    folder = put("imagesTr/a.nii.gz", "imagesTs/b.nii.gz", "imagesTs/._b.nii.gz", "labelsTr/a.nii.gz", "dataset.json")
    found = find_images(folder)
    assert found.files == {"imagesTr~a": "imagesTr/a.nii.gz"}
    assert "beside imagesTr it holds the test images" in found.passed_over["imagesTs/"]
    assert find_images(folder / "imagesTs").files == {"b": "b.nii.gz"}, "as somebody names that folder itself"
    known = {"imagesTs~b": "imagesTs/b.nii.gz"}
    assert find_images(folder, known).files == {"imagesTr~a": "imagesTr/a.nii.gz", **known}, "a project keeps its own"
    assert "imagesTs/" not in find_images(folder, known).passed_over
    assert find_images(put("other/imagesTs/c.nii") / "other").files == {"imagesTs~c": "imagesTs/c.nii"}
