"""Training of the task on tiny volumes: its cases, its published model, and its state after a stop.

The network is too small and trained too briefly to be good; tests check that the published model is the measured one.
"""

import json
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from training_study import Study

from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.loop.training.segmentation import SegmentationTraining
from activelabel.training.checkpoints import load_model
from activelabel.training.engine.loading import Batch
from activelabel.training.engine.loop import TrainingLoop
from activelabel.training.engine.steps import Step


def test_before_the_first_training_there_is_a_form_and_no_statistics(study: Study) -> None:
    training = SegmentationTraining(study.project)

    assert training.stats() == {}
    assert training.labels == ("ball",)
    assert json.loads(json.dumps(training.offered()))["max_epochs"] == 2
    assert not {"val_split", "pretrained", "name"} & training.offered().keys()


def test_without_labels_nothing_can_be_trained(study: Study) -> None:
    with pytest.raises(NotReadyError, match="no training case is annotated yet: save a label for one first"):
        study.train()


def test_labels_of_validation_cases_alone_are_not_enough(study: Study) -> None:
    study.annotate(*study.ids("validation"))

    with pytest.raises(NotReadyError, match="of 2 validation cases no training learns"):
        SegmentationTraining(study.project).check_request({})


def test_a_wrong_option_is_refused_before_anything_is_written(annotated: Study) -> None:
    with pytest.raises(InvalidInputError, match="training: 'max_epochs' is 'many'"):
        annotated.train(max_epochs="many")

    assert annotated.published_files() == []


def test_a_training_publishes_one_model_that_can_be_loaded(annotated: Study) -> None:
    annotated.train()

    model = annotated.project.ledger.latest_model()
    assert model is not None
    assert (model.version, model.recipe, model.labels) == (1, "tiny", ("ball",))
    assert [path.name for path in annotated.published_files()] == [model.file]
    load_model(annotated.project.models_folder / model.file, annotated.project.model_description, model.sha256)


def test_the_ledger_gets_the_dice_of_the_published_model(annotated: Study) -> None:
    """The Dice is computed again from the published file with only the network and the images' voxels."""
    annotated.train()

    project = annotated.project
    model = project.ledger.latest_model()
    network = load_model(project.models_folder / model.file, project.model_description)
    expected = []
    for image_id in annotated.ids("validation"):
        volume = read_volume(annotated.get_image_uri(image_id))
        prepared = prepare_image(volume, project.recipe.preprocessing)
        with torch.no_grad():
            # 24 x 20 x 16 voxels: the whole volume at once instead of windows of 16.
            ball = network(prepared.tensor[None])[0].argmax(dim=0).numpy() == 1
        ball = np.flip(ball, axis=(0, 1))  # the files' x and y run against RAS
        reference = np.asarray(nibabel.load(annotated.labels / f"{image_id}.nii.gz").dataobj) == 1
        expected.append(2 * (ball & reference).sum() / (ball.sum() + reference.sum()))
    # Windows and bfloat16 differ a little from the whole volume in float32.
    assert model.metrics["dice_ball"] == pytest.approx(np.mean(expected), abs=0.1)
    assert model.metrics["dice"] == model.metrics["dice_ball"]


def test_the_statistics_have_what_clients_read(annotated: Study) -> None:
    returned = annotated.train(max_epochs=3)

    stats = SegmentationTraining(annotated.project).stats()
    assert stats == returned == json.loads(json.dumps(stats, allow_nan=False))
    assert stats["epoch"] == stats["total_epochs"] == 3
    assert set(stats["eval"]) == {"metrics", "key_metric_name", "best_metric", "best_metric_epoch"}
    assert stats["best_metric"] == stats["eval"]["best_metric"]
    assert stats["total_time"].startswith("0:0")
    assert "current_time" not in stats
    assert stats["model"]["version"] == 1
    assert set(stats["validation"]) == set(annotated.ids("validation"))


