"""What tells a project from all others."""

from pathlib import Path

from small_studies import TINY_RECIPE, write_image

from activelabel.project.identity import fixed_identity
from activelabel.project.opening import open_project


def identity(folder: Path) -> str:
    """Open the project of a folder, and return its identity."""
    (folder / "studies").mkdir(parents=True, exist_ok=True)
    write_image(folder / "studies" / "case_0.nii.gz")
    project = open_project(str(folder), str(folder / "studies"), {"recipe": str(TINY_RECIPE), "labels": "ball"})
    return fixed_identity(project.ledger)


def test_a_project_keeps_its_identity_wherever_its_folder_lies_and_no_other_has_it(tmp_path: Path) -> None:
    first = identity(tmp_path / "one")
    assert len(first) == 16
    assert identity(tmp_path / "one") == first
    (tmp_path / "one").rename(tmp_path / "moved")
    assert identity(tmp_path / "moved") == first
    assert identity(tmp_path / "two") != first
