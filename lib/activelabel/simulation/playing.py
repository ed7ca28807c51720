"""Playing one run, in this process or through a server, with its settings and its tables."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any, Protocol

from filelock import FileLock

from activelabel import __version__
from activelabel.data.files.writing import write_atomically
from activelabel.data.labels.label_texts import parse_labels
from activelabel.errors import InvalidInputError
from activelabel.project.models.network_check import check_network
from activelabel.project.opening import plan_project
from activelabel.project.project import CHOICES, PREPARED, Project
from activelabel.simulation.annotator import NAME, OracleAnnotator
from activelabel.simulation.arms import Arm
from activelabel.simulation.cases import Cases, link_images
from activelabel.simulation.experiment import Experiment
from activelabel.simulation.folder_names import LOCK_FILE, NOTHING_LEFT_FILE, SETTINGS_FILE, run_folder
from activelabel.simulation.loop import App, RunPlan, simulate_run
from activelabel.simulation.oracle_strategies import ORACLE_STRATEGIES, oracle_strategies
from activelabel.simulation.shared_starts import begin_with_start, keep_start, start_folder
from activelabel.simulation.tables import RunTables
from activelabel.strategies.asking import ProjectStrategy


class OwnApp(App, Protocol):
    """An app that runs in this process."""

    @property
    def project(self) -> Project:
        """The project: its settings, recipe and ledger."""

    def add_strategies(self, strategies: Mapping[str, ProjectStrategy]) -> None:
        """Add strategies that a server does not offer."""


class ServedApp(App, Protocol):
    """A server that runs the app."""

    def info(self) -> Mapping[str, Any]:
        """The answer to `GET /info/`."""

    def images(self) -> set[str]:
        """The ids of the server's images."""


OpenApp = Callable[[Path, Mapping[str, str], str, Path], OwnApp]
"""A function from a studies folder, settings, an annotator's name and the `choices_file` that all runs share, so that
they differ by no precision, to an app in this process. It can be pickled."""
Connect = Callable[[str, str], ServedApp]
"""A function from the address of a server and an annotator's name to that server."""
Advanced = Callable[[str, int, int], None]
"""A function that is called with an arm, a seed and the number of its measured models."""


def run_in_process(
    experiment: Experiment, arm: Arm, seed: int, out: Path, advanced: Advanced, open_app: OpenApp
) -> None:
    """Play one run in this process to its end, from where it stopped; wait for another process that plays it already.

    Raises:
        InvalidInputError: a setting, a strategy or a file is wrong; the line says which.
    """
    folder, start = run_folder(out, arm.name, seed), start_folder(out, arm, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK_FILE):
        if not (folder / SETTINGS_FILE).exists():
            begin_with_start(start, folder)
        models_before = len(RunTables(folder).models.rows)

        def measured(name: str, of_seed: int, count: int) -> None:
            if count == 1 and not models_before and arm.rounds:
                keep_start(folder, start)
            advanced(name, of_seed, count)

        link_images(experiment.cases, experiment.cases.pool, folder / "studies")
        conf = {"prepared_dir": str(out / PREPARED), **run_conf(experiment, arm, seed, folder)}
        app = open_app(folder / "studies", conf, NAME, out / CHOICES)
        app.add_strategies(oracle_strategies(app.project, experiment.cases))
        settings = {"settings": app.project.settings_in_force(), "recipe": app.project.recipe.model_dump(mode="json")}
        _play(experiment, arm, seed, app, settings, out, measured)


def run_on_server(experiment: Experiment, address: str, out: Path, advanced: Advanced, connect: Connect) -> None:
    """Play the single run of an experiment through a running server.

    Raises:
        ActiveLabelError: no server answers, or it was not started for this run; the line says how to start it.
    """
    ((arm, seed),) = experiment.runs
    for strategy in (arm.strategy, arm.start_strategy):
        if strategy in ORACLE_STRATEGIES:
            raise InvalidInputError(f"--server: no server knows the true labels, as {strategy} does: leave it out")
    folder = run_folder(out, arm.name, seed)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK_FILE):
        app = connect(address, NAME)
        info = app.info()
        _check_server(info["settings"], run_conf(experiment, arm, seed, out), app.images(), experiment.cases, out)
        _check_same_run(info["progress"], RunTables(folder), folder)
        settings = {"settings": info["settings"], "recipe": info["recipe"]}
        _play(experiment, arm, seed, app, settings, out, advanced)


