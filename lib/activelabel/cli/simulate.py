"""The command `activelabel simulate`."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from activelabel.cli.consoles import errors, say
from activelabel.cli.options import Conf
from activelabel.errors import InvalidInputError
from activelabel.names import recipe_names
from activelabel.quick_imports import no_collections

if TYPE_CHECKING:
    from activelabel.data.files.channels import ChannelLayout
    from activelabel.project.settings import Settings
    from activelabel.simulation.cases import Cases
    from activelabel.simulation.experiment import Experiment


def simulate(
    images: Annotated[Path, typer.Option(help="A folder of images.")],
    labels: Annotated[Path, typer.Option(help="A folder with the reference label of each image, under the same name.")],
    out: Annotated[Path, typer.Option(help="The folder of the experiment; an unfinished experiment continues.")],
    strategy: Annotated[list[str], typer.Option(help="A strategy to compare; repeat for more.")],
    recipe: Annotated[str, typer.Option(help=f"{', '.join(recipe_names())}, or the path of a .toml file.")] = "quick",
    label_names: Annotated[
        str | None,
        typer.Option(
            help="Names of the structures, separated by commas, with their values if need be: liver=1+2,tumour=2. "
            "Default from a dataset.json."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of repetitions, each with its own seed.")] = 4,
    rounds: Annotated[int, typer.Option(min=0, help="Rounds after the start set.")] = 5,
    query_size: Annotated[int | None, typer.Option(min=1, help="Volumes per round. Default the recipe's.")] = None,
    slices: Annotated[
        int | None,
        typer.Option(min=1, help="Slices per round, for strategies of slices. Default --query-size or the recipe's."),
    ] = None,
    start_strategy: Annotated[
        str | None, typer.Option(help="The strategy that chooses the start set of all runs. Default the recipe's.")
    ] = None,
    start: Annotated[int | None, typer.Option(min=1, help="Size of the start set. Default the recipe's.")] = None,
    test: Annotated[int | None, typer.Option(min=1, help="Number of test cases. Default one case in four.")] = None,
    full_data: Annotated[bool, typer.Option(help="Also train once on the whole pool, for comparison.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Number of concurrent runs.")] = 1,
    server: Annotated[
        str | None, typer.Option(help="Run through the server at this address: one strategy and one seed.")
    ] = None,
    conf: Conf = None,
) -> None:
    """Compare strategies on labelled images: an oracle annotates the cases of each, and every model is measured.

    All strategies begin with the same start set and validation cases, and are measured on the same test cases.
    A stopped run continues when the command is started again. `activelabel report` shows the results.
    """
    # Here, so that `--help` does not wait for torch.
    with no_collections():
        from activelabel.cli.dicom_folder import make_images
        from activelabel.data.dicom_objects.folders import LABELS, is_dicom_folder
        from activelabel.data.files.names import CONVERTED
        from activelabel.data.labels.label_texts import setting_of
        from activelabel.project.given.channels import find_layout, layout_settings
        from activelabel.project.given.patients import given_patients
        from activelabel.project.given.split import given_split
        from activelabel.project.in_force.recipe_in_force import with_settings
        from activelabel.project.labels.names import resolve_label_names
        from activelabel.project.settings import parse_settings, setting_pairs
        from activelabel.recipes import load_recipe
        from activelabel.simulation.arms import full_data_arm, needed_cases, plan_arms
        from activelabel.simulation.cases import find_cases
        from activelabel.simulation.experiment import (
            Experiment,
            began_without_patients,
            check_settings,
            open_experiment,
        )
        from activelabel.simulation.measuring import sound_test_cases
        from activelabel.simulation.playing import check_arms

    if server is not None and (len(strategy) > 1 or seeds > 1 or full_data):
        raise InvalidInputError("--server: one server plays one run: give one --strategy, --seeds 1, no --full-data")
    settings = setting_pairs(conf or [])
    if is_dicom_folder(images):
        labels_too = [labels] if is_dicom_folder(labels) else []
        images = make_images([images, *labels_too], out / CONVERTED, settings)
        labels = images / LABELS if labels_too else labels
    if label_names is not None:
        settings["labels"] = label_names
    given = parse_settings(settings)
    check_settings(settings)
    arms = plan_arms(recipe, strategy, start, query_size, slices, rounds, start_strategy)
    split, patients = given_split(given), given_patients(given)
    if given.splits is not None:  # each run reads the file again, possibly in another folder
        settings["splits"] = str(given.splits.resolve())
    if patients is not None and patients.table:  # and the table
        settings["patients"] = str(Path(patients.setting).resolve())
    layout = find_layout(with_settings(load_recipe(recipe), given), given, str(images))
    settings |= layout_settings(layout)
    needed = max(needed_cases(arm) for arm in arms)
    by_names = not began_without_patients(out)
    cases = find_cases(
        images, labels, test, needed, without=(out,), split=split, patients=patients, layout=layout, by_names=by_names
    )
    for line in cases.passed_over:
        say(line)
    settings |= patients_by_their_names(cases.images if patients is None else (), by_names=by_names)
    if full_data:
        arms = (*arms, full_data_arm(recipe))
    names = resolve_label_names(given.labels, str(images))
    settings["labels"] = setting_of(names)
    experiment = Experiment(arms, seeds, cases, settings)
    if server is None:
        check_arms(experiment, images)
    cases, left_out = sound_test_cases(cases, names)
    for problem in left_out.values():
        say(f"left out of the test cases: {problem}", "yellow")
    experiment = replace(
        experiment, cases=cases, conf={**settings, "modality": _modality(given, images, cases, layout)}
    )
    open_experiment(experiment, out)
    models = run_with_progress(experiment, out, jobs, server)
    typer.echo(f"{models} models of {len(experiment.runs)} runs in {out}")


def patients_by_their_names(images: Collection[str], *, by_names: bool) -> dict[str, str]:
    """The setting of patients by the names of images, if several are of one; say what that means.

    Without `by_names` none, and what is overlooked is said.
    """
    from activelabel.data.patients.by_name import NAMES, grouped_line, overlooked_line

    line = grouped_line(images) if by_names else overlooked_line(images)
    if line is not None:
        say(line, "yellow")
    return {"patients": NAMES} if line is not None and by_names else {}


def _modality(given: "Settings", images: Path, cases: "Cases", layout: "ChannelLayout") -> str:
    """The modality of all runs, determined once: a run has only links to the images, without a `dataset.json`."""
    from activelabel.data.modality import AUTO
    from activelabel.project.modality import find_modality

    if given.modality != AUTO:
        return given.modality
    found = find_modality(str(images), [cases.images[case] for case in cases.pool], layout=layout)
    return AUTO if found is None else found.name


def run_with_progress(experiment: "Experiment", out: Path, jobs: int, server: str | None = None) -> int:
    """Run the experiment, locally or by a server, with a progress bar; return the number of models."""
    from activelabel.simulation.jobs import run_all
    from activelabel.simulation.local_app import LocalApp
    from activelabel.simulation.playing import run_on_server

    measured: dict[tuple[str, int], int] = {}
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("models"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
    ) as bar:
        task = bar.add_task("simulating", total=experiment.models)

        def advanced(arm: str, seed: int, count: int) -> None:
            measured[arm, seed] = count
            bar.update(task, completed=sum(measured.values()))

        if server is None:
            run_all(experiment, out, jobs, advanced, LocalApp)
        else:
            from activelabel.server.remote_app import RemoteApp

            run_on_server(experiment, server, out, advanced, RemoteApp)
    for arm, seed in experiment.runs:
        count = measured.get((arm.name, seed), 0)
        if count <= arm.rounds:
            say(f"{arm.name}, seed {seed}: {count} of {arm.rounds + 1} models, then nothing was left to ask for")
    return sum(measured.values())
