import errno
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from activelabel.data.files.labels_folder import find_labels
from activelabel.data.files.links import LINKS_OUT
from activelabel.data.files.studies_folder import alike_line, find_changed, find_images


def test_images_are_found_in_all_folders_and_the_rest_is_named(put: Callable[..., Path]) -> None:
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


def test_a_line_counts_all_and_names_a_few(put: Callable[..., Path]) -> None:
    (line,) = find_images(put(*(f"{number:02}.dcm" for number in range(40)))).lines()
    assert line.startswith("40 passed over (00.dcm, 01.dcm, 02.dcm, 03.dcm, 04.dcm and 35 more): expected a file")


def test_files_of_one_stem_get_ids_of_their_own(put: Callable[..., Path]) -> None:
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


def test_an_image_keeps_the_id_that_it_has(put: Callable[..., Path], tmp_path: Path) -> None:
    put("case.nrrd")
    assert find_images(tmp_path).files == {"case": "case.nrrd"}
    put("case.nii.gz")
    assert find_images(tmp_path).files == {"case": "case.nii.gz", "case_nrrd": "case.nrrd"}, "nothing is known"
    kept = find_images(tmp_path, {"case": "case.nrrd", "gone": "gone.nii"}).files
    assert kept == {"case": "case.nrrd", "case_nii_gz": "case.nii.gz"}


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["case.nii.gz"], ["case_seg.nii.gz", "case-label.nrrd"]),
        (["p1/p1_flair.nii.gz", "p1/p1_t1.nii.gz"], ["p1/p1_seg.nii.gz"]),
        (["volume-0.nii"], ["segmentation-0.nii"]),
        (["k/imaging.nii.gz"], ["k/segmentation.nii.gz"]),
        (["patient001_frame01.nii.gz"], ["patient001_frame01_gt.nii.gz"]),
        (["sub-01/anat/sub-01_T1w.nii.gz"], ["sub-01/anat/sub-01_space-MNI_label-L_desc-lesion_mask.nii.gz"]),
        (["sub-01_T1w.nii.gz"], ["sub-01_acq-fast_seg.nii.gz", "sub-01_mask.nii.gz"]),
        (["sub-01_T1w.nii.gz"], ["other/sub-01_space-T1w_mask.nii.gz", "other/sub-01_label-L_seg.nii.gz"]),
        (["sub-01_T1w.nii.gz"], ["other/sub-01_desc-manual_dseg.nii.gz", "other/sub-01_label-GM_probseg.nii.gz"]),
    ],
)
def test_a_label_beside_its_image_is_no_image(put: Callable[..., Path], images: list[str], labels: list[str]) -> None:
    found = find_images(put(*images, *labels))
    assert sorted(found.files.values()) == images
    assert sorted(found.passed_over) == sorted(labels)


def test_labels_of_a_bids_data_set_are_no_images(put: Callable[..., Path]) -> None:
    image = "sub-01/anat/sub-01_T1w.nii.gz"
    folder = put(image, "derivatives/manual/sub-01/anat/sub-01_desc-T1w_seg.nii.gz")
    found = find_images(folder)
    assert found.files == {"sub-01~anat~sub-01_T1w": image}
    assert "a BIDS data set" in found.passed_over["derivatives/"]
    assert len(find_images(put("derivatives/smoothed/sub-01_T1w.nii.gz") / "derivatives").files) == 1, "as named itself"


def test_a_word_for_label_alone_makes_no_label(put: Callable[..., Path]) -> None:
    images = {"case_mask", "other", "sub-01_seg", "sub-02_mask", "sub-03_T1w"}
    assert set(find_images(put(*(f"{image}.nii.gz" for image in images))).files) == images


@pytest.mark.parametrize(
    ("image", "beside"),
    [
        ("derivatives/smoothed/sub-01_T1w.nii.gz", "sub-01_T1w.nii.gz"),
        ("derivatives/x/annotatedTr/sub-01_desc-bias_mask.nii.gz", "sub-01_T1w.nii.gz"),
        ("versions/case/1.nii.gz", "audit.csv"),
        ("annotatedTs/case.nii.gz", "other.nii.gz"),
        ("case_msk.nii.gz", "case.nii.gz"),
        ("case_dseg.nii.gz", "other.nii.gz"),
        ("sub-01_acq-fast_mask.nii.gz", "sub-01_T1w.nii.gz"),
    ],
)
def test_a_project_keeps_images_that_earlier_versions_took(put: Callable[..., Path], image: str, beside: str) -> None:
    folder = put(image, beside)
    new = find_images(folder)
    assert image not in new.files.values()
    old = find_images(folder, {"mine": image})
    assert old.files["mine"] == image
    assert not {image, f"{image.split('/')[0]}/"} & {*old.passed_over}
    put("more.nii.gz")
    assert find_changed(new, ["more.nii.gz"], {"mine": image}) is None, "all is read again"
    assert find_changed(old, ["more.nii.gz"], {"mine": image}) is None


