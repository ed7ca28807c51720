"""What an experiment compares, and the folder that holds it, so that it can be stopped, gone on with and read."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from filelock import FileLock

from activelabel import __version__
from activelabel.data.files import write_atomically
from activelabel.errors import InvalidInputError
from activelabel.recipes import Recipe, load_recipe
from activelabel.recipes.schema import asks_slices
from activelabel.server.local_app import LocalApp
from activelabel.server.project import plan_project
from activelabel.server.remote_app import RemoteApp
from activelabel.server.strategies import strategy_kinds
from activelabel.simulation.annotator import NAME, OracleAnnotator
from activelabel.simulation.cases import Cases, link_images
from activelabel.simulation.loop import App, RunPlan, simulate_run
from activelabel.simulation.oracle_strategies import ORACLE_STRATEGIES, oracle_strategies
from activelabel.simulation.tables import RunTables

EXPERIMENT_FILE = "experiment.json"
LOCK_FILE = "lock"
FULL_DATA = "full_data"
"""The name of the arm that learns from everything at once: what others are measured by, and not compared with."""
SET_BY_RUNS: Mapping[str, str] = {
    "recipe": "--recipe", "strategy": "--strategy", "seed": "--seeds", "start": "--start",
    "query_size": "--query-size", "project_dir": "--out", "database_url": "--out",
}  # fmt: skip
"""Settings of the server that each run has of its own, with the option that says them or where they lie."""
Advanced = Callable[[str, int, int], None]
"""Hears of an arm and a seed how many of its models are measured."""


@dataclass(frozen=True)
class Arm:
    """One of the ways to ask that are compared: a strategy under a recipe, and how much it asks for in a round.

    `name` is that of its folder. `start` counts what the recipe starts with, `query_size` what the strategy asks for.
    `start_strategy` asks for the start set, by default the recipe's cold start, or what it starts with.
    """

    name: str
    strategy: str
    recipe: str
    start: int
    query_size: int
    rounds: int
    start_strategy: str | None = None


@dataclass(frozen=True)
class Experiment:
    """Arms over seeds on one set of cases. `conf` are settings of the server that hold for all runs."""

    arms: tuple[Arm, ...]
    seeds: int
    cases: Cases
    conf: Mapping[str, str]

    @property
    def runs(self) -> list[tuple[Arm, int]]:
        """Every arm with every seed, a seed after the other, so that those of one seed can soon be compared."""
        return [(arm, seed) for seed in range(self.seeds) for arm in self.arms]

    @property
    def models(self) -> int:
        """How many models are trained in all."""
        return self.seeds * sum(arm.rounds + 1 for arm in self.arms)


def open_experiment(experiment: Experiment, out: Path) -> None:
    """Begin an experiment in a folder, or go on with it; arms and seeds may have been added since.

    Raises:
        InvalidInputError: the folder holds an experiment on other cases, or an arm of that name with other numbers; or
            it cannot be made.
    """
    said, file = _described(experiment), out / EXPERIMENT_FILE
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"--out {out}: no folder can be made there ({error.strerror}): give another") from error
    foreign = InvalidInputError(f"--out {out}: the folder is not empty and holds no experiment: give another one")
    names = {path.name for path in out.iterdir()}
    if names and names.isdisjoint({EXPERIMENT_FILE, LOCK_FILE}):
        raise foreign
    with FileLock(out / LOCK_FILE):  # another command may be adding its arms
        if file.is_file():
            before = json.loads(file.read_text(encoding="utf-8"))
            _check_same(before, said, out)
            said["arms"] = {**before["arms"], **said["arms"]}
            said["seeds"] = max(before["seeds"], said["seeds"])
        elif any(path.name != LOCK_FILE for path in out.iterdir()):
            raise foreign
        write_atomically(file, json.dumps(said, indent=1).encode())
        link_images(experiment.cases, experiment.cases.pool, out / "pool")


def run_folder(out: Path, arm: str, seed: int) -> Path:
    """Where a run keeps its tables and its project."""
    return out / "runs" / arm / str(seed)


def run_in_process(experiment: Experiment, arm: Arm, seed: int, out: Path, advanced: Advanced) -> None:
    """Play one run in this process, from where it is to its end; if another process is playing it, wait for that first.

    Raises:
        InvalidInputError: a setting, a strategy or a file is wrong; the line says which.
    """
    folder = run_folder(out, arm.name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK_FILE):
        link_images(experiment.cases, experiment.cases.pool, folder / "studies")
        app = LocalApp(folder / "studies", run_conf(experiment, arm, seed, folder), NAME)
        app.add_strategies(oracle_strategies(app.project, experiment.cases))
        settings = {"settings": app.project.settings_in_force(), "recipe": app.project.recipe.model_dump(mode="json")}
        _play(experiment, arm, seed, app, settings, out, advanced)


def run_on_server(experiment: Experiment, address: str, out: Path, advanced: Advanced) -> None:
    """Play the one run of an experiment through a running server, as `run_in_process` does here.

    Raises:
        ActiveLabelError: nobody answers, or the server was not started for this run; the line says how to.
    """
    ((arm, seed),) = experiment.runs
    for strategy in (arm.strategy, arm.start_strategy):
        if strategy in ORACLE_STRATEGIES:
            raise InvalidInputError(f"--server: no server knows the true labels, as {strategy} does: leave it out")
    folder = run_folder(out, arm.name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK_FILE):
        app = RemoteApp(address, NAME)
        info = app.info()
        _check_server(info["settings"], run_conf(experiment, arm, seed, out), app.images(), experiment.cases, out)
        _check_same_run(info["progress"], RunTables(folder), folder)
        settings = {"settings": info["settings"], "recipe": info["recipe"]}
        _play(experiment, arm, seed, app, settings, out, advanced)


def _play(
    experiment: Experiment, arm: Arm, seed: int, app: App, said: Mapping[str, Any], out: Path, advanced: Advanced
) -> None:
    """Play one run with any app; `said` are the settings and the recipe in force."""
    folder = run_folder(out, arm.name, seed)
    described = {"version": __version__, "arm": asdict(arm), "seed": seed, **said}
    write_atomically(folder / "settings.json", json.dumps(described, indent=1).encode())
    recipe = Recipe.model_validate(said["recipe"])
    plan = RunPlan(
        arm.start_strategy or _first_strategy(recipe), arm.strategy, arm.rounds, tuple(said["settings"]["labels"])
    )
    annotator = OracleAnnotator(experiment.cases, folder / "desk", said["settings"]["slice_plane"])
    tables = RunTables(folder)
    simulate_run(plan, app, annotator, experiment.cases, tables, lambda count: advanced(arm.name, seed, count))


def _check_server(
    running: Mapping[str, Any], conf: Mapping[str, str], images: set[str], cases: Cases, out: Path
) -> None:
    """Refuse a server whose queries could not be those of the run."""
    pool = out / "pool"
    if images != set(cases.pool):
        raise InvalidInputError(
            f"--server: it has {len(images)} images, expected the {len(cases.pool)} that are not set aside to test: "
            f"start it with --studies {pool}"
        )
    if not running["autopilot"]:
        raise InvalidInputError("--server: its autopilot is off, so that it never trains: start it without that")
    for key in sorted(conf.keys() - {"project_dir"}):
        there = ",".join(running[key]) if isinstance(running[key], list) else str(running[key])
        if there.lower() != conf[key].lower():
            raise InvalidInputError(
                f"--server: it runs with {key} {there}, expected {conf[key]}: start it with "
                + " ".join(f"--conf {name} {quote(conf[name])}" for name in sorted(conf) if name != "project_dir")
            )


def _check_same_run(progress: Mapping[str, Any], tables: RunTables, folder: Path) -> None:
    """Refuse a server that has been asked what the tables of the run do not know, or the other way round."""
    answered, asked = progress["annotated"] + progress["partly_annotated"], len(tables.queries.rows)
    if answered and not asked:
        raise InvalidInputError(
            f"--server: {answered} of its images are annotated already, and not by this run: start it on a new "
            "project, with another --conf project_dir"
        )
    if asked > 1 and not answered:  # the last query may never have been answered
        raise InvalidInputError(
            f"--server: {folder} has asked for {asked} cases, and none is annotated there: start it on the project "
            "with which the run began, or remove that folder"
        )


def run_conf(experiment: Experiment, arm: Arm, seed: int, folder: Path) -> dict[str, str]:
    """The settings of the server on which this run could be played."""
    return {
        **experiment.conf,
        "recipe": arm.recipe,
        "strategy": ORACLE_STRATEGIES.get(arm.strategy, arm.strategy),
        "seed": str(seed),
        "start": str(arm.start),
        "query_size": str(arm.query_size),
        "project_dir": str(folder / "project"),
    }


def check_settings(conf: Collection[str]) -> None:
    """Refuse settings that cannot hold for all runs.

    Raises:
        InvalidInputError: each run has one of its own.
    """
    for key in sorted(SET_BY_RUNS.keys() & set(conf)):
        raise InvalidInputError(f"--conf {key}: each run has its own, that {SET_BY_RUNS[key]} decides: leave it out")


def check_arms(experiment: Experiment, images: Path) -> None:
    """Plan the project of every arm as its runs will, before any of them begins.

    Raises:
        ActiveLabelError: a setting does not go with this machine, or with the strategy of an arm.
    """
    for arm in experiment.arms:
        plan_project("", str(images), run_conf(experiment, arm, 0, Path()))


def _first_strategy(recipe: Recipe) -> str:
    """Who asks before the first model if the arm does not say: the recipe's cold start, or what it starts with."""
    if recipe.proxy is not None and recipe.proxy.cold_start != "none":
        return recipe.proxy.cold_start
    return recipe.query.start_strategy


