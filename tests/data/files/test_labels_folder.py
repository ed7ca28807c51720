from collections.abc import Callable
from pathlib import Path

from activelabel.data.files.labels_folder import find_labels, label_files
from activelabel.data.files.links import LINKS_OUT


def test_no_label_is_found_behind_a_link_out_of_the_folder(put: Callable[..., Path], tmp_path: Path) -> None:
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


def test_labels_are_found_under_the_names_that_people_give(put: Callable[..., Path]) -> None:
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


def test_labels_of_images_of_one_stem_follow_the_endings(put: Callable[..., Path], tmp_path: Path) -> None:
    found = find_labels(put("a.nii.gz", "a.nrrd"), {"a": "a.nii.gz", "a_nrrd": "a.nrrd"})
    assert found.files == {"a": "a.nii.gz", "a_nrrd": "a.nrrd"}
    ours = find_labels(tmp_path, {"a": "a.nrrd", "a_nii_gz": "a.nii.gz"})
    assert ours.files["a"] == "a.nii.gz", "as a server names its own labels"


def test_a_label_is_its_images_in_whatever_spelling_a_disk_gives_its_name(put: Callable[..., Path]) -> None:
    for known in ("M\u00fcller", "Mu\u0308ller"):
        for name in ("M\u00fcller.nii.gz", "Mu\u0308ller.nii.gz", "Mu\u0308ller_seg.nrrd"):
            folder = put(f"{known!a}-{name!a}/{name}") / f"{known!a}-{name!a}"
            assert find_labels(folder, {known: f"{known}.nii.gz"}).files == {known: name}
