"""`activelabel check` as it is typed: it reads every file of a project and compares it with the ledger."""

import dataclasses
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_studies import AFFINE_RAS, TINY_RECIPE, boxes, write_image, write_model, write_nifti

from activelabel.backports import ON_WINDOWS
from activelabel.cli.main import main
from activelabel.errors import InvalidInputError
from activelabel.project.check import checks_of
from activelabel.project.labels.record_files import record_file
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.project.readability import note_image
from activelabel.server.opening import open_datastore

CONF = {"labels": "ball,box", "recipe": str(TINY_RECIPE), "device": "cpu"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Three images, two versions of a label of the first, a draft of the second, and a model."""
    studies = tmp_path / "studies"
    studies.mkdir()
    for name in ("a", "b", "c"):
        write_image(studies / f"{name}.nii.gz")
    project = open_project("", str(studies), CONF)
    store = open_datastore(project, str(studies), follow_changes=False)
    project.ledger.sync_images(store.list_images(), 1)
    for image_id, values, finished in (("a", (1,), True), ("a", (1, 2), True), ("b", (1,), False)):
        sent = write_nifti(tmp_path / "sent.nii.gz", boxes(*values), AFFINE_RAS)
        params = {"client_id": "ann", "confirmed": True, "finished": finished}
        store.keep_label(image_id, str(sent), "final", params)
    note_image("c", studies / "c.nii.gz", project.ledger)
    store.close()
    project.models_folder.mkdir()
    file = write_model(project.models_folder / "m.safetensors", ("ball", "box"))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    project.ledger.publish_model(file.name, sha256, "tiny", project.labels, {}, [])
    return project


Checked = tuple[int, list[str]]


@pytest.fixture
def check(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Checked]:
    """Run the check, and return its exit code and lines."""

    def run(studies: str = project.studies) -> Checked:
        conf = [word for key, value in CONF.items() for word in ("--conf", f"{key}={value}")]
        monkeypatch.setattr(sys, "argv", ["activelabel", "check", "--studies", studies, *conf])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        code = int(ended.value.code or 0)
        return code, (printed.err if code == 2 else printed.out).splitlines()

    return run


def flip(file: Path) -> None:
    """Change one byte, but neither size nor time: only a full read can detect it."""
    status, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def first_label(project: Project) -> Path:
    (label,) = [item for item in project.ledger.history("a") if (item.tag, item.version) == ("final", 1)]
    return project.labels_folder / label.file


def test_check_reports_an_intact_project_and_writes_nothing(project: Project, check: Callable[..., Checked]) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(project.studies).rglob("*.*") if "sqlite" not in path.name}
    code, lines = check()
    assert (code, lines[-1]) == (0, "7 files are what they were when they were kept")  # 3 images, 3 labels, 1 model
    after = {path: path.stat().st_mtime_ns for path in Path(project.studies).rglob("*.*") if "sqlite" not in path.name}
    assert after == before


DAMAGE: dict[str, tuple[Callable[[Project], None], str]] = {
    "image flipped": (lambda project: flip(Path(project.studies) / "c.nii.gz"), "c.nii.gz: cannot be read"),
    "image of a label": (
        lambda project: write_image(Path(project.studies) / "a.nii.gz", 9) and None,
        "a: its image has changed since its label was drawn",
    ),
    "image without a label": (
        lambda project: write_image(Path(project.studies) / "c.nii.gz", 9) and None,
        "c: the image is not the one that was read first",
    ),
    "image gone": (lambda project: (Path(project.studies) / "b.nii.gz").unlink(), "b: the image is gone"),
    "earlier label flipped": (
        lambda project: flip(first_label(project)),
        "a: the file of its label (version 1, by ann) has changed on disk",
    ),
    "earlier label gone": (
        lambda project: first_label(project).unlink(),
        "a: the file of its label (version 1, by ann) cannot be read (No such file or directory)",
    ),
    "draft flipped": (
        lambda project: flip(project.labels_folder / project.ledger.draft_history("b")[0].file),
        "b: the file of its label (version 1, by ann) has changed on disk",
    ),
    "record cut": (
        lambda project: record_file(first_label(project)).write_text("{") and None,
        "the record beside it is damaged",
    ),
    "model flipped": (
        lambda project: flip(project.models_folder / "m.safetensors"),
        "model 1: m.safetensors has changed (its SHA-256 differs): put it back",
    ),
    "model gone": (
        lambda project: (project.models_folder / "m.safetensors").unlink(),
        "model 1: m.safetensors cannot be read (No such file or directory): put it back",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_check_names_each_changed_file_and_what_to_do(
    project: Project, check: Callable[..., Checked], damage: str
) -> None:
    spoil, expected = DAMAGE[damage]
    project.ledger.forget_contents(project.ledger.label_contents())
    spoil(project)
    code, lines = check()
    assert code == 1
    named, summary = lines
    assert expected in named
    assert ": " in named.partition(expected)[2] or named.endswith(expected) or "put" in named
    assert summary == "1 of 7 files are not what they were"


@pytest.mark.skipif(ON_WINDOWS, reason="every label waits for its file there")
@pytest.mark.parametrize("damage", [Path.unlink, flip], ids=["gone", "flipped"])
def test_a_label_whose_content_the_ledger_has_yet_is_put_back(
    project: Project, check: Callable[..., Checked], damage: Callable[[Path], None]
) -> None:
    draft = project.ledger.draft_history("b")[0].file
    content = project.ledger.label_contents()[draft]
    damage(project.labels_folder / draft)
    assert check() == (0, ["7 files are what they were when they were kept"])
    assert (project.labels_folder / draft).read_bytes() == content
    assert project.ledger.label_contents()[draft] == content, "the disk may not have it yet"


def test_check_of_a_folder_without_a_project_is_one_line(check: Callable[..., Checked], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    code, lines = check(str(tmp_path / "other"))
    assert code == 2
    assert "expected a project in" in " ".join(lines)


def test_a_damaged_ledger_is_one_line(project: Project, check: Callable[..., Checked]) -> None:
    project.ledger.close()
    assert project.ledger.file is not None
    project.ledger.file.write_bytes(b"no database at all, and long enough to be looked at as one " * 99)
    code, lines = check()
    assert code == 2
    assert "the file is damaged" in " ".join(lines)


def test_studies_that_are_not_mounted_are_one_line(project: Project, tmp_path: Path) -> None:
    gone = dataclasses.replace(project, studies=str(tmp_path / "gone"))
    with pytest.raises(InvalidInputError, match=r"^--studies .*/gone: there is no such folder: mount it"):
        checks_of(gone)
