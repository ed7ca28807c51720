"""The progress of a project as clients get it, by hand."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import torch
from training_study import Study

from activelabel.acquisition.score import Score
from activelabel.loop.progress_log import SharedCount
from activelabel.loop.race import COUNT_FILE
from activelabel.loop.training.run import VALIDATION_FILE
from activelabel.loop.training.stats import write_stats
from activelabel.names import ScoreKind
from activelabel.networks import build_network
from activelabel.project.models.publishing import publish_model
from activelabel.server.actions.progress import ProgressReader, dice_interval
from activelabel.server.host_tasks import Running
from activelabel.server.project_tasks import build_tasks
from activelabel.training.engine.progress import Best, Progress

TRAINS, SCORES = Running("train", "segmentation"), Running("scoring", "variance")


class Datastore:
    """The part of a datastore that the progress depends on."""

    revision = 0


class Site:
    """A project whose tasks a test says to run."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.running: tuple[Running, ...] = ()
        tasks = build_tasks(study.project)
        self.reader = ProgressReader(study.project, Datastore(), tasks, None, lambda: self.running)  # type: ignore[arg-type]

    def publish(self, **metrics: float) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            weights = build_network(self.study.project.recipe.network, classes=2).state_dict()
        publish_model(self.study.project, weights, dict(metrics), self.study.project.ledger.annotations())

    def write_stats(self, **stats: Any) -> None:
        write_stats(self.study.project.folder / "train_stats.json", stats)


@pytest.fixture
def site(study: Study) -> Site:
    return Site(study)


def test_a_new_project_waits_for_its_first_labels(site: Site) -> None:
    found = site.reader.read()
    assert (found.model_version, found.newest_model, found.images) == (None, None, 8)
    assert not found.training.running
    assert not found.scoring.running
    assert found.waits_for.startswith("The first model can be trained after 2 training volumes; none is there.")
    assert found.labels.model_dump() == {
        "unit": "volumes", "training": 0, "training_wanted": 2, "validation": 0, "validation_wanted": 2
    }  # fmt: skip
    assert found.learning_curve == []
    assert found.forecast is None
    assert found.advice.startswith("It is too early for a forecast")


def test_a_running_training_tells_its_epoch_and_the_time_left(site: Site) -> None:
    site.write_stats(epoch=3, total_epochs=10, seconds_left=42.5, best_metric=0.7, eval={})
    assert site.reader.read().training.epoch is None  # nobody says that one runs
    site.running = (TRAINS,)
    shown = site.reader.read().training
    assert (shown.running, shown.model) == (True, "segmentation")
    assert (shown.epoch, shown.epochs, shown.seconds_left, shown.dice) == (3, 10, 42.5, 0.7)


def test_what_the_last_training_left_is_not_taken_for_the_running_one(site: Site) -> None:
    site.write_stats(epoch=10, total_epochs=10, total_time="0:01:00", best_metric=0.9, eval={})
    site.running = (TRAINS,)
    shown = site.reader.read().training
    assert shown.running
    assert (shown.epoch, shown.epochs, shown.seconds_left, shown.dice) == (None, None, None, None)


def test_a_training_of_a_worker_elsewhere_counts_as_running(site: Site) -> None:
    assert site.study.project.ledger.claim_job("train", "other machine", 60)
    shown = site.reader.read().training
    assert (shown.running, shown.model) == (True, "segmentation")


def test_a_scoring_counts_the_images_left_and_goes_at_the_pace_of_the_last_ones(site: Site) -> None:
    ledger, now = site.study.project.ledger, datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    site.study.annotate(*site.study.ids("training")[:1])
    site.publish(dice=0.5)
    left = site.study.ids("training")[1:]
    kind = ScoreKind("variance")
    for number, image_id in enumerate(left[:3]):
        ledger._clock = lambda number=number: now + timedelta(seconds=4 * number)
        ledger.record_scores(1, image_id, [Score.of_kind(kind, 0.1)], 3, 0)
    shown = site.reader.read().scoring
    assert (shown.running, shown.done, shown.all, shown.seconds_left) == (False, 3, 5, None)
    site.running = (SCORES,)
    shown = site.reader.read().scoring
    assert (shown.running, shown.unit, shown.done, shown.all) == (True, "images", 3, 5)
    assert shown.seconds_left == pytest.approx(8)  # two images, four seconds each