def test_a_running_training_is_not_shown_as_done(annotated: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients take `total_time` as the end, but the model exists only after it was validated and published."""
    shown = []
    show = SegmentationTraining.show
    monkeypatch.setattr(SegmentationTraining, "show", lambda task, stats: shown.append(stats) or show(task, stats))

    annotated.train()

    assert [stats["epoch"] for stats in shown] == [0, 1, 2, 2]
    assert ["total_time" in stats for stats in shown] == [False, False, False, True]


def test_the_best_epoch_is_published_not_the_last(annotated: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    train_step = TrainingLoop.train_step

    def spoil_the_last_epoch(loop: TrainingLoop, batch: Batch) -> Step:
        step = train_step(loop, batch)
        if loop.progress.epoch == 2:
            for parameter in loop.learner.network.parameters():
                torch.nn.init.zeros_(parameter)
        return step

    monkeypatch.setattr(TrainingLoop, "train_step", spoil_the_last_epoch)
    stats = annotated.train(max_epochs=2)

    assert stats["eval"]["best_metric_epoch"] == 1
    project = annotated.project
    network = load_model(project.models_folder / project.ledger.latest_model().file, project.model_description)
    assert all(parameter.abs().max() > 0.01 for name, parameter in network.named_parameters() if "conv.weight" in name)


def test_without_validation_cases_the_last_epoch_is_published_and_the_log_says_so(
    study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    study.annotate(*study.ids("training")[:2])

    with caplog.at_level(logging.WARNING):
        stats = study.train()

    assert "the last epoch counts, not the best" in caplog.text
    assert study.project.ledger.latest_model().metrics == {"dice": None, "dice_ball": None}
    assert stats["validation"] == {}


def test_the_same_seed_gives_the_same_model(annotated: Study) -> None:
    weights = []
    for _ in range(2):
        annotated.train()
        weights.append(annotated.published_weights())

    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_another_seed_gives_another_model(annotated: Study, make_study: Callable[..., Study], tmp_path: Path) -> None:
    other = make_study(annotated, seed="1", project_dir=str(tmp_path / "other"))
    other.annotate(*annotated.ids("training")[:3])
    models = []
    for each in (annotated, other):
        each.train()
        models.append(each.published_weights())

    assert not any(torch.equal(models[0][name], models[1][name]) for name in models[0] if "conv.weight" in name)


def test_training_leaves_the_callers_random_numbers_alone(annotated: Study) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)

    annotated.train()

    assert torch.equal(torch.rand(3), expected)


class PowerCut(BaseException):
    """An error that no code expects."""


def test_an_interrupted_training_leaves_the_earlier_model_and_the_next_begins_anew(
    annotated: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotated.train()
    before = annotated.published_files()

    with monkeypatch.context() as patch:
        patch.setattr("activelabel.loop.training.segmentation.publish_model", _cut_power)
        with pytest.raises(PowerCut):
            annotated.train()
    assert annotated.project.ledger.latest_model().version == 1
    assert annotated.published_files() == before
    unfinished = annotated.project.runs_folder / "unfinished"
    left = list(unfinished.iterdir())
    assert len(left) == 1

    annotated.train()

    assert annotated.project.ledger.latest_model().version == 2
    assert list(unfinished.iterdir()) == []
    assert left[0].name not in {path.name for path in annotated.project.runs_folder.iterdir()}


def test_an_interrupted_training_goes_on_after_its_last_epoch_and_ends_as_an_undisturbed_one(
    annotated: Study, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The state is written after each epoch here; the last three of eight steps are left."""
    monkeypatch.setattr("activelabel.loop.training.segmentation.SECONDS_BETWEEN_STATES", 0.0)
    annotated.train(max_epochs=4)
    undisturbed = annotated.published_weights()
    train_step, taken = TrainingLoop.train_step, list[int]()

    def step(loop: TrainingLoop, batch: Batch) -> Step:
        if len(taken) == 5:
            raise PowerCut
        taken.append(loop.progress.epoch)
        return train_step(loop, batch)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "train_step", step)
        with pytest.raises(PowerCut):
            annotated.train(max_epochs=4)
    with caplog.at_level(logging.INFO, "activelabel"):
        annotated.train(max_epochs=4)

    assert "training goes on after epoch 2 of 4" in caplog.text
    assert annotated.project.ledger.latest_model().version == 2
    published = annotated.published_weights()
    assert all(torch.equal(published[name], value) for name, value in undisturbed.items())
    assert not (annotated.project.runs_folder / "resume").exists()


def _cut_power(*arguments: object, **options: object) -> None:
    raise PowerCut


def test_a_finished_run_keeps_what_it_logged_but_no_weights(annotated: Study) -> None:
    annotated.train(tracking="tensorboard")

    kept = annotated.finished_run()
    assert list(annotated.project.runs_folder.rglob("*.pt")) == []
    assert any(path.name.startswith("events.out.tfevents") for path in kept.rglob("*"))
    assert not (annotated.project.folder / "mlflow.db").exists()


@pytest.mark.parametrize("dataset", ["CacheDataset", "PersistentDataset", "Dataset"])
@pytest.mark.parametrize("dataloader", ["ThreadDataLoader", "DataLoader"])
def test_each_way_of_loading_that_is_offered_works(annotated: Study, dataset: str, dataloader: str) -> None:
    annotated.train(dataset=dataset, dataloader=dataloader, max_epochs=1)

    assert annotated.project.ledger.latest_model().version == 1


def test_early_stopping_stops(annotated: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a learning rate of 0 no epoch is better than the first."""
    monkeypatch.setattr(TrainingLoop, "learning_rate", lambda loop, epoch: 0.0)

    stats = annotated.train(max_epochs=9, early_stop_patience=2)

    assert stats["epoch"] == 3
    assert annotated.project.ledger.latest_model().version == 1


def test_mlflow_tracks_where_it_is_asked_for(annotated: Study) -> None:
    import mlflow

    annotated.train(tracking="mlflow")

    client = mlflow.MlflowClient(f"sqlite:///{annotated.project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    assert any("val_mean_dice" in run.data.metrics for run in runs)


def test_nothing_tracks_unless_it_is_asked_for(annotated: Study) -> None:
    annotated.train()

    assert not (annotated.project.folder / "mlflow.db").exists()
    assert not any(path.name.startswith("events.out") for path in annotated.project.runs_folder.rglob("*"))
    assert annotated.project.ledger.latest_model().version == 1


def test_a_broken_tracking_database_is_a_warning_and_the_training_goes_on(
    annotated: Study, caplog: pytest.LogCaptureFixture
) -> None:
    """A kill in the first migration of MLflow leaves some of its tables and no mark of its progress."""
    with closing(sqlite3.connect(annotated.project.folder / "mlflow.db")) as database:
        database.execute("CREATE TABLE experiments (experiment_id INTEGER)")
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.commit()

    with caplog.at_level(logging.WARNING):
        annotated.train(tracking="mlflow")

    assert annotated.project.ledger.latest_model().version == 1
    assert "MLflow does not track this training" in caplog.text
