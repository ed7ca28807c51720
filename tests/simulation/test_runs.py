"""Runs of the simulator on tiny volumes: queries, kills without effect, and no leak of reference labels."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from new_strategy import NAME, new_entry, new_module
from simulated_runs import QUERY_SIZE, ROUNDS, START, assert_same_run, blob_experiment, play, tables
from training_study import TINY

from activelabel.acquisition.foreground_share import foreground_aware
from activelabel.errors import InvalidInputError
from activelabel.loop.scoring import VolumeScoring
from activelabel.loop.training.segmentation import SegmentationTraining
from activelabel.simulation.annotator import OracleAnnotator
from activelabel.simulation.arms import full_data_arm
from activelabel.simulation.cases import link_images
from activelabel.simulation.experiment import open_experiment
from activelabel.simulation.jobs import run_all
from activelabel.simulation.local_app import LocalApp
from activelabel.simulation.measuring import sound_test_cases
from activelabel.simulation.playing import run_conf
from activelabel.simulation.results import read_results
from activelabel.simulation.tables import Table
from activelabel.store.ledger import Ledger

VALIDATION = 2
"""Of the recipe `tiny`."""


class Killed(Exception):
    """Stands for the end of the process, which leaves the ledger and the files as they are."""


@pytest.fixture(scope="module")
def blob_folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Folders of fourteen volumes that no test changes."""
    folder = tmp_path_factory.mktemp("blobs")
    grid = np.stack(np.meshgrid(*(np.arange(size) for size in (20, 18, 16)), indexing="ij"))
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for index in range(14):
        random = np.random.default_rng(index)
        centre = random.uniform(6, 10, size=3)[:, None, None, None]
        label = (((grid - centre) ** 2).sum(axis=0) < random.uniform(3, 5) ** 2).astype(np.uint8)
        image = (100.0 * label + random.normal(50, 20, label.shape)).astype(np.float32)
        for kind, array in (("images", image), ("labels", label)):
            nibabel.save(
                nibabel.Nifti1Image(array, np.diag([1.5, 1.5, 2.0, 1.0])), folder / kind / f"blob_{index}.nii.gz"
            )
    return folder / "images", folder / "labels"


