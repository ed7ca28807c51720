"""Examples of what was asked for: the slice, what the model that asked saw in it, and its uncertainty."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from activelabel.errors import InvalidInputError
from activelabel.names import MODEL_ENDING
from activelabel.report.page import Block, Picture, Text
from activelabel.simulation.results import Results, Run

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
    model = _model_file(results, run, int(query["model_version"]))
    if not model.is_file():
        raise InvalidInputError(f"model {model.name}: there is no such file")
    from activelabel.report.drawn_queries import draw_query  # runs a network, whose imports take seconds

    return draw_query(run, query, model)


def _model_file(results: Results, run: Run, version: int) -> Path:
    models = results.models
    of_run = models[(models["arm"] == run.arm) & (models["seed"] == run.seed)]
    file = run.folder / "project" / "models" / str(of_run.set_index("model_version").at[version, "file"])
    return file if file.is_file() else file.with_suffix(MODEL_ENDING)  # converted since its name was written down
