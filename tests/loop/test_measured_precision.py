"""A study with `auto` precision on a processor that multiplies bfloat16: each work is measured once, and kept."""

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from activelabel.prediction.devices import kept_choices, precision
from activelabel.prediction.devices.choice import Choice, Runs
from activelabel.project.models.loaded import LoadedModel
from activelabel.simulation.local_app import LocalApp

TINY = Path(__file__).parents[1] / "support" / "tiny.toml"
MEASURED = "it is the fastest for this network here"


@pytest.fixture
def app(blobs: Callable[[int], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalApp:
    """A study of eight images, of which four are annotated, on such a processor."""
    monkeypatch.setattr(precision, "cpu_flags", lambda: {"amx_bf16"})
    conf = {"recipe": str(TINY), "labels": "ball", "device": "cpu", "project_dir": str(tmp_path / "project")}
    opened = LocalApp(blobs(8).studies, conf, "ann")
    annotate(opened, 4)
    return opened


def annotate(app: LocalApp, count: int) -> None:
    """Save the labels of the first images of each role."""
    for role in ("training", "validation"):
        for image_id in app.project.ledger.pool(role)[:count]:
            app.save(image_id, Path(app.project.studies).parent / "blob-labels" / f"{image_id}.nii.gz", {})


def test_a_study_measures_a_step_and_a_pass_once_and_says_what_it_takes(
    app: LocalApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Here bfloat16 is the faster one in a step, and float32 in a pass."""
    measured: Counter[str] = Counter()
    fastest = {"step": "bfloat16", "pass": "float32"}

    def seconds(runs: Runs, way: Choice) -> float:
        measured[runs._work] += 1
        return 1.0 if way.precision == fastest[runs._work] else 2.0

    monkeypatch.setattr(Runs, "seconds", seconds)
    caplog.set_level(logging.INFO, logger="activelabel")
    project = app.project
    before = "bfloat16 (this CPU has amx_bf16; the first use measures whether float32 is faster)"
    assert project.precision == before

    app.train_if_due()
    app.score_if_due()
    assert project.current_model().version == 1
    kept = json.loads((project.folder / "layouts.json").read_text(encoding="utf-8"))
    works = {key.removeprefix(kept_choices.of_this_torch()).split()[0]: way for key, way in kept.items()}
    assert works == {"step": ["channels_last_3d", "bfloat16"], "pass": ["channels_last_3d", "float32"]}
    assert len(kept) == 2
    once = dict(measured)
    assert set(once) == {"step", "pass"}
    assert project.precision == f"predictions: float32 ({MEASURED}); trainings: bfloat16 ({MEASURED})"
    predictions = [record.getMessage() for record in caplog.records if "prediction in " in record.getMessage()]
    assert predictions
    assert all(line.startswith(f"prediction in float32 ({MEASURED})") for line in predictions)

    annotate(app, 6)
    app.train_if_due()
    app.score_if_due()
    assert project.current_model().version == 2
    assert dict(measured) == once
    assert json.loads((project.folder / "layouts.json").read_text(encoding="utf-8")) == kept


def test_a_draft_mask_does_not_wait_for_a_worker_that_measures(app: LocalApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runs, "seconds", lambda runs, way: 1.0)
    app.train_if_due()
    model, file = app.project.current_model(), app.project.choices_file
    assert file is not None
    file.unlink()
    monkeypatch.setattr(kept_choices, "_LONGEST_WAIT_OF_A_PERSON_SECONDS", 0.2)
    begun, may_end = threading.Event(), threading.Event()

    def slowly(runs: Runs, way: Choice) -> float:
        begun.set()
        assert may_end.wait(120)
        return 1.0

    monkeypatch.setattr(Runs, "seconds", slowly)
    with ThreadPoolExecutor() as pool:
        of_worker = pool.submit(app.project.predictor, model)
        try:
            assert begun.wait(120)
            with LoadedModel(app.project).predictor() as (_, predictor):
                assert str(predictor.precision) == "bfloat16 (this CPU has amx_bf16)"
            assert not file.exists()
        finally:
            may_end.set()
        assert str(of_worker.result(120).precision) == f"float32 ({MEASURED})"
    with LoadedModel(app.project).predictor() as (_, predictor):
        assert str(predictor.precision) == f"float32 ({MEASURED})"
