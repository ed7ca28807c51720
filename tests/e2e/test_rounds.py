"""The main loop, end to end: a server, the host's own client, and rounds of ask, label, train, score."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from eq1 import summed_variance
from recipe_files import HALF_AS_FINE, PHANTOMS_HALF_AS_FINE, changed_recipe
from running_server import HOST, RunningServer

from activelabel.names import ScoreKind
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

pytestmark = pytest.mark.e2e

QUERIES_A_ROUND = 2
ROUNDING = 1e-3
"""Of a score in float32, whichever way its windows went through the network together; 1e-5 was seen."""


FEWER_STEPS = {"training": {"epochs": 10, "validate_every": 5}}
"""100 instead of 400, which is enough to see that it learns."""

TWO_WINDOWS = {"prediction": {"window_size": [16, 32, 24]}}
"""Of a hippocampus image, side by side and blended; it is smaller than they are along the other axes."""


@pytest.mark.timeout(1200)
def test_two_rounds_on_sample_data(make_server: Callable[..., RunningServer], phantoms: Any, tmp_path: Path) -> None:
    recipe = changed_recipe("quick", tmp_path, PHANTOMS_HALF_AS_FINE, FEWER_STEPS)
    server = make_server(phantoms.studies, recipe=recipe, seed=1, precision="float32")
    server.host = HOST
    models = go_through_rounds(server, phantoms, rounds=2)
    assert server.info()["labels"] == ["liver", "spleen", "kidneys", "tumour"]
    assert server.stop() == 0
    assert max(models) > 0.3


@pytest.mark.timeout(1200)
def test_three_rounds_on_real_hippocampus(
    make_server: Callable[..., RunningServer], hippocampus: Any, tmp_path: Path
) -> None:
    cases = hippocampus(14)
    recipe = changed_recipe("quick", tmp_path, HALF_AS_FINE, TWO_WINDOWS, FEWER_STEPS)
    server = make_server(cases.studies, recipe=recipe, labels="anterior,posterior", seed=1, precision="float32")
    models = go_through_rounds(server, cases, rounds=3)
    assert server.stop() == 0
    assert (
        max(models) > 0.45
    )  # .54 with the smoothed way up after 100 steps on half of the resolution; an untrained one has 0


def go_through_rounds(server: RunningServer, cases: Any, rounds: int) -> list[float]:
    """Go through the rounds, and return the validation Dice of each model."""
    server.start()
    asked: list[str] = []
    start = server.info()["recipe"]["query"]["start"]
    roles: list[str] = []
    while roles.count("training") < start:  # the server's own count is 0 again once it has trained
        sample = server.next_sample()
        roles.append(sample["role"])
        assert "no model yet" in sample["reason"] or "validation case" in sample["reason"]
        asked.append(annotate(server, cases, sample))
    dice = []
    for version in range(1, rounds + 1):
        server.wait_for_model(version)
        dice.append(server.info()["train_stats"]["segmentation"]["best_metric"])
        if version == rounds:
            break
        for place in range(QUERIES_A_ROUND):
            sample = server.next_sample()
            assert sample["id"] not in asked
            assert sample["model_version"] == server.progress()["model_in_use"] <= version
            if version == 1 and place == 0:
                check_scores(server, cases, asked, sample["id"])
            infer_and_check(server, sample["id"], cases)
            asked.append(annotate(server, cases, sample))
    assert len(set(asked)) == len(asked)
    doubt = server.info()["doubt"]
    assert doubt["labels"] == len(doubt["last"]) == (rounds - 1) * QUERIES_A_ROUND
    assert min(doubt["last"]) > 0
    return dice


def annotate(server: RunningServer, cases: Any, sample: dict[str, Any]) -> str:
    """Annotate a case as a reader does: open it, draw it, send it."""
    assert Path(sample["path"]).is_file()
    assert sample["query"] == {"kind": "volume"}
    server.save_label(sample["id"], cases.label_of(sample["id"]))
    return str(sample["id"])


def infer_and_check(server: RunningServer, image_id: str, cases: Any) -> None:
    """Infer, and check that the mask has the image's own grid and the values of the labels."""
    file, params = server.client.infer("segmentation", image_id, {})
    mask = nibabel.load(file)
    image = nibabel.load(cases.studies / f"{image_id}.nii.gz")
    assert mask.shape == image.shape
    np.testing.assert_allclose(mask.affine, image.affine, atol=1e-3)
    labels = server.info()["labels"]
    assert params["label_names"] == {name: value for value, name in enumerate(labels, start=1)}
    assert set(np.unique(mask.dataobj)) <= set(range(len(labels) + 1))
    Path(file).unlink()


def check_scores(server: RunningServer, cases: Any, asked: list[str], now_asked: str) -> None:
    """Check each remaining score against eq. 1 computed apart from the server, and that the largest is asked for.

    Two scores that are equal up to rounding may change places.
    """
    info, project = server.info(), Path(server.studies) / "activelabel"
    (model,) = (project / "models").glob("*.safetensors")
    left = {path.name.split(".")[0]: path for path in cases.studies.glob("*.nii.gz")}
    by_hand = {image_id: summed_variance(model, left[image_id], info) for image_id in left.keys() - set(asked)}
    ledger = Ledger(sqlite_url(project / "ledger.sqlite"))
    assert ledger.volume_scores(1, ScoreKind("variance")) == pytest.approx(by_hand, rel=ROUNDING)
    assert by_hand[now_asked] >= max(by_hand.values()) * (1 - ROUNDING)