def plan_arms(
    recipe: str,
    strategies: Sequence[str],
    start: int | None,
    query_size: int | None,
    slices: int | None,
    rounds: int,
    start_strategy: str | None = None,
) -> tuple[Arm, ...]:
    """An arm a strategy, under one recipe.

    Args:
        recipe: its name or path.
        strategies: names; those that end in `_slices` ask for slices.
        start: the size of the start set, default the recipe's.
        query_size: volumes a round, default the recipe's.
        slices: slices a round for strategies that ask for slices, default `query_size`.
        rounds: after the start set.
        start_strategy: who asks for the start set, default the recipe's choice.

    Raises:
        NotFoundError: there is no such recipe.
        InvalidInputError: a strategy comes twice, or there is none of that name, or the start set would be slices where
            the recipe starts with volumes, or the other way round.
    """
    chosen = load_recipe(recipe)
    known = {*strategy_kinds(chosen), *ORACLE_STRATEGIES}
    for option, name in [*(("--strategy", name) for name in strategies), ("--start-strategy", start_strategy)]:
        if name is not None and name not in known:
            raise InvalidInputError(f"{option} {name}: use one of {', '.join(sorted(known))}")
    query = chosen.query
    doubled = sorted({name for name in strategies if list(strategies).count(name) > 1})
    if doubled:
        raise InvalidInputError(f"--strategy {doubled[0]}: it is given twice")
    if start_strategy is not None and asks_slices(start_strategy) != query.starts_with_slices:
        counted = "slices" if query.starts_with_slices else "volumes"
        raise InvalidInputError(
            f"--start-strategy {start_strategy}: the recipe {chosen.name} starts with {counted}, and counts them: use "
            f"a strategy of {counted}, or change query.start_strategy in the recipe"
        )
    volumes = query_size or query.size
    slices = slices or volumes
    return tuple(
        Arm(
            name,
            name,
            recipe,
            start=start or query.start,
            query_size=slices if asks_slices(name) else volumes,
            rounds=rounds,
            start_strategy=start_strategy,
        )
        for name in strategies
    )


