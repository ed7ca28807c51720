"""The masks that models showed are found by the version of their model."""

from pathlib import Path

from activelabel.project.models.shown_masks import shown_file, shown_masks


def test_masks_are_listed_by_version_and_a_file_of_another_name_is_none(tmp_path: Path) -> None:
    for version in (10, 9):
        file = shown_file(tmp_path, "a", version)
        file.parent.mkdir(exist_ok=True)
        file.touch()
    for name in ("mine.nii.gz", "9 (copy).nii.gz", "\u0663.nii.gz", "9.nii.gz.slices"):
        (tmp_path / "a" / name).touch()
    assert list(shown_masks(tmp_path / "a")) == [
        (9, tmp_path / "a" / "9.nii.gz"), (10, tmp_path / "a" / "10.nii.gz"),
    ]  # fmt: skip
    assert list(shown_masks(tmp_path / "never drawn")) == []
