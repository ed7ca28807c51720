"""The results of experiments as tables: every query, metric and model, with `arm` and `seed` in front."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from activelabel.errors import InvalidInputError
from activelabel.simulation.folder_names import EXPERIMENT_FILE, NOTHING_LEFT_FILE, SETTINGS_FILE, run_folder
from activelabel.simulation.tables import METRICS, MODELS, QUERIES, read_table

RUN = ["arm", "seed"]
ROUND = [*RUN, "round"]
EFFORTS: Mapping[str, str] = {
    "volumes": "volumes opened",
    "slices": "slices annotated",
    "foreground_slices": "foreground slices drawn",
    "foreground_voxels": "foreground voxels drawn",
    "boundary_mm": "contour drawn (mm)",
}
"""The cost of labels, counted in five ways: the columns of `effort_table`, each with its title."""

_COLUMNS = {"queries": QUERIES, "metrics": METRICS, "models": MODELS}


@dataclass(frozen=True)
class PlayedExperiment:
    """An experiment. `rounds` counts the rounds of each arm, the start set as one; `settings` is its description."""

    folder: Path
    rounds: Mapping[str, int]
    seeds: int
    test_cases: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One arm with one seed, the number of its rounds so far, and the `settings` of its server.

    `nothing_left` is true if the run ended because no case was left to ask for.
    """

    experiment: PlayedExperiment
    arm: str
    seed: int
    folder: Path
    rounds: int
    settings: Mapping[str, Any]
    nothing_left: bool = False


@dataclass(frozen=True)
class Results:
    """Experiments on the same test cases, joined.

    `runs` holds the runs with at least one measured model. `shorter` has a line for each run, measured or not, with
    fewer rounds than planned: it is still going, was stopped, or had no case left to ask for. `unfinished` holds the
    arms with a run that is still going or was stopped: they are not compared with others.
    """

    experiments: tuple[PlayedExperiment, ...]
    runs: tuple[Run, ...]
    shorter: tuple[str, ...]
    unfinished: frozenset[str]
    queries: pd.DataFrame
    metrics: pd.DataFrame
    models: pd.DataFrame

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that have runs, in the order of the experiments."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the structures, the same in all experiments."""
        return tuple(self.metrics["label"].unique())

    @property
    def test_cases(self) -> tuple[str, ...]:
        """The cases that judge every model."""
        return self.experiments[0].test_cases


def read_results(folders: Sequence[Path]) -> Results:
    """Read the folders of experiments; a stopped run counts up to its last measured model.

    If two experiments have an arm of the same name, the name of the experiment's folder is appended to it.

    Raises:
        InvalidInputError: a folder is no experiment or no run has a model yet; or the runs were not judged by the same
            structures of the same test cases, so that their numbers cannot be compared.
    """
    experiments = tuple(_read_experiment(folder) for folder in folders)
    shared = [arm for arm, count in Counter(arm for one in experiments for arm in one.rounds).items() if count > 1]
    if shared and len({experiment.folder.name for experiment in experiments}) < len(experiments):
        raise InvalidInputError(
            f"{', '.join(map(str, folders))}: expected folders of different names, as their arm '{shared[0]}' is named "
            "after them: give each once, or rename one"
        )
    begun = [(run, rounds) for experiment in experiments for run, rounds in _runs_of(experiment, shared)]
    runs = tuple(run for run, _ in begun if run.rounds)
    if not runs:
        raise InvalidInputError(
            f"{', '.join(map(str, folders))}: expected a run with a model, got none that has come so far: let "
            "`activelabel simulate` run on, and try again"
        )
    tables = {name: pd.concat([_read_table(run, name) for run in runs], ignore_index=True) for name in _COLUMNS}
    _check_comparable(experiments, runs, tables["metrics"])
    shorter = (
        f"{run.arm}, seed {run.seed}: {run.rounds} of {rounds} rounds" for run, rounds in begun if run.rounds < rounds
    )
    unfinished = frozenset(run.arm for run, rounds in begun if run.rounds < rounds and not run.nothing_left)
    return Results(experiments, runs, tuple(shorter), unfinished, **tables)


