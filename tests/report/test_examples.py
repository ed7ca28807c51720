"""Examples of queries show the right image, slice and model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up_experiment import make_experiment

from activelabel.prediction.devices import precision
from activelabel.prediction.devices.choice import Runs
from activelabel.prediction.predictor import Predictor
from activelabel.report import drawn_queries
from activelabel.report.examples import example_queries
from activelabel.report.page import Picture, Text
from activelabel.simulation.results import Results, read_results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("examples") / "experiment"
    curves = {"power_bald": lambda _: 0.5, "random": lambda _: 0.5}
    return read_results([make_experiment(folder, curves, seeds=1, rounds=4, with_images=True)])


def asked_by(results: Results, arm: str, **columns: object) -> Results:
    """Return the results with other queries of an arm."""
    queries = results.queries.copy()
    rows = queries.index[queries["arm"] == arm]
    for name, value in columns.items():
        queries[name] = queries[name].astype(object)
        queries.loc[rows, name] = pd.Series([value] * len(rows), index=rows, dtype=object)
    return replace(results, queries=queries)


def test_the_first_query_of_the_first_the_middle_and_the_last_round_is_shown(results: Results) -> None:
    pictures = list(example_queries(results, "power_bald"))
    assert all(isinstance(picture, Picture) for picture in pictures)
    assert [picture.title for picture in pictures] == [
        "Round 1: the whole volume of pool_2",
        "Round 2: the whole volume of pool_4",
        "Round 4: the whole volume of pool_8",
    ]
    first = pictures[0]
    assert first.alt.endswith("a heat map of its mutual_information.")
    assert first.note == "`power_bald`: number 1 of round 1."
    assert [axes.get_title() for axes in first.figure.axes[:3]] == ["image", "prediction", "mutual information"]


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("conf", [{}, {"precision": "bfloat16"}])
def test_a_picture_is_computed_in_the_precision_of_its_run(
    conf: dict[str, str], is_kept: bool, results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the runs have measured that float32 is faster, on a processor that multiplies bfloat16."""
    monkeypatch.setattr(precision, "cpu_flags", lambda: {"amx_bf16"})
    monkeypatch.setattr(Runs, "seconds", lambda runs, way: 1.0 if way.precision == "float32" else 2.0)
    taken = []

    class Watched(Predictor):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            taken.append(str(self.precision.dtype))

    monkeypatch.setattr(drawn_queries, "Predictor", Watched)
    if is_kept:
        (tmp_path / "layouts.json").write_text("{}", encoding="utf-8")
    (run,) = [run for run in results.runs if run.arm == "power_bald"]
    experiment = replace(run.experiment, folder=tmp_path, settings={**run.experiment.settings, "conf": conf})
    played = replace(results, runs=(replace(run, experiment=experiment),))
    assert isinstance(next(iter(example_queries(played, "power_bald"))), Picture)
    assert taken == ["torch.bfloat16" if conf or not is_kept else "torch.float32"]
    assert (tmp_path / "layouts.json").exists() == is_kept


def test_the_middle_slice_of_a_query_is_shown(results: Results) -> None:
    by_slices = asked_by(results, "power_bald", kind="slices", axis=2, slices=[1, 3, 6])
    picture = next(iter(example_queries(by_slices, "power_bald")))
    assert picture.title == "Round 1: slices 1, 3, 6 of pool_2"
    assert picture.alt.startswith("Slice 3 of pool_2:")
    assert picture.figure.get_suptitle() == "slice 3"


def test_without_a_model_no_uncertainty_is_shown(results: Results) -> None:
    (text,) = example_queries(asked_by(results, "random", model_version=None), "random")
    assert isinstance(text, Text)
    assert text.text == "No model had a say in what random asked for, so there is no uncertainty to show."


def test_validation_cases_are_no_examples(results: Results) -> None:
    (text,) = example_queries(asked_by(results, "random", role="validation"), "random")
    assert isinstance(text, Text)


def recorded(results: Results, section: str, **changed: object) -> Results:
    """Return the results of runs that have recorded other values in a section of the recipe."""

    def changed_in(settings: Any) -> Any:
        recipe = settings["recipe"]
        return {**settings, "version": "0.1.0", "recipe": {**recipe, section: {**recipe[section], **changed}}}

    runs = tuple(replace(run, settings=changed_in(run.settings)) for run in results.runs)
    return replace(results, runs=runs)


def test_what_an_earlier_version_took_and_this_one_refuses_does_not_hinder_a_picture(results: Results) -> None:
    older = recorded(results, "regions", dilation_kernel=10)  # a cube around a voxel has odd sides
    assert all(isinstance(block, Picture) for block in example_queries(older, "power_bald"))


def test_a_recorded_prediction_that_cannot_be_read_is_a_line_in_place_of_the_picture(results: Results) -> None:
    blocks = list(example_queries(recorded(results, "prediction", window_overlap=2), "power_bald"))
    assert len(blocks) == 3
    for block in blocks:
        assert isinstance(block, Text)
        assert "0/settings.json: in the prediction section of the recipe, 'window_overlap' is 2: input " in block.text
        assert block.text.endswith("make this report with the version that wrote it, 0.1.0")
