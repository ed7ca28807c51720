"""`activelabel simulate` on the command line: wrong input is one line and exit code 2 before anything is written."""

import json
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from simulated_runs import blob_experiment
from training_study import TINY

from activelabel.cli.main import main
from activelabel.data.splits import choose_validation
from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.simulation.arms import Arm, needed_cases, plan_arms
from activelabel.simulation.experiment import open_experiment


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Twelve images and their labels, all empty files, as these tests do not read them."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
        for index in range(12):
            (tmp_path / name / f"case_{index}.nii.gz").touch()
    return tmp_path / "images", tmp_path / "labels"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--strategy", "guess"], "--strategy guess: use one of blend, blend_slices, clasp_pe"),
        (["--strategy", "entropy", "--strategy", "entropy"], "--strategy entropy: it is given twice"),
        (["--strategy", "entropy", "--start-strategy", "luck"], "--start-strategy luck: use one of"),
        (["--strategy", "entropy", "--recipe", "unheard"], "recipe 'unheard' does not exist: use one of"),
        (["--strategy", "entropy", "--images", "nowhere"], "--images nowhere: there is no such folder"),
        (["--strategy", "entropy", "--rounds", "9"], "12 cases, of which 3 are set aside to test; expected at least"),
        (
            ["--strategy", "entropy", "--strategy", "margin", "--server", "http://a"],
            "--server: one server plays one run",
        ),
        (["--strategy", "entropy", "--conf", "seed"], "--conf seed: expected a value"),
        (["--strategy", "entropy", "--conf", "colour=red"], "--conf colour red: there is no such setting"),
        (["--strategy", "entropy", "--conf", "seed=3"], "--conf seed: each run has its own, that --seeds decides"),
        (["--strategy", "entropy", "--conf", "database_url=sqlite:///a"], "--conf database_url: each run has its own"),
        (
            ["--strategy", "entropy", "--start-strategy", "random_slices"],
            "--start-strategy random_slices: the recipe tiny starts with volumes, and counts them",
        ),
        (["--strategy", "entropy", "--rounds", "1", "--conf", "device=cuda:99"], "--conf device cuda:99: this machine"),
        (["--strategy", "coreset", "--rounds", "1", "--conf", "racing=true"], "coreset"),
        (["--strategy", "entropy", "--rounds", "1", "--recipe", "uneven.toml"], "training.patch_size is [17, "),
        (["--strategy", "entropy", "--rounds", "1"], ".nii.gz: the file is empty"),
    ],
)
def test_wrong_input_is_one_line(
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    expected: str,
) -> None:
    images, labels = folders
    (images / "dataset.json").write_text('{"labels": {"0": "background", "1": "ball"}}')
    given = ["--images", images, "--labels", labels, "--recipe", TINY, "--out", tmp_path / "out", *options]
    (tmp_path / "uneven.toml").write_text(re.sub(r"patch_size = \[\d+", "patch_size = [17", TINY.read_text("utf-8")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["activelabel", "simulate", *map(str, given)])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert expected in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_label_names_one_line_says_where_they_may_come_from(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = folders
    given = ["--images", images, "--labels", labels, "--strategy", "entropy", "--rounds", 1, "--out", tmp_path / "o"]
    monkeypatch.setattr(sys, "argv", ["activelabel", "simulate", *map(str, given)])
    with pytest.raises(SystemExit):
        main()
    assert "(a simulation with --label-names liver,spleen), or put a dataset.json" in capsys.readouterr().err


def test_an_arm_counts_volumes_or_slices_as_its_strategy_does() -> None:
    volumes, slices = plan_arms(str(TINY), ["variance", "entropy_slices"], 3, 4, 30, 5)
    assert (volumes.query_size, slices.query_size) == (4, 30)
    assert (volumes.start, volumes.rounds, volumes.start_strategy) == (3, 5, None)
    (alike,) = plan_arms(str(TINY), ["entropy_slices"], None, 4, None, 5, "typiclust")
    assert (alike.query_size, alike.start, alike.start_strategy) == (4, 2, "typiclust")
    arms = plan_arms("chlebus2022", ["uncertainty_slices", "random_slices", "uncertainty_volumes"], None, None, None, 5)
    assert [arm.query_size for arm in arms] == [200, 200, 5], "V.A and IV.A of the paper"
    with pytest.raises(NotFoundError, match="recipe 'none'"):
        plan_arms("none", ["variance"], None, None, None, 1)


def test_volumes_of_a_recipe_that_counts_slices_need_a_number_of_their_own(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(TINY.read_text(encoding="utf-8").replace('"variance"', '"entropy_slices"'))
    with pytest.raises(InvalidInputError, match=r"--strategy variance asks for volumes, .*: say with --query-size"):
        plan_arms(str(recipe), ["entropy_slices", "variance"], None, None, 30, 1)
    slices, volumes = plan_arms(str(recipe), ["entropy_slices", "variance"], None, 4, 30, 1)
    assert (slices.query_size, volumes.query_size) == (30, 4)


def test_a_run_of_volumes_needs_all_that_it_asks_for_and_one_of_slices_hardly_more_than_its_start() -> None:
    arm = Arm("a", "variance", str(TINY), start=3, query_size=4, rounds=5)
    assert needed_cases(arm) == 2 + 3 + 20, "two to validate, three to start with, five rounds of four"
    assert needed_cases(replace(arm, strategy="entropy_slices")) == 2 + 3 + 1


def test_strategies_seeds_and_rounds_can_be_added_later(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first = blob_experiment(*folders, "variance")
    open_experiment(first, tmp_path / "out")
    longer = replace(first.arms[0], rounds=first.arms[0].rounds + 1)
    other = blob_experiment(*folders, "entropy").arms
    moved = shutil.copy(TINY, tmp_path / "moved.toml")
    other = tuple(replace(arm, recipe=str(moved)) for arm in other)
    open_experiment(replace(first, arms=(longer, *other), seeds=5), tmp_path / "out")
    open_experiment(replace(first, arms=(replace(longer, recipe=str(moved)),), seeds=1), tmp_path / "out")
    description = json.loads((tmp_path / "out" / "experiment.json").read_text(encoding="utf-8"))
    assert list(description["arms"]) == ["variance", "entropy"]
    assert (description["seeds"], description["arms"]["variance"]["rounds"]) == (5, longer.rounds)
    with pytest.raises(InvalidInputError, match="variance was run with another rounds"):
        open_experiment(first, tmp_path / "out")


def test_other_data_under_the_same_names_is_another_experiment_and_data_that_moved_is_not(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    images, labels = folders
    out = tmp_path / "out"
    open_experiment(blob_experiment(images, labels, "variance"), out)
    other = shutil.copytree(labels, tmp_path / "other")
    with pytest.raises(InvalidInputError, match=r"it holds an experiment on other labels, .*/labels/case_0.nii.gz"):
        open_experiment(blob_experiment(images, other, "entropy"), out)
    shutil.rmtree(labels)
    open_experiment(blob_experiment(images, other, "entropy"), out)
    assert list(json.loads((out / "experiment.json").read_text(encoding="utf-8"))["arms"]) == ["variance", "entropy"]


def test_two_commands_that_add_arms_at_once_lose_none(folders: tuple[Path, Path], tmp_path: Path) -> None:
    names = ["variance", "entropy", "margin", "clasp_pe", "coreset", "random_volumes"]
    with ThreadPoolExecutor(len(names)) as threads:
        list(threads.map(lambda name: open_experiment(blob_experiment(*folders, name), tmp_path / "out"), names))
    assert set(json.loads((tmp_path / "out" / "experiment.json").read_text(encoding="utf-8"))["arms"]) == set(names)


def test_a_folder_that_cannot_be_made_is_one_line(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(InvalidInputError, match=r"no folder can be made there \("):
            open_experiment(blob_experiment(*folders, "variance"), out)


@pytest.mark.parametrize("setting", ["images", "names", "who.csv"])
def test_each_way_to_tell_patients_comes_to_the_runs(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"sub-{patient}_ses-{session}_T1w" for patient in range(5) for session in range(2)]
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        for number, name in enumerate(names):
            voxels = np.random.default_rng(number).normal(0, 20, (20, 20, 20)).astype(np.float32)
            voxels[6:12, 6:12, 6:12] += 100
            drawn = voxels if folder == "images" else (np.abs(voxels - 100) < 50).astype(np.uint8)
            nibabel.save(nibabel.Nifti1Image(drawn, np.eye(4)), tmp_path / folder / f"{name}.nii.gz")
    (tmp_path / "who.csv").write_text("image,patient\n" + "".join(f"{name},{name[:5]}\n" for name in names))
    monkeypatch.chdir(tmp_path)
    command = "simulate --images images --labels labels --out out --strategy random_volumes --label-names ball"
    numbers = f"--recipe {TINY} --seeds 1 --rounds 0 --start 2 --test 2 --conf device=cpu --conf patients"
    monkeypatch.setattr(sys, "argv", ["activelabel", *command.split(), *numbers.split(), setting])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code, capsys.readouterr().err
    described = json.loads((tmp_path / "out" / "experiment.json").read_text(encoding="utf-8"))
    in_force = str(tmp_path / setting) if setting == "who.csv" else setting
    assert described["conf"]["patients"] == in_force
    told = {} if setting == "images" else {name: name[:5] for name in names}
    assert set(described["test"]) == choose_validation(names, 2, told)
    run = tmp_path / "out" / "runs" / "random_volumes" / "0" / "settings.json"
    assert json.loads(run.read_text(encoding="utf-8"))["settings"]["patients"] == in_force