def effort_table(queries: pd.DataFrame) -> pd.DataFrame:
    """The cost of each run's labels when a round's model was trained: the sum of all rounds up to it.

    Volumes are the different images that were opened. All validation cases are drawn with the start set, so their cost
    is in its row and in no other row, for every arm alike.

    Args:
        queries: of any number of runs.

    Returns:
        One row for each run and round, with the columns `arm`, `seed`, `round` and those of `EFFORTS`.
    """
    in_order = queries.sort_values("round", kind="stable")
    counted = in_order.assign(volumes=~in_order.duplicated([*RUN, "image_id"]), slices=in_order["annotated_slices"])
    rounds = counted.groupby(ROUND, sort=False)[list(EFFORTS)].sum()
    return rounds.groupby(level=RUN, sort=False).cumsum().reset_index()


def mean_dice(metrics: pd.DataFrame) -> pd.DataFrame:
    """Dice of each test case: the mean over its structures, without those in neither mask; NaN if no structure is left.

    Returns:
        One row for each run, round and case, with the columns `arm`, `seed`, `round`, `case`, `dice`.
    """
    return metrics.groupby([*ROUND, "case"], sort=False)["dice"].mean().reset_index()


def _read_experiment(folder: Path) -> PlayedExperiment:
    file = folder / EXPERIMENT_FILE
    if not file.is_file():
        raise InvalidInputError(
            f"{folder}: expected the folder of an experiment, got one without {EXPERIMENT_FILE}: give what "
            "`activelabel simulate --out` was given"
        )
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        rounds = {name: arm["rounds"] + 1 for name, arm in settings["arms"].items()}
        return PlayedExperiment(folder, rounds, settings["seeds"], tuple(settings["test"]), settings)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"{file}: expected the description of an experiment, got something else ({error!r}): simulate it again"
        ) from error


def _runs_of(experiment: PlayedExperiment, shared: Collection[str]) -> Iterator[tuple[Run, int]]:
    """The runs as far as they are, and the planned number of rounds of each; arms in `shared` get longer names."""
    for arm, rounds in experiment.rounds.items():
        name = f"{arm} ({experiment.folder.name})" if arm in shared else arm
        for seed in range(experiment.seeds):
            yield _read_run(experiment, run_folder(experiment.folder, arm, seed), name, seed), rounds


def _check_comparable(experiments: Sequence[PlayedExperiment], runs: Sequence[Run], metrics: pd.DataFrame) -> None:
    """Check that all experiments have the same test cases, and all runs the same structures."""
    first = experiments[0]
    for other in experiments[1:]:
        if set(other.test_cases) != set(first.test_cases):
            raise InvalidInputError(
                f"{other.folder}: expected the test cases of {first.folder}, got others, so that nothing can be "
                "compared: make a report of each"
            )
    labels = metrics.groupby(RUN)["label"].agg(set)
    for run in runs:
        wanted, found = labels[runs[0].arm, runs[0].seed], labels[run.arm, run.seed]
        if found != wanted:
            raise InvalidInputError(
                f"{run.folder}: expected the structures {', '.join(sorted(wanted))} as in {runs[0].folder}, got "
                f"{', '.join(sorted(found))}: make a report of each"
            )


def _read_run(experiment: PlayedExperiment, folder: Path, arm: str, seed: int) -> Run:
    """The run as far as it is; a run that has not begun has no rounds."""
    file = folder / "metrics.parquet"
    if not file.is_file():
        return Run(experiment, arm, seed, folder, 0, {})
    rounds = int(pd.read_parquet(file, columns=["round"])["round"].nunique())
    settings = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    return Run(experiment, arm, seed, folder, rounds, settings, (folder / NOTHING_LEFT_FILE).exists())


def _read_table(run: Run, name: str) -> pd.DataFrame:
    table = read_table(run.folder / f"{name}.parquet", _COLUMNS[name])
    table.insert(0, "seed", run.seed)
    table.insert(0, "arm", run.arm)
    return table
