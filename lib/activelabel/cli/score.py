"""Implements `activelabel score`: runs a model over a folder of images, and writes a table, maps and pictures."""

import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from activelabel.acquisition.regions import REGIONS
from activelabel.acquisition.uncertainty import MEASURES, measures_with
from activelabel.cli.consoles import console, errors, say
from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.data.files.studies_folder import FolderContent
from activelabel.data.intensities import odd_channels
from activelabel.data.preprocessing import restore_maps
from activelabel.data.slices import prepared_axis, prepared_positions
from activelabel.errors import InvalidInputError
from activelabel.names import AGGREGATIONS
from activelabel.prediction.devices.precision import PrecisionName
from activelabel.prediction.image_files import FileScorer, Scored, Wanted, list_images, require_images
from activelabel.prediction.pictures import most_uncertain_slice, take_texts_literally, uncertainty_figure
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.prediction.racing import planned_passes
from activelabel.prediction.score_table import ScoreTable
from activelabel.project.given.channels import find_layout
from activelabel.project.modality import find_modality
from activelabel.project.settings import parse_settings
from activelabel.recipes import PreprocessingSettings, Recipe, load_recipe, recipe_names
from activelabel.training.checkpoints import ModelDescription, open_model


def score_images(
    images: Path,
    model: Path,
    out: Path,
    measure: Sequence[str] | None,
    region: Sequence[str] | None,
    aggregation: Sequence[str] | None,
    repeats: int | None,
    seed: int,
    recipe: str | None,
    top: int | None,
    slices: bool,
    maps: Path | None,
    pictures: Path | None,
    device: str,
    precision: str,
    channel_files: str = "",
) -> None:
    """Score images; the parameters are the options of the command.

    Raises:
        InvalidInputError: an option is wrong; the line names it.
    """
    require_images(images)
    network, description = open_model(model, None if recipe is None else load_recipe(recipe).network)
    chosen = _recipe_of(recipe, description)
    repeats = chosen.prediction.repeats if repeats is None else repeats
    wanted = Wanted(
        measures=_measures(measure, repeats),
        regions=_known(region, REGIONS, "--region"),
        aggregations=_known(aggregation, AGGREGATIONS, "--aggregation"),
        repeats=repeats,
        seed=seed,
        slices=slices,
    )
    if top is not None:
        _check_race(wanted)
    layout = _layout_of(description, chosen, images, channel_files)
    found = _list_images(images, layout, maps, pictures)
    table = ScoreTable(out, {"model": model.name, "recipe": chosen.name, "top": top, **vars(wanted)})
    predictor = Predictor(
        network,
        chosen.prediction.window_size,
        chosen.prediction.window_overlap,
        device,
        _precision(precision),
        chosen.prediction.skip_outside_body,
        chosen.prediction.window_margin,
        description.inputs,
        description.labels.overlaps,
        chosen.prediction.random_layers,
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

    preprocessing = _preprocessing_of(description, images, found)
    with _prepared_for_a_race(out) as kept:
        scorer = FileScorer(predictor, preprocessing, chosen.regions, wanted, keep, None if top is None else kept)
        if top is None:
            _score_all(scorer, found, table)
        else:
            _race(scorer, found, top, wanted.repeats, table)
    _say_differing(scorer)
    rows = table.finish()
    if top is not None:
        _print_top(rows, top)
    console.print(f"{len(rows)} scores of {len(found.files)} images in {out}", markup=False)


@contextmanager
def _prepared_for_a_race(out: Path) -> Iterator[PreparedImages]:
    """Prepared images beside the table, for as long as the race runs; those of a killed race are removed."""
    folder = out.with_name(f"{out.name}.prepared")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield PreparedImages(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _layout_of(description: ModelDescription, recipe: Recipe, images: Path, channel_files: str) -> ChannelLayout:
    """How the channels with which the model was trained lie in the files of a folder."""
    if not description.channels:
        return ONE_CHANNEL
    settings = parse_settings({"channel_files": channel_files})
    shown = recipe.shown_channel if recipe.shown_channel in description.channels else ""
    own = recipe.model_copy(update={"channels": description.channels, "shown_channel": shown})
    return find_layout(own, settings, str(images))


def _list_images(images: Path, layout: ChannelLayout, *drawn: Path | None) -> FolderContent:
    """List the images, without the folders `drawn` for output; print the files that are passed over."""
    found = list_images(images, [folder for folder in drawn if folder is not None], layout)
    for line in found.lines():
        say(line, "yellow")
    return found


def _score_all(scorer: FileScorer, images: FolderContent, table: ScoreTable) -> None:
    with _progress() as progress:
        task = progress.add_task("scoring", total=len(images.files), completed=len(table.done))
        for problem in scorer.score_all(images, table):
            if problem is not None:
                _say_passed_over(problem)
            progress.advance(task)


def _race(scorer: FileScorer, images: FolderContent, top: int, repeats: int, table: ScoreTable) -> None:
    with _progress() as progress:
        task = progress.add_task("racing", total=planned_passes(len(images.files), top, repeats))
        for problem in scorer.race_for_top(images, top, table, lambda passes: progress.advance(task, passes)):
            _say_passed_over(problem)


def _print_top(rows: pd.DataFrame, top: int) -> None:
    """Print the largest scores, if there are any."""
    if "value" in rows:
        for row in rows.nlargest(top, ["repeats", "value"]).itertuples():
            console.print(f"{row.image} {row.value:.6g}", markup=False, highlight=False, soft_wrap=True)


def _say_passed_over(problem: str) -> None:
    say(f"passed over: {problem}", "yellow")


def _say_differing(scorer: FileScorer) -> None:
    for name, difference in odd_channels(scorer.intensities).items():
        say(f"{name}: {difference}", "yellow")


def _check_race(wanted: Wanted) -> None:
    kinds = {"--measure": wanted.measures, "--region": wanted.regions, "--aggregation": wanted.aggregations}
    for option, names in kinds.items():
        if len(names) != 1:
            raise InvalidInputError(f"--top: a race goes by one score, so give {option} once: {', '.join(names)}")
    if wanted.slices:
        raise InvalidInputError("--top: only volumes race; leave out --slices")
    if wanted.repeats == 0:
        raise InvalidInputError("--top: with --repeats 0 each image has a single pass, of which none can be spared")


def _recipe_of(name: str | None, description: ModelDescription) -> Recipe:
    """The requested recipe, or the model's own."""
    if name is None and description.recipe not in recipe_names():
        raise InvalidInputError(
            f"the model was trained with the recipe '{description.recipe}', which does not come with activelabel: "
            "give its file, --recipe PATH.toml"
        )
    return load_recipe(name or description.recipe)


def _preprocessing_of(description: ModelDescription, images: Path, found: FolderContent) -> PreprocessingSettings:
    """The model's preprocessing; if an older model has intensity `auto`, the images determine the modality."""
    settings = description.preprocessing
    if not settings.decides_itself:
        return settings
    modality = find_modality(str(images), [found.image(image_id) for image_id in found.files], layout=found.layout)
    if modality is None:
        return settings
    say(f"modality: {modality}")
    return settings.model_copy(update={"intensity": modality.intensity})


def _known(names: Sequence[str] | None, known: Collection[str], option: str) -> tuple[str, ...]:
    for name in names or ():
        if name not in known:
            raise InvalidInputError(f"{option} {name}: use one of {', '.join(known)}")
    return tuple(names or known)


def _measures(names: Sequence[str] | None, repeats: int) -> tuple[str, ...]:
    """The requested measures, by default all that `repeats` repeats allow."""
    available = measures_with(repeats)
    for name in _known(names, MEASURES, "--measure") if names else ():
        if name not in available:
            raise InvalidInputError(
                f"--measure {name}: it is how repeats differ, so 0 everywhere with --repeats {repeats}; ask for 2 or "
                f"more, or use {', '.join(available)}"
            )
    return tuple(names or available)


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
    return f"{scored.image_id}_{measure}"


def _write_map(scored: Scored, measure: str, folder: Path) -> None:
    """Write the map on the image's own grid."""
    map = restore_maps(MEASURES[measure](scored.statistics)[None].cpu(), scored.image)[0]
    image = nibabel.Nifti1Image(map.numpy().astype(np.float32), scored.image.original.affine_ras)
    nibabel.save(image, folder / f"{_stem(scored, measure)}.nii.gz")


def _draw(scored: Scored, measure: str, description: ModelDescription, folder: Path) -> None:
    map = MEASURES[measure](scored.statistics)
    along = prepared_axis(scored.image.grid, scored.image.original, scored.slice_axis)
    index = most_uncertain_slice(map, along)
    positions = prepared_positions(scored.image.grid, scored.image.original, scored.slice_axis)
    own_index = int(np.abs(positions - index).argmin())
    title = f"{scored.image_id}, slice {own_index}"
    figure = uncertainty_figure(
        scored.image, scored.statistics.mean, map, measure, description.labels, along, index, title, scored.shown
    )
    take_texts_literally(figure)
    figure.savefig(folder / f"{_stem(scored, measure)}.png", dpi=110)