def test_a_race_counts_its_repeats(make_study: Any, blobs: Any, tmp_path: Path) -> None:
    racing = tmp_path / "racing.toml"
    own = (Path(__file__).parents[2] / "support" / "tiny.toml").read_text(encoding="utf-8")
    racing.write_text(own.replace("[prediction]", "[prediction]\nracing = true"), encoding="utf-8")
    site = Site(make_study(blobs(4), recipe=str(racing)))
    file = site.study.project.folder / COUNT_FILE
    count = SharedCount(file, 40)
    count.show(10)
    assert site.reader.read().scoring.unit == "images"  # left by a race that was killed
    site.running = (SCORES,)
    shown = site.reader.read().scoring
    assert (shown.unit, shown.done, shown.all) == ("repeats", 10, 40)
    assert shown.seconds_left is not None
    count.remove()
    assert site.reader.read().scoring.unit == "images"


def test_the_progress_is_computed_again_only_after_a_change(site: Site) -> None:
    first = site.reader.read()
    assert site.reader.read() is first
    site.write_stats(epoch=1, total_epochs=2)
    second = site.reader.read()
    assert second is not first
    site.study.annotate(*site.study.ids("training")[:1])
    assert site.reader.read().labels.training == 1


def test_the_interval_of_a_dice_is_that_of_the_mean_over_the_validation_cases(site: Site) -> None:
    site.study.annotate(*site.study.ids("training")[:2])
    site.publish(dice=0.5)
    (point,) = site.reader.read().learning_curve
    assert (point.model_version, point.in_use, point.volumes, point.dice) == (1, True, 2, 0.5)
    assert (point.dice_low, point.dice_high) == (None, None)
    folder = site.study.project.runs_folder / "run_1_model_2"
    folder.mkdir(parents=True)
    (folder / VALIDATION_FILE).write_text(json.dumps({"a": {"ball": 0.2}, "b": {"ball": 0.8}}), encoding="utf-8")
    site.publish(dice=0.5)
    point = site.reader.read().learning_curve[-1]
    assert (point.dice_low, point.dice_high) == (0.2, 0.8)  # of two cases the mean may be that of either


def test_a_dice_by_other_cases_than_those_of_the_training_has_no_interval(tmp_path: Path) -> None:
    (tmp_path / "run_model_1").mkdir()
    cases = {"a": {"ball": 0.2, "box": None}, "b": {"ball": 0.8, "box": 0.9}}
    (tmp_path / "run_model_1" / VALIDATION_FILE).write_text(json.dumps(cases), encoding="utf-8")
    assert dice_interval(tmp_path, 1, (0.5 + 0.9) / 2) == (pytest.approx(0.2), pytest.approx(0.85))
    assert dice_interval(tmp_path, 1, 0.6) is None


def test_one_case_or_none_or_a_damaged_file_gives_no_interval(tmp_path: Path) -> None:
    assert dice_interval(tmp_path, 1, 0.5) is None
    folder = tmp_path / "run_model_1"
    folder.mkdir()
    for content in ('{"a": {"ball": 0.2}}', '{"a": {"ball": null}, "b": {"ball": 0.5}}', "{"):
        (folder / VALIDATION_FILE).write_text(content, encoding="utf-8")
        assert dice_interval(tmp_path, 1, 0.5) is None


def test_the_time_left_of_a_training_goes_by_the_steps_of_this_process() -> None:
    progress = Progress(epochs=10, steps_per_epoch=4, learnt=Best("dice"), judged=None, started=100.0)
    assert progress.seconds_left(160) is None
    progress.step = 8
    assert progress.seconds_left(160) == pytest.approx(60 / 8 * 32)
    progress.first_step = 4  # the first four were made before the server was killed
    assert progress.seconds_left(160) == pytest.approx(60 / 4 * 32)
    progress.step = 40
    assert progress.seconds_left(160) == 0
