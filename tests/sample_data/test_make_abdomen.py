import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import pytest
from PIL import Image

from abdomen_phantom.patient import Finding, deal_patients
from abdomen_phantom.picture import choose
from make_abdomen import main

SCRIPT = Path(__file__).parents[2] / "sample-data" / "make_abdomen.py"


def snapshot(parent: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(parent)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(parent.rglob("*"))
        if path.is_file()
    }


def test_existing_cases_are_left_alone(own_two_cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(own_two_cases)
    assert main(["--cases", "2", "--out", str(own_two_cases)]) == 0
    assert snapshot(own_two_cases) == before
    assert "0 cases made, 2 already there" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["image missing", "label missing", "image cut off"])
def test_only_missing_files_are_made_again(two_cases: Path, own_two_cases: Path, damage: str) -> None:
    name = {"image missing": "abdomen", "label missing": "abdomen-labels", "image cut off": "abdomen"}[damage]
    victim = own_two_cases / name / "abdomen_02.nii.gz"
    if damage == "image cut off":
        victim.write_bytes(victim.read_bytes()[:100])
    else:
        victim.unlink()
    before = snapshot(own_two_cases)
    assert main(["--cases", "2", "--out", str(own_two_cases)]) == 0
    assert victim.read_bytes() == (two_cases / name / "abdomen_02.nii.gz").read_bytes()
    after = snapshot(own_two_cases)
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == {f"{name}/abdomen_02.nii.gz"}


def test_asking_for_fewer_keeps_the_lists_complete(own_two_cases: Path) -> None:
    before = snapshot(own_two_cases)
    assert main(["--cases", "1", "--out", str(own_two_cases)]) == 0
    assert snapshot(own_two_cases) == before
    assert json.loads((own_two_cases / "abdomen" / "dataset.json").read_text(encoding="utf-8"))["numTest"] == 2


def test_cases_of_another_seed_are_not_overwritten(own_two_cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(own_two_cases)
    assert main(["--cases", "2", "--seed", "7", "--out", str(own_two_cases)]) == 2
    assert snapshot(own_two_cases) == before
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    for part in ("abdomen_01.nii.gz", "seed=7", "seed=0", "--force"):
        assert part in message


def test_force_replaces_cases_of_another_seed_and_lists_only_the_new_ones(own_two_cases: Path) -> None:
    assert main(["--cases", "1", "--seed", "7", "--force", "--out", str(own_two_cases)]) == 0
    first = nibabel.load(own_two_cases / "abdomen" / "abdomen_01.nii.gz")
    assert first.header["descrip"].item() == b"abdomen phantom v1 seed=7 case=0"
    dataset = json.loads((own_two_cases / "abdomen" / "dataset.json").read_text(encoding="utf-8"))
    assert dataset["test"] == ["./abdomen_01.nii.gz"]  # the second is still of seed 0


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--cases", "0"], "--cases: expected a whole number of at least 1, got '0'"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "three"], "--seed: expected a whole number of at least 0, got 'three'"),
        (["--size", "9"], "--size"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(
    arguments: list[str], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--out", str(tmp_path)])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert part in message
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--picture", "phantoms.jpg"], "ends in .png, got phantoms.jpg"),
        (["--picture", "no-such-folder/phantoms.png"], "no-such-folder"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_refused_before_anything_is_made(
    arguments: list[str], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert part in message
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_a_file_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--cases", "1", "--out", str(tmp_path / "file")]) == 2
    message = capsys.readouterr().err
    assert str(tmp_path / "file") in message
    assert message.count("\n") == 1


def test_the_picture_is_small_and_shows_coloured_outlines(own_two_cases: Path, tmp_path: Path) -> None:
    path = tmp_path / "phantoms.png"
    assert main(["--cases", "2", "--out", str(own_two_cases), "--picture", str(path)]) == 0
    assert path.stat().st_size < 400_000
    colours = {colour for _, colour in Image.open(path).convert("RGB").getcolors(maxcolors=10**7)}
    assert {(0xFF, 0x9F, 0x40), (0x4B, 0xC0, 0xFF), (0x7D, 0xDC, 0x6F)} <= colours


def test_the_pictured_cases_differ_and_one_has_a_tumour() -> None:
    chosen = choose(deal_patients(0, 24))
    assert len({patient.number for patient in chosen}) == 4
    assert any(Finding.LIVER_TUMOUR in patient.findings for patient in chosen)
    assert len({patient.phase for patient in chosen}) == 3
    assert len(choose(deal_patients(0, 2))) == 2


@pytest.mark.parametrize("moment", ["while the workers start", "after a case"])
def test_an_interrupted_run_leaves_whole_cases_and_can_be_resumed(moment: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "--cases", "12", "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    images, labels = tmp_path / "abdomen", tmp_path / "abdomen-labels"
    while not (labels.exists() if moment == "while the workers start" else list(images.glob("*.nii.gz"))):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the script and to its workers
    _, message = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "run it again" in message
    assert "Traceback" not in message
    assert list(tmp_path.rglob(".*")) == []
    assert len(list(images.iterdir())) < 12
    for path in images.iterdir():
        assert nibabel.load(path).get_fdata().shape == (96, 96, 48)
        assert (labels / path.name).exists()
