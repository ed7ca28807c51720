"""The command `activelabel`."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated

import nibabel
import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from activelabel.acquisition.regions import REGIONS
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.data.preprocessing import restore_maps
from activelabel.data.slices import prepared_axis, prepared_positions
from activelabel.errors import ActiveLabelError, InvalidInputError
from activelabel.prediction.image_files import FileScorer, Scored, Wanted, list_images
from activelabel.prediction.pictures import doubt_figure, most_uncertain_slice
from activelabel.prediction.precision import PrecisionName
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.racing import planned_passes
from activelabel.prediction.score_table import ScoreTable
from activelabel.recipes import Recipe, load_recipe, recipe_names
from activelabel.server.doctor import examine
from activelabel.server.settings import setting_pairs
from activelabel.simulation.command import simulate
from activelabel.simulation.report.command import report
from activelabel.training.checkpoints import ModelDescription, open_model

app = typer.Typer(help="Active learning for 3D medical image segmentation.", no_args_is_help=True)
console = Console()
errors = Console(stderr=True)

AGGREGATIONS = ("total", "mean")
APP_FOLDER = Path(__file__).parents[2] / "apps" / "activelabel"


@app.callback()
def commands() -> None:
    """Active learning for 3D medical image segmentation."""


@app.command()
def doctor(
    studies: Annotated[str, typer.Option(help="The folder with the images, or the DICOMweb address of a PACS.")],
    conf: Annotated[list[str] | None, typer.Option(help="A setting of the server, KEY=VALUE; repeat for more.")] = None,
) -> None:
    """Say whether environment, GPU, disk, studies, ledger and model are fit, and what to do if not.

    Exit code 0: a server would run; 1: something must be mended first.
    """
    findings = list(examine(str(APP_FOLDER), studies, setting_pairs(conf or [])))
    table = Table("", "what", "found", "what to do")
    for finding in findings:
        mark = "[green]ok[/]" if finding.fit else "[red]no[/]"
        table.add_row(mark, finding.subject, finding.text, "" if finding.fit else finding.advice)
    console.print(table)
    if not all(finding.fit for finding in findings):
        raise typer.Exit(1)


@app.command()
def score(
    images: Annotated[Path, typer.Option(help="A folder of images.")],
    model: Annotated[Path, typer.Option(help="A model version: a .pt file of a project's models folder.")],
    out: Annotated[Path, typer.Option(help="The table to write: .csv or .parquet.")],
    measure: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(MEASURES)}; repeat for more. Default all.")
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(REGIONS)}; repeat for more. Default all.")
    ] = None,
    aggregation: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(AGGREGATIONS)}; repeat for more. Default all.")
    ] = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="Monte Carlo repeats. Default the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes what is random.")] = 0,
    recipe: Annotated[str | None, typer.Option(help="Name or .toml of the recipe. Default the model's own.")] = None,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Race for this many largest scores: all repeats only for images that may have one."),
    ] = None,
    slices: Annotated[bool, typer.Option(help="Score slices too, in the plane of the acquisition.")] = False,
    maps: Annotated[Path | None, typer.Option(help="Folder for uncertainty maps as NIfTI.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder for pictures of the most uncertain slices.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
) -> None:
    """Score images by how uncertain a model is about them, without a server.

    A run that was stopped goes on where it was when it is started again with the same options. With --top, the images
    that dropped out are in the table too, with the number of repeats they got; compare scores of equal repeats only.
    """
    network, description = open_model(model)
    chosen = _recipe_of(recipe, description)
    wanted = Wanted(
        measures=_known(measure, MEASURES, "--measure"),
        regions=_known(region, REGIONS, "--region"),
        aggregations=_known(aggregation, AGGREGATIONS, "--aggregation"),
        repeats=repeats or chosen.prediction.repeats,
        seed=seed,
        slices=slices,
    )
    if top is not None:
        _check_race(wanted)
    files = list_images(images)
    table = ScoreTable(out, {"model": model.name, "recipe": chosen.name, "top": top, **vars(wanted)})
    predictor = Predictor(
        network,
        chosen.prediction.window_size,
        chosen.prediction.window_overlap,
        device,
        _precision(precision),
        chosen.prediction.skip_outside_body,
        chosen.prediction.window_margin,
    )
    for folder in (maps, pictures):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def keep(scored: Scored) -> None:
        for name in wanted.measures:
            if maps is not None:
                _write_map(scored, name, maps)
            if pictures is not None:
                _draw(scored, name, description, pictures)

    scorer = FileScorer(predictor, description.preprocessing, chosen.regions, wanted, keep)
    if top is None:
        _score_all(scorer, files, table)
    else:
        _race(scorer, files, top, wanted.repeats, table)
    rows = table.finish()
    if top is not None:
        _print_top(rows, top)
    console.print(f"{len(rows)} scores of {len(files)} images in {out}")


app.command()(simulate)
app.command()(report)


def main() -> None:
    """Run the command. What the user can mend is one line, and exit code 2."""
    try:
        app()
    except ActiveLabelError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        raise SystemExit(2) from error


def _score_all(scorer: FileScorer, files: Sequence[Path], table: ScoreTable) -> None:
    with _progress() as progress:
        task = progress.add_task("scoring", total=len(files), completed=len(table.done))
        for problem in scorer.score_all(files, table):
            if problem is not None:
                _say_passed_over(problem)
            progress.advance(task)


def _race(scorer: FileScorer, files: Sequence[Path], top: int, repeats: int, table: ScoreTable) -> None:
    with _progress() as progress:
        task = progress.add_task("racing", total=planned_passes(len(files), top, repeats))
        for problem in scorer.race_for_top(files, top, table, lambda passes: progress.advance(task, passes)):
            _say_passed_over(problem)


def _print_top(rows: pd.DataFrame, top: int) -> None:
    """The largest scores; no image may have any."""
    if "value" in rows:
        for row in rows.nlargest(top, ["repeats", "value"]).itertuples():
            console.print(f"{row.image} {row.value:.6g}", markup=False, highlight=False, soft_wrap=True)


def _say_passed_over(problem: str) -> None:
    errors.print(f"passed over: {problem}", style="yellow", markup=False, soft_wrap=True)


def _check_race(wanted: Wanted) -> None:
    kinds = {"--measure": wanted.measures, "--region": wanted.regions, "--aggregation": wanted.aggregations}
    for option, names in kinds.items():
        if len(names) != 1:
            raise InvalidInputError(f"--top: a race goes by one score, so give {option} once: {', '.join(names)}")
    if wanted.slices:
        raise InvalidInputError("--top: only volumes race; leave out --slices")


def _recipe_of(name: str | None, description: ModelDescription) -> Recipe:
    """The recipe asked for, or the model's own."""
    if name is None and description.recipe not in recipe_names():
        raise InvalidInputError(
            f"the model was trained with the recipe '{description.recipe}', which does not come with activelabel: "
            "give its file, --recipe PATH.toml"
        )
    return load_recipe(name or description.recipe)


