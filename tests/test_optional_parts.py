"""No optional part stops a training: each is made to fail at its start, and a model is still published."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from training_study import Study
from warm_recipe import write_warm_recipe

from activelabel.loop.proxy_scoring import ProxyScoring
from activelabel.loop.training.proxy import ProxyTraining
from activelabel.optional_parts import OptionalPart, optional
from activelabel.project.models.proxy import rank_kind
from activelabel.recipes import ProxySettings

SAID = "as if its file were gone"


class GoneError(Exception):
    pass


def fail(*arguments: object, **options: object) -> None:
    raise GoneError(f"{SAID}\nand a second line")


PARTS = {
    "MLflow at its start": ("activelabel.training.engine.tracking.MLflow.__init__", "MLflow does not track"),
    "MLflow after an epoch": ("activelabel.training.engine.tracking.MLflow.write", "MLflow does not track"),
    "TensorBoard at its start": ("activelabel.training.engine.tracking.TensorBoard.__init__", "TensorBoard does not"),
    "TensorBoard after an epoch": ("activelabel.training.engine.tracking.TensorBoard.write", "TensorBoard does not"),
    "our statistics": ("activelabel.loop.training.network_training.write_stats", "clients do not see how far"),
    "uncertainty": (
        "activelabel.loop.training.segmentation.compare_labels",
        "uncertainty is not compared",
    ),
    "another measurement of the model in use": (
        "activelabel.loop.training.segmentation.measure_again",
        "the model in use is not measured again",
    ),
    "the folder of the run": (
        "activelabel.loop.training.segmentation.finish_run",
        "the folder of the run is not put away",
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_training_goes_on_without_an_optional_part_that_failed(
    part: str, annotated: Study, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place, warning = PARTS[part]
    monkeypatch.setattr(place, fail)
    with caplog.at_level(logging.WARNING):
        annotated.train(tracking="both" if "MLflow" in part or "TensorBoard" in part else "None")

    model = annotated.project.ledger.latest_model()
    assert model is not None
    assert annotated.project.ledger.model_in_use() == model
    lines = [record.getMessage() for record in caplog.records if SAID in record.getMessage()]
    assert lines
    assert all(warning in line and "\n" not in line for line in lines)
    assert len(lines) <= 5  # one line for each handler or epoch, never for each step
    assert annotated.train()["epoch"] > 0  # the next training works too


def test_a_training_goes_on_if_the_statistics_of_the_previous_one_are_damaged(annotated: Study) -> None:
    annotated.train()
    (annotated.project.folder / "train_stats.json").write_text('{"epoch": ')
    annotated.train()
    assert annotated.project.ledger.latest_model().version == 2


def test_an_optional_part_that_fails_is_passed_over_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with optional("there is no cake"):
        raise GoneError("first\nsecond")
    assert [record.getMessage() for record in caplog.records] == ["there is no cake: GoneError: first"]


def test_an_interruption_is_no_failure_of_a_part() -> None:
    with pytest.raises(KeyboardInterrupt), optional("there is no cake"):
        raise KeyboardInterrupt


def test_a_step_that_failed_is_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    tried = []

    def step() -> None:
        tried.append(1)
        fail()

    part = OptionalPart("it is not written")
    for _ in range(3):
        part.run(step)
    assert (len(tried), len(caplog.records)) == (1, 1)


@pytest.fixture
def warm(make_study: Callable[..., Study], blobs: Callable[[int], Any], tmp_path: Path) -> tuple[Study, ProxySettings]:
    """A study whose recipe has a proxy model, and the settings of the proxy task."""
    study = make_study(blobs(4), recipe=write_warm_recipe(tmp_path))
    settings = study.project.recipe.proxy
    assert settings is not None
    return study, settings


@pytest.mark.parametrize("place", ["read_features", "write_features", "FeatureExtractor"])
def test_a_scoring_goes_on_without_features(
    place: str, warm: tuple[Study, ProxySettings], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study, settings = warm
    ProxyTraining(study.project, settings).run({}, study)
    monkeypatch.setattr(f"activelabel.loop.features.{place}", fail)
    with caplog.at_level(logging.WARNING):
        result = ProxyScoring(study.project, settings).run(study)
    assert result["scored"] > 0
    assert study.project.ledger.unscored(1, rank_kind(settings)) == []
    assert "there are no features of new volumes: GoneError" in caplog.text


def test_a_proxy_training_goes_on_without_the_state_of_its_epochs(
    warm: tuple[Study, ProxySettings], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study, settings = warm
    monkeypatch.setattr("activelabel.training.engine.epochs_file.write_atomically", fail)
    with caplog.at_level(logging.WARNING):
        ProxyTraining(study.project, settings).run({}, study)
    assert study.project.ledger.latest_model("proxy") is not None
    assert "an interrupted training will begin anew: GoneError" in caplog.text
