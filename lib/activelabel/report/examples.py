"""Example queries: for each, the slice, the prediction of the model that chose it, and its uncertainty."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from activelabel.errors import InvalidInputError
from activelabel.names import MODEL_ENDING
from activelabel.report.page import Block, Picture, Text
from activelabel.simulation.results import Results, Run


def example_queries(results: Results, arm: str) -> Iterator[Block]:
    """Up to three queries of an arm's first run that a model chose: the first query of its first, middle and last
    round.

    Each picture takes the image, the kept model and a Monte Carlo prediction. If the image or the model is missing, a
    line takes the place of the picture.
    """
    run = next(run for run in results.runs if run.arm == arm)
    queries = results.queries[(results.queries["arm"] == arm) & (results.queries["seed"] == run.seed)]
    asked = queries[queries["model_version"].notna() & (queries["role"] == "training")]
    first = asked.sort_values("order").drop_duplicates("round")
    if first.empty:
        yield Text(f"No model had a say in what {arm} asked for, so there is no uncertainty to show.")
        return
    for place in sorted({0, (len(first) - 1) // 2, len(first) - 1}):
        query = first.iloc[place]
        try:
            yield _draw(results, run, query)
        except InvalidInputError as error:
            yield Text(f"Round {query['round']}, {query['image_id']}: no picture, as {error}")


def _draw(results: Results, run: Run, query: "pd.Series[Any]") -> Picture:
    model = _model_file(results, run, int(query["model_version"]))
    if not model.is_file():
        raise InvalidInputError(f"model {model.name}: there is no such file")
    from activelabel.report.drawn_queries import draw_query  # its imports, which run a network, take seconds

    return draw_query(run, query, model)


def _model_file(results: Results, run: Run, version: int) -> Path:
    models = results.models
    of_run = models[(models["arm"] == run.arm) & (models["seed"] == run.seed)]
    file = run.folder / "project" / "models" / str(of_run.set_index("model_version").at[version, "file"])
    return file if file.is_file() else file.with_suffix(MODEL_ENDING)  # an older file is converted under a new ending
