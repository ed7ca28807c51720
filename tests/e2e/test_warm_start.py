"""A warm start, end to end: an empty ledger, a proxy model, its ranking, and a first model that begins with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil
import pytest
import torch
from recipe_files import HALF_AS_FINE, HALF_AS_WIDE, PHANTOMS_HALF_AS_FINE, PROXY_HALF_AS_FINE, changed_recipe
from running_server import RunningServer
from safetensors.torch import load_file
from slowed_down import slowed_down

from activelabel.acquisition.diversity import typiclust
from activelabel.data.volumes import read_volume
from activelabel.names import ScoreKind
from activelabel.project.models.features import features_file, read_features
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.training.pseudo_labels import soft_tissue

pytestmark = pytest.mark.e2e

CASES = 12
KIND = ScoreKind("variance", aggregation="mean")
SHORTER = {
    "proxy": {"epochs": 4, "validate_every": 2, "repeats": 2},
    # With a learning rate near 0 a training of the task ends with the weights with which it begins.
    "training": {"epochs": 1, "steps_per_epoch": 2, "learning_rate": 1e-12},
    "semi_supervised": {"enabled": False},
    "prediction": {"repeats": 2},
}
"""Less to do, and no second stage."""
TIME_TO_KILL = {"proxy": {"epochs": 10, "repeats": 40}}
"""So many that a server which is slowed down can be killed in between, while it trains and while it scores."""


@pytest.mark.timeout(1200)
def test_from_an_empty_ledger_to_the_first_model(
    make_server: Callable[..., RunningServer], hippocampus: Any, tmp_path: Path
) -> None:
    cases = hippocampus(CASES)
    coarse = (HALF_AS_FINE, PROXY_HALF_AS_FINE, HALF_AS_WIDE)
    recipe = changed_recipe("quick_warm", tmp_path, *coarse, SHORTER, TIME_TO_KILL)
    server = make_server(cases.studies, recipe=recipe, labels="anterior,posterior", seed=1).start()
    folder = cases.studies / "activelabel"
    ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))

    early = server.next_sample(annotator="eve")
    assert early["reason"] == "no proxy model yet: drawn at random"
    drawn = kill_in_proxy_training(server, folder)
    server.wait_for(lambda: ledger.latest_model("proxy") is not None, "the proxy model")
    assert pseudo_labels(folder) == drawn
    kill_in_proxy_scoring(server, folder, ledger)
    server.wait_for(lambda: not ledger.unscored(1, KIND), "the scores of the proxy model")

    scores = ledger.volume_scores(1, KIND)
    assert scores.keys() == {image.id for image in ledger.images() if image.role == "training"}
    assert read_features(features_file(folder / "features", 1)).keys() == scores.keys()
    assert [model.version for model in ledger.models("proxy")] == [1]
    assert server.progress()["latest_model"] is None

    left = sorted(scores.keys() - {early["id"]}, key=lambda image_id: (-scores[image_id], image_id))
    assert [sample["id"] for sample in first_queries(server, cases)] == left[:4]
    server.wait_for_model(2)
    begins_with_the_proxy_model(folder, ledger)
    assert "training begins with " in server.log.read_text(encoding="utf-8", errors="replace")
    assert server.next_sample(annotator="bob")["reason"].startswith("variance ")
    assert server.next_sample("proxy_rank", "cat")["reason"].startswith("mean variance ")
    assert server.stop() == 0


@pytest.mark.timeout(1200)
def test_cold_start_on_sample_data(make_server: Callable[..., RunningServer], phantoms: Any, tmp_path: Path) -> None:
    """CT, whose pseudo-labels are soft tissue, and a cold start by features."""
    recipe = changed_recipe("quick_warm", tmp_path, PHANTOMS_HALF_AS_FINE, PROXY_HALF_AS_FINE, HALF_AS_WIDE, SHORTER)
    server = make_server(phantoms.studies, recipe=recipe, seed=1).start()
    folder = phantoms.studies / "activelabel"
    ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
    server.wait_for(lambda: ledger.latest_model("proxy") is not None, "the proxy model")
    server.wait_for(lambda: not ledger.unscored(1, KIND), "the scores of the proxy model")

    image = sorted(phantoms.studies.glob("*.nii.gz"))[0]
    drawn = np.asarray(nibabel.load(folder / "pseudo_labels" / image.name).dataobj) == 1
    assert np.array_equal(drawn, soft_tissue(read_volume(image).array, window_hu=125, level_hu=50))
    scores = ledger.volume_scores(1, KIND)
    first = server.next_sample()
    assert first["id"] == max(sorted(scores), key=lambda image_id: scores[image_id])
    assert first["score"] == scores[first["id"]]
    features = read_features(features_file(folder / "features", 1))
    expected = [image_id for image_id in typiclust(features, 4, seed=1) if image_id != first["id"]]
    readers = [server.next_sample("typiclust", annotator=f"reader {number}") for number in range(4)]
    by_cluster = [sample["id"] for sample in readers if "validation case" not in sample["reason"]]
    assert by_cluster[: len(expected)] == expected[: len(by_cluster)]
    assert len(by_cluster) >= 2
    assert server.stop() == 0


def pseudo_labels(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the pseudo-labels by name, with the number of each file on the disk, which a rewrite changes."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("pseudo_labels/*.nii.gz")}


def kill_in_proxy_training(server: RunningServer, folder: Path) -> dict[str, tuple[int, int]]:
    """Kill the training process after its first epoch, and return the pseudo-labels that exist then."""
    stats = folder / "proxy_stats.json"
    server.wait_for(stats.is_file, "the first pseudo-label", every=0.02)
    (training,) = server.children("train")
    with slowed_down(training):
        server.wait_for(
            lambda: "epoch" in json.loads(stats.read_text(encoding="utf-8")),
            "an epoch of the proxy model",
            every=0.02,
        )
    training.suspend()
    shown = server.info()["train_stats"]["proxy"]
    assert shown["stage"] == "2 of 2: training"
    assert shown["pseudo_labels"] == {"done": CASES, "images": CASES, "without": {}}
    drawn = pseudo_labels(folder)
    assert len(drawn) == CASES
    training.kill()
    training.wait()
    assert not list((folder / "models").glob("*"))
    return drawn


def kill_in_proxy_scoring(server: RunningServer, folder: Path, ledger: Ledger) -> None:
    """Kill the server while the proxy model scores, start it again, and check that scores stay."""
    server.wait_for(lambda: bool(server.children("scoring")), "the scoring by the proxy model", every=0.02)
    (scoring,) = server.children("scoring")
    with slowed_down(scoring):
        server.wait_for(lambda: len(ledger.volume_scores(1, KIND)) > 1, "scores of the proxy model")
        children = server.children()
        server.kill()
        psutil.wait_procs(children, timeout=120)
    before = ledger.volume_scores(1, KIND)
    assert 1 < len(before) < CASES - 3
    server.start()
    server.wait_for(lambda: len(ledger.volume_scores(1, KIND)) > len(before), "more of them")
    assert before.items() <= ledger.volume_scores(1, KIND).items()


def first_queries(server: RunningServer, cases: Any) -> list[dict[str, Any]]:
    """Answer queries until four training cases are annotated, and return the queries of these."""
    queries: list[dict[str, Any]] = []
    while len(queries) < 4:
        sample = server.next_sample()
        if "validation case" not in sample["reason"]:
            assert sample["reason"].startswith("mean variance ")
            assert sample["reason"].endswith(" by proxy model 1, the largest of the cases left")
            assert (sample["strategy"], sample["model_version"]) == ("mean_variance", 1)
            queries.append(sample)
        server.save_label(sample["id"], cases.label_of(sample["id"]))
    return queries


def begins_with_the_proxy_model(folder: Path, ledger: Ledger) -> None:
    """Check that all layers but the last, which has another shape, are those of the proxy model."""
    proxy, first = ledger.model(1), ledger.latest_model()
    assert first is not None
    weights = [load_file(folder / "models" / model.file) for model in (proxy, first)]
    same = {name for name, value in weights[0].items() if value.shape == weights[1][name].shape}
    assert len(weights[0]) - len(same) == 2  # the weight and bias of one layer
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-6) for name in same)