@pytest.fixture(scope="module")
def played(blob_folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment of a volume strategy, a slice strategy and random, played without interruption."""
    out = tmp_path_factory.mktemp("played") / "out"
    play(blob_experiment(*blob_folders, "variance", "entropy_slices", "random_volumes"), out)
    return out


def test_all_strategies_begin_with_the_same_start_set_and_validation_cases(played: Path) -> None:
    start_sets = []
    for arm in ("variance", "entropy_slices", "random_volumes"):
        queries = tables(played, arm)["queries"]
        start = queries[queries["round"] == 0]
        assert sorted(start["role"]) == ["training"] * START + ["validation"] * VALIDATION
        assert set(start["kind"]) == {"volume"}
        start_sets.append(list(start["image_id"]))
    assert start_sets[0] == start_sets[1] == start_sets[2]


def test_each_round_asks_for_its_set_number_and_trains_once(played: Path) -> None:
    for arm, asked in (("variance", QUERY_SIZE), ("entropy_slices", 4), ("random_volumes", QUERY_SIZE)):
        read = tables(played, arm)
        queries = read["queries"]
        for number in range(1, ROUNDS + 1):
            of_round = queries[queries["round"] == number]
            slices = of_round["slices"].dropna()
            assert (len(of_round) if slices.empty else slices.map(len).sum()) == asked
            assert set(of_round["model_version"].dropna()) <= set(range(1, number + 1)), "the best so far asks"
        assert list(read["models"]["round"]) == list(range(ROUNDS + 1))
        assert list(queries["order"]) == list(range(len(queries)))
        assert len(read["metrics"]) == 3 * (ROUNDS + 1), "three test cases, one structure"


def test_queries_are_the_cases_with_the_largest_scores(played: Path) -> None:
    read = tables(played, "variance")
    scores = read["scores"].query("model_version == 1 and measure == 'variance' and region == 'everything'")
    largest = scores[scores["aggregation"] == "total"].nlargest(QUERY_SIZE, "value")
    asked = read["queries"].query("round == 1")
    assert list(asked["image_id"]) == list(largest["image_id"])
    assert list(asked["score"]) == pytest.approx(list(largest["value"]))


def test_no_test_case_is_ever_asked_for(played: Path, blob_folders: tuple[Path, Path]) -> None:
    test = set(blob_experiment(*blob_folders, "variance").cases.test)
    for arm in ("variance", "entropy_slices", "random_volumes"):
        read = tables(played, arm)
        assert test.isdisjoint(read["queries"]["image_id"])
        assert test.isdisjoint(read["scores"]["image_id"])
        assert set(read["metrics"]["case"]) == test


KILLS = [
    (OracleAnnotator, "draw", 1, "after"),
    (Table, "add", 1, "before"),
    (Table, "add", 1, "after"),  # the query is recorded, its label is not saved
    (LocalApp, "save", 1, "before"),
    (LocalApp, "save", 1, "after"),
    (LocalApp, "ask", 2, "after"),
    (SegmentationTraining, "run", 1, "before"),
    (SegmentationTraining, "learn", 1, "after"),  # trained, and not published
    (SegmentationTraining, "run", 1, "after"),  # published, and not recorded
    (Table, "add", 1, "after"),  # recorded, and not measured
    (Table, "add", 1, "before"),  # measured, and the metrics not recorded
    (Table, "add", 1, "after"),
    (Ledger, "record_scores_of_images", 1, "after"),  # some images are scored
    (VolumeScoring, "run", 1, "after"),
    (Table, "replace", 1, "after"),
    (Table, "replace", 2, "before"),
    (SegmentationTraining, "run", 1, "after"),
]
"""Where a run is killed, one after the other: at which call of what, just before or just after it."""


@pytest.mark.parametrize("strategy", ["variance", "entropy_slices"])
def test_a_run_that_is_killed_at_any_step_ends_as_if_it_had_not_been(
    played: Path, blob_folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    experiment = blob_experiment(*blob_folders, strategy)
    monkeypatch.setattr("activelabel.loop.written_behind.WAIT_SECONDS", 0)  # so that not all are written together
    for owner, step, call, moment in KILLS:
        with monkeypatch.context() as patched:
            patched.setattr(owner, step, _killed_at(getattr(owner, step), call, done=moment == "after"))
            with pytest.raises(Killed):
                play(experiment, tmp_path)
    play(experiment, tmp_path)
    assert_same_run(played, tmp_path, strategy)


def _killed_at(step: Callable[..., Any], call: int, done: bool) -> Callable[..., Any]:
    calls = 0

    def run(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and not done:
            raise Killed
        result = step(*arguments, **named)
        if calls == call:
            raise Killed
        return result

    return run


def test_the_start_is_made_once_a_seed_and_a_copy_that_was_cut_short_begins_anew(
    played: Path, blob_folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that makes the start and the one that copies it equal runs that each made their own."""
    trained: list[int] = []
    learn = SegmentationTraining.learn
    monkeypatch.setattr(
        SegmentationTraining, "learn", lambda task, *rest, **named: (trained.append(1), learn(task, *rest, **named))[1]
    )
    play(blob_experiment(*blob_folders, "entropy_slices"), tmp_path)
    assert len(trained) == ROUNDS + 1
    experiment = blob_experiment(*blob_folders, "variance")
    for file in (1, 2, 3):
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "copyfile", _killed_at(shutil.copyfile, file, done=True))
            with pytest.raises(Killed):
                play(experiment, tmp_path)
    play(experiment, tmp_path)
    assert len(trained) == 2 * ROUNDS + 1
    for strategy in ("entropy_slices", "variance"):
        assert_same_run(played, tmp_path, strategy)


