"""A folder of DICOM series as it is exported: each command takes it by itself."""

import datetime
import os
import threading
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from activelabel.cli import start as start_command
from activelabel.cli.dicom_folder import images_to_look_at, made_of
from activelabel.cli.main import app
from activelabel.errors import InvalidInputError
from activelabel.project.studies import require_answer
from local_pacs.ct_series import ct_series


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    for number in range(2):
        voxels_hu = np.random.default_rng(number).integers(-500, 500, (8, 8, 4)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels_hu, np.diag([-1, -1, 2, 1])), tmp_path / "image.nii")
        folder = tmp_path / "exported" / f"patient {number}"
        folder.mkdir(parents=True)
        for index, dataset in enumerate(ct_series(tmp_path / "image.nii", f"P{number}", datetime.datetime(2026, 1, 2))):
            dataset.save_as(folder / f"{index}.dcm", write_like_original=False)
    return tmp_path / "exported"


def test_a_start_makes_images_once_and_other_commands_find_them(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(start_command, "run", lambda _, arguments: started.append(list(arguments)))
    monkeypatch.setattr("activelabel.server.port.require_free_port", lambda *_: None)
    command = ["start", "--studies", str(exported), "--labels", "Heart"]
    assert CliRunner().invoke(app, command).exit_code == 0
    made = exported / "activelabel" / "dicom"
    (arguments,) = started
    assert arguments[arguments.index("--studies") + 1] == str(made)
    assert arguments[arguments.index("patients") + 1] == str(made / "patients.csv")
    assert len(list(made.glob("P?_*.nii.gz"))) == 2
    assert made_of(str(exported)) == str(made)
    assert CliRunner().invoke(app, [*command, "--conf", "patients", "(P.)_"]).exit_code == 0
    assert started[1][started[1].index("patients") + 1] == "(P.)_", "what the user says counts"


def test_a_project_elsewhere_has_the_images_too(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_command, "run", lambda *_: None)
    monkeypatch.setattr("activelabel.server.port.require_free_port", lambda *_: None)
    command = ["start", "--studies", str(exported), "--labels", "a", "--conf", "project_dir", str(tmp_path / "project")]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert len(list((tmp_path / "project" / "dicom").glob("*.nii.gz"))) == 2
    assert not (exported / "activelabel").exists()


def test_a_look_writes_nothing_there(exported: Path, tmp_path: Path) -> None:
    settings: dict[str, str] = {}
    with images_to_look_at(str(exported), settings) as images:
        assert len(list(Path(images).glob("*.nii.gz"))) == 2
        assert Path(settings["patients"]).is_file()
    assert not Path(images).exists()
    assert not (exported / "activelabel").exists()
    with images_to_look_at(str(tmp_path), {}) as images:
        assert images == str(tmp_path), "other folders stay as they are"


def test_a_simulation_is_told_what_is_missing(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--label-names", "Heart", "--strategy", "random_volumes", "--out", str(out)]
    command = ["simulate", "--images", str(exported), "--labels", str(exported), *options]
    result = CliRunner().invoke(app, command)
    assert "expected files that end in" in str(result.exception), "no RTSTRUCT is there"
    assert len(list((out / "dicom").glob("*.nii.gz"))) == 2


@pytest.mark.parametrize("command", [["doctor"], ["check"], ["restore", "--list"], ["export", "--out", "out"]])
def test_a_share_that_never_answers_holds_up_no_command(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share whose server is gone cannot be had here, so the question is held up."""
    answering, real = threading.Event(), os.path.isdir
    monkeypatch.setattr(require_answer, "__defaults__", (0.1,))
    monkeypatch.setattr(os.path, "isdir", lambda path: real(path) if path != str(tmp_path) else answering.wait(60))
    try:
        outcome = CliRunner().invoke(app, [*command, "--studies", str(tmp_path)])
    finally:
        answering.set()
    assert isinstance(outcome.exception, InvalidInputError)
    assert str(outcome.exception).startswith(f"--studies {tmp_path}: its disk or share has not answered for 0.1 s")