def full_data_arm(recipe: str) -> Arm:
    """One model of all there is to learn from, to which the others are compared.

    Its start set is larger than any pool: the server trains, too, when nothing is left to ask for.
    """
    everything = 10**6
    return Arm(FULL_DATA, "random_volumes", recipe, everything, 1, rounds=0, start_strategy="random_volumes")


def needed_cases(arm: Arm) -> int:
    """How many cases there must be at least for a run to come to its end."""
    recipe = load_recipe(arm.recipe)
    begin = 1 if recipe.query.starts_with_slices else arm.start
    asked = 1 if asks_slices(arm.strategy) else arm.rounds * arm.query_size
    return recipe.training.validation_cases + begin + asked


def _described(experiment: Experiment) -> dict[str, Any]:
    cases = experiment.cases
    return {
        "version": __version__,
        "images": {image_id: str(path.resolve()) for image_id, path in sorted(cases.images.items())},
        "labels": {image_id: str(path.resolve()) for image_id, path in sorted(cases.labels.items())},
        "pool": list(cases.pool),
        "test": list(cases.test),
        "conf": dict(experiment.conf),
        "seeds": experiment.seeds,
        "arms": {arm.name: {**asdict(arm), "recipe_file": _recipe_of(arm)} for arm in experiment.arms},
    }


def _recipe_of(arm: Arm) -> dict[str, Any]:
    return load_recipe(arm.recipe).model_dump(mode="json")


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    advice = "use another --out, or the options of before"
    for key in ("pool", "test", "conf"):
        if before[key] != now[key]:
            raise InvalidInputError(f"--out {out}: it holds an experiment with another {key}: {advice}")
    for key in ("images", "labels"):
        # Files that are no longer there have moved; of those that are, others of the same names are other data.
        others = sorted(name for name, path in before[key].items() if path != now[key][name] and Path(path).is_file())
        if others:
            raise InvalidInputError(
                f"--out {out}: it holds an experiment on other {key}, {before[key][others[0]]}: {advice}"
            )
    for name, arm in now["arms"].items():
        was = before["arms"].get(name, arm)
        for key in arm.keys() - {"recipe"}:  # what is in it counts, and is in `recipe_file`, not where it lies
            value = arm[key]
            # More rounds of the same are a continuation, not another experiment.
            if was[key] != value and not (key == "rounds" and value > was[key]):
                raise InvalidInputError(f"--out {out}: {name} was run with another {key}: {advice}")