def _play(
    experiment: Experiment, arm: Arm, seed: int, app: App, in_force: Mapping[str, Any], out: Path, advanced: Advanced
) -> None:
    """Play one run with any app; `in_force` are the settings and the recipe in force."""
    folder = run_folder(out, arm.name, seed)
    described = {"version": __version__, "arm": asdict(arm), "seed": seed, **in_force}
    write_atomically(folder / SETTINGS_FILE, json.dumps(described, indent=1).encode())
    plan = RunPlan(
        arm.start_strategy or _first_strategy(in_force["recipe"]),
        arm.strategy,
        arm.rounds,
        parse_labels(in_force["settings"]["labels"], "labels"),
    )
    annotator = OracleAnnotator(experiment.cases, folder / "desk", in_force["settings"]["slice_plane"])
    tables = RunTables(folder)
    (folder / NOTHING_LEFT_FILE).unlink(missing_ok=True)
    if not simulate_run(plan, app, annotator, experiment.cases, tables, lambda count: advanced(arm.name, seed, count)):
        write_atomically(folder / NOTHING_LEFT_FILE, b"Every case of the pool is annotated.\n")


def _check_server(
    running: Mapping[str, Any], conf: Mapping[str, str], images: set[str], cases: Cases, out: Path
) -> None:
    """Refuse a server whose images or settings are not those of the run."""
    pool = out / "pool"
    if images != set(cases.pool):
        raise InvalidInputError(
            f"--server: it has {len(images)} images, expected the {len(cases.pool)} that are not set aside to test: "
            f"start it with --studies {pool}"
        )
    if not running["autopilot"]:
        raise InvalidInputError("--server: its autopilot is off, so that it never trains: start it without that")
    for key in sorted(conf.keys() - {"project_dir"}):
        there = _as_set(key, running[key])
        if there.lower() != conf[key].lower():
            raise InvalidInputError(
                f"--server: it runs with {key} {there}, expected {conf[key]}: start it with "
                + " ".join(f"--conf {name} {quote(conf[name])}" for name in sorted(conf) if name != "project_dir")
            )


def _as_set(key: str, in_force: Any) -> str:
    """What a setting is set to, of what `GET /info/` says that is in force; of a precision it also says why."""
    if key == "precision":
        precision, _, why = str(in_force).partition(" ")
        return precision if why == "(as requested)" else "auto"
    return ",".join(in_force) if isinstance(in_force, list) else str(in_force)


def _check_same_run(progress: Mapping[str, Any], tables: RunTables, folder: Path) -> None:
    """Refuse a server whose progress and the tables of the run contradict each other."""
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
    """The settings of a server on which this run can be played."""
    return {
        **experiment.conf,
        "recipe": arm.recipe,
        "strategy": ORACLE_STRATEGIES.get(arm.strategy, arm.strategy),
        "seed": str(seed),
        "start": str(arm.start),
        "query_size": str(arm.query_size),
        "project_dir": str(folder / "project"),
        "links_out_of_studies": "true",
    }


def check_arms(experiment: Experiment, images: Path) -> None:
    """Plan the project of every arm before any run begins, to find wrong settings and networks.

    Raises:
        ActiveLabelError: a setting does not go with this machine, or with the strategy of an arm; or the recipe's
            network cannot do what the recipe asks.
    """
    for arm in experiment.arms:
        project = plan_project("", str(images), run_conf(experiment, arm, 0, Path()))
        check_network(project.recipe, parse_labels(project.settings.labels, "labels").channels)


def _first_strategy(recipe: Mapping[str, Any]) -> str:
    """The default strategy before the first model: the recipe's cold start, or else its start strategy.

    `recipe` is as a server describes it, which may be of another version with other limits.
    """
    proxy, query = recipe["proxy"], recipe["query"]
    return str(query["start_strategy"] if proxy is None or proxy["cold_start"] == "none" else proxy["cold_start"])