def _known(names: Sequence[str] | None, known: Collection[str], option: str) -> tuple[str, ...]:
    for name in names or ():
        if name not in known:
            raise InvalidInputError(f"{option} {name}: use one of {', '.join(known)}")
    return tuple(names or known)


def _precision(name: str) -> PrecisionName:
    match name:
        case "auto" | "float32" | "bfloat16":
            return name
    raise InvalidInputError(f"--precision {name}: use one of auto, float32, bfloat16")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=errors
    )


def _stem(scored: Scored, measure: str) -> str:
    return f"{scored.name.split('.')[0]}_{measure}"


def _write_map(scored: Scored, measure: str, folder: Path) -> None:
    """The map on the image's own grid."""
    map = restore_maps(MEASURES[measure](scored.statistics)[None].cpu(), scored.image)[0]
    image = nibabel.Nifti1Image(map.numpy().astype(np.float32), scored.volume.affine_ras)
    nibabel.save(image, folder / f"{_stem(scored, measure)}.nii.gz")


def _draw(scored: Scored, measure: str, description: ModelDescription, folder: Path) -> None:
    map = MEASURES[measure](scored.statistics)
    along = prepared_axis(scored.image.grid, scored.image.original, scored.slice_axis)
    index = most_uncertain_slice(map, along)
    positions = prepared_positions(scored.image.grid, scored.image.original, scored.slice_axis)
    own_index = int(np.abs(positions - index).argmin())
    title = f"{scored.name.split('.')[0]}, slice {own_index}"
    figure = doubt_figure(scored.image, scored.statistics.mean, map, measure, description.labels, along, index, title)
    figure.savefig(folder / f"{_stem(scored, measure)}.png", dpi=110)
