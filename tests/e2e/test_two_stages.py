"""Rounds of two stages, end to end: an empty ledger, a proxy model, two full rounds, and power cuts in both stages."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil
import pytest
from recipe_files import HALF_AS_FINE, PHANTOMS_HALF_AS_FINE, PROXY_HALF_AS_FINE, changed_recipe
from running_server import RunningServer
from slowed_down import slowed_down

from activelabel.names import ScoreKind
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

pytestmark = pytest.mark.e2e

START, QUERIES_A_ROUND = 3, 2
EPOCHS = 3
SHORTER = {
    "proxy": {"epochs": 2, "validate_every": 2, "repeats": 2},
    "training": {
        "epochs": EPOCHS,
        "steps_per_epoch": 20,
        "patches_per_volume": 1,
        "validate_every": 1,
        "validation_cases": 2,
    },
    "semi_supervised": {"steps": 20},
    "prediction": {"repeats": 2},
    "query": {"start": START, "size": QUERIES_A_ROUND},
}
"""Of `quick_warm`: enough to see that each stage does its work."""


@pytest.mark.timeout(1200)
def test_two_rounds_on_real_hippocampus(
    make_server: Callable[..., RunningServer], hippocampus: Any, tmp_path: Path
) -> None:
    """Two rounds, with kill -9 in both stages of the first."""
    cases = hippocampus(12)
    recipe = changed_recipe("quick_warm", tmp_path, HALF_AS_FINE, PROXY_HALF_AS_FINE, SHORTER)
    server = make_server(cases.studies, recipe=recipe, labels="anterior,posterior", seed=1)
    project, ledger = draw_the_start_set(server, cases)
    cut = cut_power_in_stage(server, "1 of 2", ledger)
    cut_power_in_stage(server, "2 of 2", ledger, than=cut)
    first = next_version(server, ledger, than=0)
    check_round(server, project, ledger, first)

    for _ in range(QUERIES_A_ROUND):
        sample = server.next_sample()
        assert sample["model_version"] == first
        assert sample["strategy"] == "mean_variance"
        server.save_label(sample["id"], cases.label_of(sample["id"]))
    second = next_version(server, ledger, than=first)
    check_round(server, project, ledger, second)
    assert newest_metrics(server, ledger)["dice"] > 0.3


@pytest.mark.timeout(1200)
def test_a_round_on_the_sample_data(make_server: Callable[..., RunningServer], phantoms: Any, tmp_path: Path) -> None:
    """Four organs in 60 steps: only the largest is judged, and τ is 1/2 as predictions are no more certain."""
    half_sure = {"semi_supervised": {"threshold": 0.5}}
    recipe = changed_recipe("quick_warm", tmp_path, PHANTOMS_HALF_AS_FINE, PROXY_HALF_AS_FINE, SHORTER, half_sure)
    server = make_server(phantoms.studies, recipe=recipe, seed=1)
    project, ledger = draw_the_start_set(server, phantoms)
    check_round(server, project, ledger, next_version(server, ledger, than=0))
    assert newest_metrics(server, ledger)["dice_liver"] > 0.1


def draw_the_start_set(server: RunningServer, cases: Any) -> tuple[Path, Ledger]:
    """Start on an empty ledger, and answer the proxy model's queries until a first training is due."""
    server.start()
    project = Path(cases.studies) / "activelabel"
    ledger = Ledger(sqlite_url(project / "ledger.sqlite"))
    server.wait_for(lambda: ranked_by_proxy(ledger), "the ranking by the proxy model")
    roles: list[str] = []
    while roles.count("training") < START:  # the server's own count is 0 again once it has trained
        sample = server.next_sample()
        roles.append(sample["role"])
        server.save_label(sample["id"], cases.label_of(sample["id"]))
    return project, ledger


def newest_metrics(server: RunningServer, ledger: Ledger) -> Any:
    """Return the metrics of the newest model, check that the model in use asks, and stop the server."""
    in_use, model = ledger.model_in_use(), ledger.latest_model()
    assert in_use is not None
    assert model is not None
    assert server.next_sample()["model_version"] == in_use.version
    assert server.stop() == 0
    return model.metrics


def ranked_by_proxy(ledger: Ledger) -> bool:
    """Return whether a proxy model exists and has scored all images."""
    proxy = ledger.latest_model("proxy")
    return proxy is not None and not ledger.unscored(proxy.version, ScoreKind("variance", aggregation="mean"))


def cut_power_in_stage(server: RunningServer, stage: str, ledger: Ledger, than: int = 0) -> int:
    """Kill server and training during this stage, check that no model is published, and start a new server.

    The training is slowed down from the end of the first stage on, so that a fast one is not past the second.

    Args:
        than: statistics count that are newer, in nanoseconds: older ones are of a training that was killed before.

    Returns:
        The time of the last statistics of the killed training.
    """
    file = Path(server.studies) / "activelabel" / "train_stats.json"
    trainings = list[psutil.Process]()

    def shown() -> dict[str, Any]:
        is_new = file.is_file() and file.stat().st_mtime_ns > than
        return dict(json.loads(file.read_text(encoding="utf-8"))) if is_new else {}

    def near() -> bool:
        trainings[:] = server.children("train")
        if not trainings:
            return False
        stats = shown()
        return str(stats.get("stage", "")).startswith(stage) or int(stats.get("epoch", 0)) >= EPOCHS - 1

    server.wait_for(near, f"the time before stage {stage}", every=0.02)
    (training,) = trainings
    with slowed_down(training):
        server.wait_for(lambda: str(shown().get("stage", "")).startswith(stage), f"stage {stage}", every=0.02)
        children = server.children()
        server.kill()
        psutil.wait_procs(children, timeout=120)
    assert not [child for child in children if child.is_running()], "children outlived their server"
    assert ledger.latest_model() is None
    cut = file.stat().st_mtime_ns
    server.start()
    assert stage_of(server).startswith(stage), "it was killed too late"
    return cut


def stage_of(server: RunningServer) -> str:
    """Return the stage that the statistics of the latest training name."""
    return str(server.info()["train_stats"]["segmentation"].get("stage", ""))


def next_version(server: RunningServer, ledger: Ledger, than: int) -> int:
    """Wait for the next model of the task and for its scores."""
    server.wait_for_model(than + 1)
    model = ledger.latest_model()
    assert model is not None
    return model.version


def check_round(server: RunningServer, project: Path, ledger: Ledger, version: int) -> None:
    """Check that the model had two stages, with noisy labels of as many volumes as were annotated, none in common."""
    model = ledger.latest_model()
    assert model is not None
    assert model.version == version
    (run,) = (project / "runs").glob(f"*_model_{version}")
    noisy = {path.name.removesuffix(".nii.gz"): path for path in (run / "noisy_labels").iterdir()}
    trained_on = {item.image_id for item in ledger.annotations("training")}
    training = {image.id for image in ledger.images() if image.role == "training"}
    assert noisy.keys() <= training - trained_on
    assert len(noisy) == min(len(trained_on), len(training - trained_on))
    for path in noisy.values():
        values = np.unique(np.asarray(nibabel.load(path).dataobj))
        assert 0 < values.max() <= len(model.labels)
    stats = server.info()["train_stats"]["segmentation"]
    assert set(stats["semi_supervised"]["volumes"]) == noisy.keys()
    assert stats["newest_model"]["version"] == version
    assert "stage" not in stats