def test_a_label_that_came_before_its_image_is_no_image_any_more(put: Callable[..., Path]) -> None:
    known = dict(find_images(put("p1_seg.nii.gz")).files)
    assert known == {"p1_seg": "p1_seg.nii.gz"}
    assert set(find_images(put("p1_t1.nii.gz"), known).files) == {"p1_t1"}


def test_links_are_images_under_their_own_names_but_linked_folders_are_not_entered(
    put: Callable[..., Path], tmp_path: Path
) -> None:
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


def test_links_in_a_circle_are_named_and_the_rest_is_found(put: Callable[..., Path]) -> None:
    folder = put("case.nii.gz", "labels/final/case.nii.gz")
    for name in ("circle.nii.gz", "labels/final/circle.nii.gz"):
        (folder / name).symlink_to("circle.nii.gz")
    reason = "a link that leads nowhere, or no file: remove it"
    images = find_images(folder)
    assert (images.files, images.passed_over) == ({"case": "case.nii.gz"}, {"circle.nii.gz": reason})
    changed = find_changed(images, ["circle.nii.gz"], images.files)
    assert changed is not None
    assert changed.passed_over == images.passed_over
    assert find_labels(folder / "labels" / "final", images.files).files == {"case": "case.nii.gz"}


def test_a_folder_that_may_not_be_read_is_named_and_the_rest_is_found(
    put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `lost+found` of a disk. The user of the tests may be root, who may read everything."""
    folder = put("case.nii.gz", "lost+found/x.nii.gz")
    scan = os.scandir

    def scan_as_user(path: Path) -> object:
        if Path(path).name == "lost+found":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_as_user)
    found = find_images(folder)
    assert found.files == {"case": "case.nii.gz"}
    assert found.lines() == [
        "1 passed over (lost+found/): a folder that cannot be read (Permission denied): allow it, or move it away"
    ]


def scan_with(monkeypatch: pytest.MonkeyPatch, folder: Path, code: int) -> None:
    """Reading this folder fails. The user of the tests may be root, who may read everything."""
    scan = os.scandir

    def scan_as_user(path: Path) -> object:
        if Path(path) == folder:
            raise OSError(code, os.strerror(code), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_as_user)


@pytest.mark.parametrize("below", ["", "a"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EACCES])
def test_known_images_of_a_folder_that_cannot_be_read_are_not_gone(
    put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, below: str, code: int
) -> None:
    folder = put("a/case.nii.gz", "b/case.nii.gz")
    content = find_images(folder)
    scan_with(monkeypatch, folder / below, code)
    with pytest.raises(OSError, match=os.strerror(code)) as raised:
        find_images(folder, content.files)
    assert Path(raised.value.filename) == folder / below
    if below:
        put("a/case_seg.nii.gz")
        with pytest.raises(OSError, match=os.strerror(code)):
            find_changed(content, ["a/case_seg.nii.gz"], content.files)


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_a_sub_folder_that_does_not_answer_may_hold_images(
    put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    folder = put("a/case.nii.gz", "labels/final/a/case.nii.gz")
    scan_with(monkeypatch, folder / "a", code)
    with pytest.raises(OSError, match=os.strerror(code)):
        find_images(folder)
    scan_with(monkeypatch, folder / "labels" / "final" / "a", code)
    with pytest.raises(OSError, match=os.strerror(code)):
        find_labels(folder / "labels" / "final", {})


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_an_image_that_is_a_link_to_what_cannot_be_looked_at_is_not_gone(
    put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    folder = put("case.nii.gz")
    (folder / "link.nii.gz").symlink_to("case.nii.gz")
    known = dict(find_images(folder).files)
    assert set(known) == {"case", "link"}
    status = os.stat

    def refuse(path: object, **options: object) -> os.stat_result:
        if str(path).endswith("link.nii.gz") and options.get("follow_symlinks", True):
            raise OSError(code, os.strerror(code), str(path))
        return status(path, **options)  # type: ignore[arg-type, call-overload, no-any-return]

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(OSError, match=os.strerror(code)):
        find_images(folder, known)
    if code == errno.EACCES:
        assert set(find_images(folder).files) == {"case"}, "as an image that nobody knows"


def test_a_studies_folder_may_itself_be_a_link(put: Callable[..., Path], tmp_path: Path) -> None:
    put("images/case.nii.gz")
    (tmp_path / "studies").symlink_to(tmp_path / "images")
    assert set(find_images(tmp_path / "studies").files) == {"case"}
    assert not find_images(tmp_path / "studies").passed_over


def test_a_name_that_is_no_utf8_is_named_in_ascii(put: Callable[..., Path], tmp_path: Path) -> None:
    put("case.nii")
    (tmp_path / os.fsdecode(b"caf\xe9.nii")).touch()
    assert find_images(tmp_path).lines() == ["1 passed over (caf\\udce9.nii): its name is not UTF-8: rename it"]


def test_the_test_images_of_a_data_set_are_not_learnt_from(put: Callable[..., Path]) -> None:
    folder = put("imagesTr/a.nii.gz", "imagesTs/b.nii.gz", "imagesTs/._b.nii.gz", "labelsTr/a.nii.gz", "dataset.json")
    found = find_images(folder)
    assert found.files == {"imagesTr~a": "imagesTr/a.nii.gz"}
    assert "beside imagesTr it holds the test images" in found.passed_over["imagesTs/"]
    assert find_images(folder / "imagesTs").files == {"b": "b.nii.gz"}, "as somebody names that folder itself"
    known = {"imagesTs~b": "imagesTs/b.nii.gz"}
    assert find_images(folder, known).files == {"imagesTr~a": "imagesTr/a.nii.gz", **known}, "a project keeps its own"
    assert "imagesTs/" not in find_images(folder, known).passed_over
    assert find_images(put("other/imagesTs/c.nii") / "other").files == {"imagesTs~c": "imagesTs/c.nii"}


def test_an_id_has_one_spelling_however_the_disk_spells_the_name(put: Callable[..., Path]) -> None:
    folder = put("Mu\u0308ller.nii.gz", "deep/e\u0301.nii")
    assert find_images(folder).files == {"M\u00fcller": "Mu\u0308ller.nii.gz", "deep~\u00e9": "deep/e\u0301.nii"}
    known = {"Mu\u0308ller": "Mu\u0308ller.nii.gz"}
    assert "Mu\u0308ller" in find_images(folder, known).files, "as an earlier version has called it"


@pytest.mark.parametrize("late", ["Mu\u0308ller.nii.gz", "M\u00fcller.nii.gz", "deep/e\u0301.nii"])
@pytest.mark.parametrize("there", [[], ["other.nii.gz"], ["M\u00fcller.nii"], ["MU\u0308LLER.nii.gz"]])
def test_an_image_keeps_its_spelling_through_start_change_and_start(
    put: Callable[..., Path], there: list[str], late: str
) -> None:
    folder = put(*there)
    started = find_images(folder)
    put(late)
    changed = find_changed(started, [late], started.files)
    assert changed is not None
    assert set(changed.files) == {unicodedata.normalize("NFC", image_id) for image_id in changed.files}
    assert changed.files == find_images(folder, started.files).files
    assert find_images(folder, changed.files).files == changed.files, "a restart"
    (folder / late).unlink()
    again = find_changed(changed, [late], changed.files)
    assert again is not None
    assert again.files == started.files


def test_names_that_another_disk_takes_for_one_have_ids_that_no_disk_takes_for_one_and_are_told(
    put: Callable[..., Path],
) -> None:
    folder = put("Mu\u0308ller.nii.gz", "M\u00fcller.nii.gz", "Case.nii.gz", "case.nii.gz", "two.nii", "two.nii.gz")
    files = find_images(folder).files
    assert len({unicodedata.normalize("NFC", image_id).casefold() for image_id in files}) == 6
    line = alike_line(files)
    assert line is not None
    both = "Case.nii.gz and case.nii.gz, Mu\u0308ller.nii.gz and M\u00fcller.nii.gz"
    assert line.startswith(f"{both}: their names differ only in case")
    assert alike_line(files, {name: files[name] for name in ("two", "two_nii")}) is None
    (late,) = (image_id for image_id in files if files[image_id] == "case.nii.gz")
    assert alike_line(files, {late: files[late]}) == (
        "Case.nii.gz and case.nii.gz: their names differ only in case or in how accents are spelt, and other disks "
        "take them for one: each is an image with an id of its own; remove what is a copy"
    )


def test_other_paths_are_not_gone_through_for_a_new_image_that_has_its_first_id(
    put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = find_images(put("a.nii.gz", "Mu\u0308ller.nii.gz", "A.nii.gz")).files
    monkeypatch.setattr(type(files), "values", lambda _: pytest.fail("all paths were gone through"))
    assert alike_line(files, {"M\u00fcller": files["M\u00fcller"]}) is None
    assert alike_line(files, {}) is None