@pytest.mark.parametrize("strategy", ["variance", "entropy_slices"])
def test_labels_that_were_not_asked_for_do_not_change_a_run(
    played: Path, blob_folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    """Every label has impossible values until it is asked for, and slices not asked for keep theirs."""
    images, references = blob_folders
    labels = tmp_path / "labels"
    shutil.copytree(references, labels)
    experiment = blob_experiment(images, labels, strategy)
    for image_id in experiment.cases.pool:
        _poison(labels / f"{image_id}.nii.gz", slice(None))
    draw = OracleAnnotator.draw

    def reveal_and_draw(annotator: OracleAnnotator, answer: dict[str, Any]) -> Any:
        file = labels / f"{answer['id']}.nii.gz"
        shutil.copy(references / file.name, file)
        if answer["query"]["kind"] == "slices":
            assert answer["query"]["axis"] == 2
            depth = nibabel.load(file).shape[2]
            _poison(file, [index for index in range(depth) if index not in answer["query"]["slices"]])
        drawing = draw(annotator, answer)
        _poison(file, slice(None))
        return drawing

    monkeypatch.setattr(OracleAnnotator, "draw", reveal_and_draw)
    play(experiment, tmp_path / "out")
    assert_same_run(played, tmp_path / "out", strategy)


def _poison(file: Path, where: Any) -> None:
    label = nibabel.load(file)
    array = np.asarray(label.dataobj).astype(np.int16)
    array[..., where] = 9999
    nibabel.save(nibabel.Nifti1Image(array, label.affine), file)


def test_a_pool_that_runs_dry_ends_the_run(blob_folders: tuple[Path, Path], tmp_path: Path) -> None:
    experiment = blob_experiment(*blob_folders, "random_volumes", query_size=5)
    play(experiment, tmp_path)
    read = tables(tmp_path, "random_volumes")
    assert len(read["queries"]) == len(experiment.cases.pool)
    results = read_results([tmp_path])
    assert results.shorter
    assert results.unfinished == frozenset()  # The run ended, so it may be compared.


def test_a_folder_of_another_experiment_is_left_alone(
    played: Path, blob_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    images, labels = blob_folders
    before = (played / "experiment.json").read_bytes()
    with pytest.raises(InvalidInputError, match="it holds an experiment with another conf: use another --out"):
        play(blob_experiment(images, labels, "variance", repeats="5"), played)
    with pytest.raises(InvalidInputError, match="entropy_slices was run with another query_size"):
        play(blob_experiment(images, labels, "entropy_slices", slices=3), played)
    assert (played / "experiment.json").read_bytes() == before
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InvalidInputError, match="the folder is not empty and holds no experiment"):
        play(blob_experiment(images, labels, "variance"), tmp_path)


def test_a_strategy_that_nobody_knows_is_named_with_those_there_are(
    blob_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=r"clairvoyance.*: use one of .*entropy") as refused:
        play(blob_experiment(*blob_folders, "clairvoyance"), tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("strategy", ["foreground_random_oracle", "foreground_random_oracle_slices"])
def test_the_oracle_strategies_see_what_no_other_may(
    blob_folders: tuple[Path, Path], tmp_path: Path, strategy: str
) -> None:
    """Two thirds of the slices asked for hold foreground although fewer than half of all do; labels set the order."""
    experiment = blob_experiment(*blob_folders, strategy)
    play(experiment, tmp_path)
    asked = tables(tmp_path, strategy)["queries"]
    start, queries = asked.query("round == 0"), asked.query("round > 0")
    assert set(queries["strategy"]) == {strategy}
    assert set(queries["model_version"].dropna()) == set(), "no model had a say"
    assert queries["reason"].str.startswith("drawn").all()
    if strategy.endswith("_slices"):
        assert queries["annotated_slices"].sum() == 4 * ROUNDS
        assert queries["foreground_slices"].sum() >= 4
    else:
        voxels = {
            image_id: float(np.count_nonzero(nibabel.load(experiment.cases.labels[image_id]).dataobj))
            for image_id in set(experiment.cases.pool) - set(start.query("role == 'validation'")["image_id"])
        }
        order = [
            image_id for image_id, _ in foreground_aware(voxels, "0:oracle") if image_id not in set(start["image_id"])
        ]
        assert list(queries["image_id"]) == order[: QUERY_SIZE * ROUNDS]
        assert list(queries["score"]) == [voxels[image_id] for image_id in queries["image_id"]]


def test_a_strategy_that_is_one_module_and_one_entry_is_played(blob_folders: tuple[Path, Path], tmp_path: Path) -> None:
    with new_module(tmp_path / "more"), new_entry():
        experiment = blob_experiment(*blob_folders, NAME)
        play(experiment, tmp_path / "out")
    queries = tables(tmp_path / "out", NAME)["queries"].query("round > 0")
    assert list(queries["image_id"]) == sorted(queries["image_id"])
    assert len(queries) == QUERY_SIZE * ROUNDS
    assert set(queries["reason"]) == {"next in the alphabet"}


def test_full_data_is_one_model_of_the_whole_pool(blob_folders: tuple[Path, Path], tmp_path: Path) -> None:
    experiment = blob_experiment(*blob_folders, "variance")
    play(replace(experiment, arms=(full_data_arm(str(TINY)),)), tmp_path)
    read = tables(tmp_path, "full_data")
    assert sorted(read["queries"]["image_id"]) == sorted(experiment.cases.pool)
    assert list(read["models"]["round"]) == [0]


def test_two_runs_at_once_say_how_far_they_are_and_which_of_them_fails(
    blob_folders: tuple[Path, Path], played: Path, tmp_path: Path
) -> None:
    experiment = blob_experiment(*blob_folders, "random_volumes", "random_slices")
    open_experiment(experiment, tmp_path)
    heard: list[tuple[str, int, int]] = []
    run_all(experiment, tmp_path, 2, lambda *message: heard.append(message), LocalApp)
    for arm in ("random_volumes", "random_slices"):
        assert [count for name, seed, count in heard if (name, seed) == (arm, 0)] == list(range(ROUNDS + 2))
    asked = [list(tables(out, "random_volumes")["queries"]["image_id"]) for out in (played, tmp_path)]
    assert asked[0] == asked[1]

    (tmp_path / "runs" / "random_slices" / "0" / "metrics.parquet").write_bytes(b"damaged")
    with pytest.raises(
        InvalidInputError, match=r"^random_slices, seed 0: .*metrics.parquet: cannot be read as a table"
    ):
        run_all(experiment, tmp_path, 1, lambda *_: None, LocalApp)


def test_a_round_of_random_slices_may_end_when_so_many_with_foreground_are_drawn(
    blob_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """chlebus2022, IV.A, RSS: five foreground slices a round, and any number of others; about a third have the blob."""
    recipe = tmp_path / "rss.toml"
    recipe.write_text(TINY.read_text(encoding="utf-8") + "random_until_foreground = true\n")
    experiment = blob_experiment(*blob_folders, "random_slices", slices=5)
    experiment = replace(experiment, arms=tuple(replace(arm, recipe=str(recipe)) for arm in experiment.arms))
    play(experiment, tmp_path / "out")
    read = tables(tmp_path / "out", "random_slices")
    assert len(read["models"]) == ROUNDS + 1
    queries = read["queries"]
    for number in range(1, ROUNDS + 1):
        of_round = queries[queries["round"] == number]
        assert of_round["foreground_slices"].sum() == 5
        assert of_round["annotated_slices"].sum() > 5
        assert of_round.iloc[-1]["foreground_slices"] > 0, "it ends with the last that was missing"


def test_a_label_that_cannot_be_drawn_is_set_aside_and_the_run_goes_on(
    blob_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    images, labels = blob_folders
    spoilt = shutil.copytree(labels, tmp_path / "labels")
    experiment = blob_experiment(images, spoilt, "random_volumes")
    asked = first_asked(experiment, tmp_path / "first")
    (spoilt / f"{asked}.nii.gz").write_bytes(b"broken")
    play(experiment, tmp_path / "out")
    read = tables(tmp_path / "out", "random_volumes")
    assert len(read["models"]) == ROUNDS + 1
    assert asked not in set(read["queries"]["image_id"])


def first_asked(experiment: Any, out: Path) -> str:
    """Return the case that a run asks for first, without drawing it."""
    link_images(experiment.cases, experiment.cases.pool, out / "studies")
    app = LocalApp(out / "studies", run_conf(experiment, experiment.arms[0], 0, out), "oracle")
    return str(app.ask("random_volumes")["id"])


def test_a_test_case_that_cannot_judge_is_left_out_and_named(blob_folders: tuple[Path, Path], tmp_path: Path) -> None:
    images, labels = blob_folders
    spoilt = shutil.copytree(labels, tmp_path / "labels")
    cases = blob_experiment(images, spoilt, "variance").cases
    (spoilt / f"{cases.test[1]}.nii.gz").write_bytes(b"broken")
    sound, problems = sound_test_cases(cases, ["ball"])
    assert sound.test == (cases.test[0], cases.test[2])
    assert list(problems) == [cases.test[1]]
    assert "cannot be read" in problems[cases.test[1]]
    for case in cases.test:
        (spoilt / f"{case}.nii.gz").write_bytes(b"broken")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        sound_test_cases(cases, ["ball"])
