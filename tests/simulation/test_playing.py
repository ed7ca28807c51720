"""A server whose runs would differ from those in process is refused, and the line says how to start it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from simulated_runs import blob_experiment
from training_study import TINY

from activelabel.errors import InvalidInputError
from activelabel.recipes import load_recipe
from activelabel.server.remote_app import RemoteApp
from activelabel.simulation.experiment import Experiment
from activelabel.simulation.playing import run_on_server
from activelabel.simulation.tables import QUERIES, RunTables


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """An experiment of one strategy on twelve cases, all empty files."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
        for index in range(12):
            (tmp_path / name / f"case_{index}.nii.gz").touch()
    return blob_experiment(tmp_path / "images", tmp_path / "labels", "variance")


def answering(experiment: Experiment, annotated: int = 0, recipe: dict[str, Any] | None = None, **settings: Any) -> Any:
    """Return a server started for this run except for these settings, with so many annotations and nothing to ask."""
    in_force = {
        "recipe": experiment.arms[0].recipe, "strategy": "variance", "seed": 0, "start": 3, "query_size": 2,
        "labels": ["ball"], "device": "cpu", "precision": "float32 (as requested)", "autopilot": True,
        "links_out_of_studies": True,
        **settings,
    }  # fmt: skip
    asked: list[str] = []
    progress = {"annotated": annotated, "partly_annotated": 0}

    class Server:
        strategies = asked

        def __init__(self, *_: str) -> None: ...

        def info(self) -> dict[str, Any]:
            return {"settings": in_force, "progress": progress, "recipe": recipe or {}}

        def images(self) -> set[str]:
            return set(experiment.cases.pool)

        def train_if_due(self) -> None: ...

        def score_if_due(self) -> None: ...

        def model(self) -> None: ...

        def ask(self, strategy: str) -> dict[str, Any]:
            asked.append(strategy)
            return {}

    return Server


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"labels": ["liver"]},
            r"labels liver, expected ball: start it with --conf device cpu --conf labels ball --conf",
        ),
        ({"seed": 1}, "seed 1, expected 0: start it with"),
        ({"precision": "float32 (this CPU has none of amx_bf16)"}, "precision auto, expected float32: start it with"),
        ({"precision": "bfloat16 (as requested)"}, "precision bfloat16, expected float32: start it with"),
        ({"autopilot": False}, "its autopilot is off"),
    ],
)
def test_other_settings_are_refused(
    experiment: Experiment, tmp_path: Path, settings: dict[str, Any], expected: str
) -> None:
    server = answering(experiment, **settings)
    with pytest.raises(InvalidInputError, match=expected):
        run_on_server(experiment, "http://here", tmp_path / "out", lambda *_: None, server)


def test_annotations_that_are_not_of_this_run_are_refused(experiment: Experiment, tmp_path: Path) -> None:
    server = answering(experiment, annotated=2)
    with pytest.raises(InvalidInputError, match="2 of its images are annotated already, and not by this run"):
        run_on_server(experiment, "http://here", tmp_path / "out", lambda *_: None, server)


def test_a_run_does_not_go_on_with_a_server_that_knows_nothing_of_it(experiment: Experiment, tmp_path: Path) -> None:
    texts = {"image_id", "role", "kind", "strategy", "reason"}
    row = {name: "a" if name in texts else 1 for name in QUERIES} | {"slices": None}
    RunTables(tmp_path / "out" / "runs" / "variance" / "0").queries.add([row, row])
    server = answering(experiment)
    with pytest.raises(InvalidInputError, match="has asked for 2 cases, and none is annotated there"):
        run_on_server(experiment, "http://here", tmp_path / "out", lambda *_: None, server)


def test_no_server_plays_the_oracle_not_even_for_a_start_set(experiment: Experiment, tmp_path: Path) -> None:
    (arm,) = experiment.arms
    oracle = "foreground_random_oracle"
    for asked in (replace(arm, strategy=oracle), replace(arm, start_strategy=oracle)):
        with pytest.raises(InvalidInputError, match=f"no server knows the true labels, as {oracle} does"):
            run_on_server(
                replace(experiment, arms=(asked,)), "http://here", tmp_path / "out", lambda *_: None, RemoteApp
            )


@pytest.mark.parametrize(
    ("proxy", "first"),
    [(None, "random_volumes"), ({"cold_start": "none"}, "random_volumes"), ({"cold_start": "typiclust"}, "typiclust")],
)
def test_a_server_of_a_version_with_other_limits_is_played(
    experiment: Experiment, tmp_path: Path, proxy: dict[str, str] | None, first: str
) -> None:
    recipe = {**load_recipe(str(TINY)).model_dump(mode="json"), "proxy": proxy, "later": 1}
    recipe["regions"]["dilation_kernel"] = 10  # even
    server = answering(experiment, recipe=recipe, slice_plane="acquisition")
    run_on_server(experiment, "http://here", tmp_path / "out", lambda *_: None, server)
    assert server.strategies == [first]


def test_a_server_that_tells_patients_as_the_run_is_taken_and_another_is_refused(
    experiment: Experiment, tmp_path: Path
) -> None:
    by_names = replace(experiment, conf={**experiment.conf, "patients": "names"})
    recipe = load_recipe(str(TINY)).model_dump(mode="json")

    def run(patients: str) -> None:
        server = answering(experiment, recipe=recipe, slice_plane="acquisition", patients=patients)
        run_on_server(by_names, "http://here", tmp_path / "out", lambda *_: None, server)

    run("names")
    with pytest.raises(InvalidInputError, match=r"patients images, expected names: start it with .*patients names"):
        run("images")
