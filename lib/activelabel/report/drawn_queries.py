"""The picture of a query: the slice, the prediction of the model that chose it, and its uncertainty."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from activelabel.acquisition.uncertainty import MEASURES
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.preprocessing import prepare_image
from activelabel.data.slices import prepared_axis, prepared_positions, slice_axis
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.loop.uncertainty_check import compared_measure
from activelabel.prediction.pictures import most_uncertain_slice, uncertainty_figure
from activelabel.prediction.predictor import Predictor
from activelabel.project.project import CHOICES
from activelabel.recipes import PredictionSettings, first_problem
from activelabel.report.page import Picture
from activelabel.simulation.folder_names import SETTINGS_FILE
from activelabel.simulation.results import Run
from activelabel.training.checkpoints import open_model


def draw_query(run: Run, query: "pd.Series[Any]", model: Path) -> Picture:
    """The picture of one query of a run, from the image and the file of the model that chose it.

    Raises:
        InvalidInputError: the image, the model or what the run has recorded of its recipe cannot be read.
    """
    image_id = str(query["image_id"])
    network, description = open_model(model)
    prediction, choices = _prediction_settings(run), run.experiment.folder / CHOICES
    predictor = Predictor(
        network,
        prediction.window_size,
        prediction.window_overlap,
        precision=run.experiment.settings["conf"].get("precision", "auto"),
        skip_outside_body=prediction.skip_outside_body,
        margin=prediction.window_margin,
        channels=description.inputs,
        overlapping=description.labels.overlaps,
        last_layers=prediction.random_layers,
        choices_file=choices if choices.is_file() else None,
    )
    files = ImageFiles.of(run.experiment.settings["images"][image_id])
    volume = read_volume(files)
    image = prepare_image(volume, description.preprocessing)
    statistics = predictor.sample(image.tensor, prediction.repeats, run.seed)
    measure = compared_measure(str(query["strategy"]))
    uncertainty, asked = MEASURES[measure](statistics), query["slices"]
    axis = slice_axis(volume.grid, description.preprocessing.slice_plane) if asked is None else int(query["axis"])
    along = prepared_axis(image.grid, image.original, axis)
    positions = prepared_positions(image.grid, image.original, axis)
    # A volume shows its most uncertain slice, a query for several slices the middle one.
    wanted = most_uncertain_slice(uncertainty, along) if asked is None else positions[asked[len(asked) // 2]]
    own = int(np.abs(positions - wanted).argmin())
    place = int(np.clip(np.rint(positions[own]), 0, image.grid.shape[along] - 1))
    drawn = (image, statistics.mean, uncertainty, measure, description.labels, along, place)
    what = "the whole volume" if asked is None else f"slices {', '.join(map(str, asked))}"
    return Picture(
        name=f"example_round_{query['round']}",
        title=f"Round {query['round']}: {what} of {image_id}",
        figure=uncertainty_figure(*drawn, title=f"slice {own}", shown=files.shown),
        alt=f"Slice {own} of {image_id}: the image, what the model segmented in it, and a heat map of its {measure}.",
        note=f"`{query['strategy']}`: {query['reason']}.",
    )


def _prediction_settings(run: Run) -> PredictionSettings:
    """How the networks of a run ran over volumes.

    Only this section of the recorded recipe is read: an earlier version may have taken what this one refuses in others.
    """
    try:
        return PredictionSettings.model_validate(run.settings["recipe"]["prediction"])
    except ValidationError as error:
        raise InvalidInputError(
            f"{run.folder / SETTINGS_FILE}: in the prediction section of the recipe, {first_problem(error)}: make this "
            f"report with the version that wrote it, {run.settings.get('version', 'an earlier one')}"
        ) from error
