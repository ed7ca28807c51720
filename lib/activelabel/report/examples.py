"""Examples of what was asked for: the slice, what the model that asked saw in it, and where it doubted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from activelabel.acquisition.uncertainty import MEASURES
from activelabel.data.preprocessing import prepare_image
from activelabel.data.slices import prepared_axis, prepared_positions, slice_axis
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.loop.doubt import compared_measure
from activelabel.prediction.pictures import doubt_figure, most_uncertain_slice
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import Recipe
from activelabel.report.page import Block, Picture, Text
from activelabel.simulation.results import Results, Run
from activelabel.training.checkpoints import ENDING, open_model

_COUNT = 3


def example_queries(results: Results, arm: str) -> Iterator[Block]:
    """Up to three queries of an arm's first run that a model asked for: the first of its first, middle and last round.

    Each is drawn from the image and the kept model, which takes a Monte Carlo prediction; where one of both is not
    there any more, a line says so.
    """
    run = next(run for run in results.runs if run.arm == arm)
    queries = results.queries[(results.queries["arm"] == arm) & (results.queries["seed"] == run.seed)]
    asked = queries[queries["model_version"].notna() & (queries["role"] == "training")]
    first = asked.sort_values("order").drop_duplicates("round")
    if first.empty:
        yield Text(f"No model had a say in what {arm} asked for, so there is no doubt to show.")
        return
    for place in sorted({0, (len(first) - 1) // 2, len(first) - 1}):
        query = first.iloc[place]
        try:
            yield _draw(results, run, query)
        except InvalidInputError as error:
            yield Text(f"Round {query['round']}, {query['image_id']}: no picture, as {error}")


def _draw(results: Results, run: Run, query: "pd.Series[Any]") -> Picture:
    version, image_id = int(query["model_version"]), str(query["image_id"])
    network, description = open_model(_model_file(results, run, version))
    prediction = Recipe.model_validate(run.settings["recipe"]).prediction
    predictor = Predictor(
        network,
        prediction.window_size,
        prediction.window_overlap,
        skip_outside_body=prediction.skip_outside_body,
        margin=prediction.window_margin,
    )
    volume = read_volume(run.experiment.settings["images"][image_id])
    image = prepare_image(volume, description.preprocessing)
    statistics = predictor.sample(image.tensor, prediction.repeats, run.seed)
    measure = compared_measure(str(query["strategy"]))
    doubt, asked = MEASURES[measure](statistics), query["slices"]
    axis = slice_axis(volume.grid, description.preprocessing.slice_plane) if asked is None else int(query["axis"])
    along = prepared_axis(image.grid, image.original, axis)
    positions = prepared_positions(image.grid, image.original, axis)
    # Of a volume the slice with most doubt, of several slices the middle one.
    wanted = most_uncertain_slice(doubt, along) if asked is None else positions[asked[len(asked) // 2]]
    own = int(np.abs(positions - wanted).argmin())
    place = int(np.clip(np.rint(positions[own]), 0, image.grid.shape[along] - 1))
    drawn = (image, statistics.mean, doubt, measure, description.labels, along, place)
    what = "the whole volume" if asked is None else f"slices {', '.join(map(str, asked))}"
    return Picture(
        name=f"example_round_{query['round']}",
        title=f"Round {query['round']}: {what} of {image_id}",
        figure=doubt_figure(*drawn, title=f"slice {own}"),
        alt=f"Slice {own} of {image_id}: the image, what the model segmented in it, and a heat map of its {measure}.",
        note=f"`{query['strategy']}`: {query['reason']}.",
    )


def _model_file(results: Results, run: Run, version: int) -> Path:
    models = results.models
    of_run = models[(models["arm"] == run.arm) & (models["seed"] == run.seed)]
    file = run.folder / "project" / "models" / str(of_run.set_index("model_version").at[version, "file"])
    return file if file.is_file() else file.with_suffix(ENDING)  # converted since its name was written down
