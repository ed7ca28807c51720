"""Training as the host starts it, on tiny volumes: what is learned from, what comes out, what an interruption leaves.

The network is far too small and trained far too briefly to be good; it is only asked to be the one that was measured.
"""

import json
import logging
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monailabel.tasks.train.basic_train import BasicTrainTask, Context

from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.server.project import Project, open_project
from activelabel.server.train import SegmentationTrainTask
from activelabel.training.checkpoints import load_model

TINY = Path(__file__).parents[1] / "support" / "tiny.toml"


@dataclass
class Study:
    """A project over a folder of blobs, and what training asks of a datastore."""

    project: Project
    studies: Path
    labels: Path

    def get_image_uri(self, image_id: str) -> str:
        return str(self.studies / f"{image_id}.nii.gz")

    def ids(self, role: str) -> list[str]:
        return [image.id for image in self.project.ledger.images() if image.role == role]

    def annotate(self, *image_ids: str, slices: list[int] | None = None) -> list[int]:
        """Keep the true labels of these images as annotations; their ids."""
        self.project.labels_folder.mkdir(exist_ok=True)
        made = []
        for image_id in image_ids:
            file = self.project.labels_folder / f"{image_id}.nii.gz"
            file.write_bytes((self.labels / file.name).read_bytes())
            annotation = self.project.ledger.record_annotation(image_id, file.name, "0" * 64, "reader", slices=slices)
            made.append(annotation.id)
        return made

    def train(self, **request: Any) -> dict[str, Any]:
        return SegmentationTrainTask(self.project)({"model": "segmentation", **request}, self)

    def set_slices(self, axis: int, count: int) -> None:
        """Say of all images along which axis their slices are counted, and how many there are."""
        for image in self.project.ledger.images():
            self.project.ledger.fix_slices(image.id, axis, count)

    def published_weights(self) -> dict[str, torch.Tensor]:
        """Those of the model in use."""
        file = self.project.models_folder / self.project.ledger.latest_model().file
        return load_model(file, self.project.model_description).state_dict()

    def finished_run(self) -> Path:
        (folder,) = self.project.runs_folder.glob("*_model_1")
        return folder

    def published_files(self) -> list[Path]:
        return list(self.project.models_folder.glob("*"))


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Study]:
    def make(cases: Any, **conf: str) -> Study:
        settings = {"recipe": str(TINY), "labels": "ball", "device": "cpu", "project_dir": str(tmp_path / "project")}
        project = open_project("app", str(cases.studies), {**settings, **conf})
        ids = [path.name.removesuffix(".nii.gz") for path in cases.studies.glob("*.nii.gz")]
        project.ledger.sync_images(ids, project.recipe.training.validation_cases)
        return Study(project, cases.studies, cases.labels)

    return make


@pytest.fixture
def study(blobs: Callable[[int], Any], make_study: Callable[..., Study]) -> Study:
    """Eight blobs, of which two are for validation; nothing is annotated."""
    return make_study(blobs(8))


@pytest.fixture
def annotated(study: Study) -> Study:
    """The same with labels for three training cases and both validation cases."""
    study.annotate(*study.ids("training")[:3], *study.ids("validation"))
    return study


def test_it_is_the_hosts_own_training(study: Study) -> None:
    assert isinstance(SegmentationTrainTask(study.project), BasicTrainTask)


def test_before_the_first_training_there_is_a_form_and_no_statistics(study: Study) -> None:
    task = SegmentationTrainTask(study.project)

    info = task.info()

    assert task.stats() == {}
    assert json.loads(json.dumps(info))["labels"] == ["ball"]
    assert info["config"]["max_epochs"] == 2
    assert not {"val_split", "pretrained", "name"} & info["config"].keys()


def test_without_labels_nothing_can_be_trained(study: Study) -> None:
    with pytest.raises(NotReadyError, match="no training case is annotated yet: save a label for one first"):
        study.train()


def test_labels_of_validation_cases_alone_are_not_enough(study: Study) -> None:
    study.annotate(*study.ids("validation"))

    with pytest.raises(NotReadyError, match="of 2 validation cases no training learns"):
        SegmentationTrainTask(study.project).check_request({})


def used_cases(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    """Filled, when a training begins, with the cases that it learns from and those that judge."""
    used: dict[str, list[dict[str, Any]]] = {}
    finalize = SegmentationTrainTask.finalize

    def look(task: SegmentationTrainTask, context: Context) -> None:
        used["training"] = list(context.trainer.data_loader.dataset.data)
        used["validation"] = list(context.evaluator.data_loader.dataset.data) if context.evaluator else []
        finalize(task, context)

    monkeypatch.setattr(SegmentationTrainTask, "finalize", look)
    return used


def test_training_cases_of_which_some_slices_are_annotated_are_trained_on(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = used_cases(monkeypatch)
    whole, partly, *_ = study.ids("training")
    study.set_slices(axis=2, count=16)
    (made,) = study.annotate(partly, slices=[9, 8])
    study.annotate(whole)

    study.train()

    slices = {case["image_id"]: (case["slices"], case["slice_axis"]) for case in used["training"]}
    assert slices == {whole: (None, 2), partly: ([8, 9], 2)}
    assert made in study.project.ledger.latest_model().trained_on


def test_validation_cases_of_which_some_slices_are_annotated_judge_nothing_and_the_log_says_so_once(
    study: Study, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    used = used_cases(monkeypatch)
    whole, partly = study.ids("validation")
    study.set_slices(axis=2, count=16)
    study.annotate(study.ids("training")[0], whole)
    study.annotate(partly, slices=[8])

    with caplog.at_level(logging.WARNING):
        study.train()

    assert [case["image_id"] for case in used["validation"]] == [whole]
    said = [record.message for record in caplog.records if "only some slices" in record.message]
    assert said == [f"not used for validation, as only some slices are annotated: {partly}"]


def test_what_a_label_holds_on_other_slices_makes_no_other_model(study: Study) -> None:
    """A whole training through the host: the same weights to the last bit."""
    first = study.ids("training")[0]
    study.set_slices(axis=2, count=16)
    study.annotate(first, slices=[7, 9])
    weights = []
    for value in (0, 1):
        file = study.project.labels_folder / f"{first}.nii.gz"
        label = nibabel.load(file)
        array = np.asarray(label.dataobj).copy()
        array[..., [0, 6, 8, 15]] = value
        nibabel.save(nibabel.Nifti1Image(array, label.affine), file)
        study.train()
        weights.append(study.published_weights())

    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


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


def test_validation_cases_are_never_trained_on(annotated: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    used = used_cases(monkeypatch)
    annotated.train()

    assert {case["image_id"] for case in used["training"]} == set(annotated.ids("training")[:3])
    assert {case["image_id"] for case in used["validation"]} == set(annotated.ids("validation"))
    ledger = annotated.project.ledger
    model = ledger.latest_model()
    assert sorted(model.trained_on) == sorted(item.id for item in ledger.annotations("training"))
    assert sorted(model.validated_on) == sorted(item.id for item in ledger.annotations("validation"))


def test_the_ledger_gets_the_dice_of_the_published_model(annotated: Study) -> None:
    """Worked out again from the published file with nothing but the network and the images' voxels."""
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
        truth = np.asarray(nibabel.load(annotated.labels / f"{image_id}.nii.gz").dataobj) == 1
        expected.append(2 * (ball & truth).sum() / (ball.sum() + truth.sum()))
    # Windows and bfloat16 differ a little from the whole volume in float32.
    assert model.metrics["dice_ball"] == pytest.approx(np.mean(expected), abs=0.1)
    assert model.metrics["dice"] == model.metrics["dice_ball"]


def test_the_statistics_have_what_clients_read(annotated: Study) -> None:
    returned = annotated.train(max_epochs=3)

    stats = SegmentationTrainTask(annotated.project).stats()
    assert stats == returned == json.loads(json.dumps(stats, allow_nan=False))
    assert stats["epoch"] == stats["total_epochs"] == 3
    assert set(stats["eval"]) == {"metrics", "key_metric_name", "best_metric", "best_metric_epoch"}
    assert stats["best_metric"] == stats["eval"]["best_metric"]
    assert stats["total_time"].startswith("0:0")
    assert "current_time" not in stats
    assert stats["model"]["version"] == 1
    assert set(stats["validation"]) == set(annotated.ids("validation"))


def test_while_it_runs_it_is_not_shown_as_done(annotated: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients take `total_time` for the end; the model is there only after it was judged and published."""
    shown = []
    show = SegmentationTrainTask._show
    monkeypatch.setattr(SegmentationTrainTask, "_show", lambda task, stats: shown.append(stats) or show(task, stats))

    annotated.train()

    assert [stats["epoch"] for stats in shown] == [1, 2, 2]
    assert ["total_time" in stats for stats in shown] == [False, False, True]


def test_the_best_epoch_is_published_not_the_last(annotated: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    finalize = SegmentationTrainTask.finalize

    def spoil_the_last_epoch(task: SegmentationTrainTask, context: Context) -> None:
        finalize(task, context)

        def spoil(engine: Engine) -> None:
            if engine.state.epoch == 2:
                for parameter in context.network.parameters():
                    torch.nn.init.zeros_(parameter)

        context.trainer.add_event_handler(Events.ITERATION_COMPLETED, spoil)

    monkeypatch.setattr(SegmentationTrainTask, "finalize", spoil_the_last_epoch)
    stats = annotated.train(max_epochs=2)

    assert stats["eval"]["best_metric_epoch"] == 1
    project = annotated.project
    network = load_model(project.models_folder / project.ledger.latest_model().file, project.model_description)
    assert all(parameter.abs().max() > 0.01 for name, parameter in network.named_parameters() if "conv.weight" in name)


def test_without_a_judge_the_last_epoch_is_published_and_the_log_says_so(
    study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    study.annotate(*study.ids("training")[:2])

    with caplog.at_level(logging.WARNING):
        stats = study.train()

    assert "the last epoch is published, not the best" in caplog.text
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
    """What no code expects."""


def test_an_interrupted_training_leaves_the_earlier_model_and_the_next_begins_anew(
    annotated: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotated.train()
    before = annotated.published_files()

    with monkeypatch.context() as patch:
        patch.setattr("activelabel.server.train.publish_model", _cut_power)
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


def _cut_power(*arguments: object) -> None:
    raise PowerCut


def test_a_finished_run_keeps_what_it_logged_but_no_weights(annotated: Study) -> None:
    annotated.train()

    kept = annotated.finished_run()
    assert list(annotated.project.runs_folder.rglob("*.pt")) == []
    assert any(path.name.startswith("events.out.tfevents") for path in kept.rglob("*"))


def test_a_damaged_image_is_set_aside_and_the_rest_is_trained_on(annotated: Study) -> None:
    broken = annotated.ids("training")[0]
    Path(annotated.get_image_uri(broken)).write_bytes(b"broken")

    annotated.train()

    ledger = annotated.project.ledger
    assert len(ledger.latest_model().trained_on) == 2
    assert f"{broken}.nii.gz: cannot be read as a 3D image" in ledger.image(broken).unreadable_reason


def test_when_no_training_image_can_be_read_nothing_is_trained(study: Study) -> None:
    only = study.ids("training")[0]
    study.annotate(only)
    Path(study.get_image_uri(only)).write_bytes(b"broken")

    with pytest.raises(NotReadyError, match="no training case is annotated yet"):
        study.train()

    assert study.project.ledger.latest_model() is None


@pytest.mark.parametrize("dataset", ["CacheDataset", "PersistentDataset", "Dataset"])
@pytest.mark.parametrize("dataloader", ["ThreadDataLoader", "DataLoader"])
def test_each_way_of_loading_that_is_offered_works(annotated: Study, dataset: str, dataloader: str) -> None:
    annotated.train(dataset=dataset, dataloader=dataloader, max_epochs=1)

    assert annotated.project.ledger.latest_model().version == 1


def test_early_stopping_stops(annotated: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a learning rate of 0 no epoch is better than the first."""
    monkeypatch.setattr(
        SegmentationTrainTask, "optimizer", lambda _, context: torch.optim.SGD(context.network.parameters(), lr=0.0)
    )

    stats = annotated.train(max_epochs=9, early_stop_patience=2)

    assert stats["epoch"] == 3
    assert annotated.project.ledger.latest_model().version == 1


RECIPE_LINES = TINY.read_text()


@pytest.fixture
def make_recipe(tmp_path: Path) -> Callable[..., str]:
    """The path of the tiny recipe with other lines in its section `training`."""

    def make(**training: str) -> str:
        text = "".join(
            line for line in RECIPE_LINES.splitlines(keepends=True) if line.partition(" ")[0] not in training
        )
        lines = "".join(f"{key} = {value}\n" for key, value in training.items())
        file = tmp_path / "other.toml"
        file.write_text(text.replace("[training]\n", f"[training]\n{lines}"))
        return str(file)

    return make


def annotated_like(annotated: Study, make_study: Callable[..., Study], recipe: str) -> Study:
    """The same annotations in a project of its own with another recipe."""
    other = make_study(annotated, recipe=recipe, project_dir=str(annotated.studies.parent / "other"))
    other.annotate(*(item.image_id for item in annotated.project.ledger.annotations()))
    return other


def test_a_recipe_that_fine_tunes_begins_with_the_model_in_use(
    annotated: Study, make_study: Callable[..., Study], make_recipe: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With next to no learning rate, what comes out is what went in, whatever the seed."""
    study = annotated_like(annotated, make_study, make_recipe(from_previous="true", learning_rate="1e-12"))
    study.train()
    first = study.published_weights()
    monkeypatch.setattr(SegmentationTrainTask, "_seed", lambda task, rank: 5)
    study.train()

    assert study.project.ledger.latest_model().version == 2
    assert all(torch.allclose(first[name], value, atol=1e-6) for name, value in study.published_weights().items())


def test_a_model_that_does_not_fit_is_not_fine_tuned_and_the_log_says_so(
    annotated: Study,
    make_study: Callable[..., Study],
    make_recipe: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = annotated_like(annotated, make_study, make_recipe(from_previous="true"))
    study.train()
    model = study.project.ledger.latest_model()
    (study.project.models_folder / model.file).unlink()

    with caplog.at_level(logging.WARNING):
        study.train()

    assert "training begins with random weights, not with those of model 1: model" in caplog.text
    assert study.project.ledger.latest_model().version == 2


def test_the_best_epoch_may_be_known_by_the_jaccard_index(
    annotated: Study, make_study: Callable[..., Study], make_recipe: Callable[..., str]
) -> None:
    """Of one class it is D / (2 - D) in each case; the published model's Dice is worked out by other code."""
    study = annotated_like(annotated, make_study, make_recipe(best_by='"jaccard"'))

    stats = study.train(max_epochs=4)

    dice = [classes["ball"] for classes in stats["validation"].values()]
    assert stats["eval"]["key_metric_name"] == "val_mean_jaccard"
    assert stats["best_metric"] == pytest.approx(np.mean([d / (2 - d) for d in dice]), abs=0.02)
    assert stats["best_metric"] < np.mean(dice) - 0.05


def test_an_epoch_may_be_a_number_of_steps(
    annotated: Study, make_study: Callable[..., Study], make_recipe: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three cases of two a step are two steps an epoch; five are asked for."""
    study = annotated_like(annotated, make_study, make_recipe(steps_per_epoch="5"))
    steps = []
    finalize = SegmentationTrainTask.finalize

    def count(task: SegmentationTrainTask, context: Context) -> None:
        finalize(task, context)
        context.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: steps.append(engine.state.epoch))

    monkeypatch.setattr(SegmentationTrainTask, "finalize", count)
    study.train()

    assert steps == [1] * 5 + [2] * 5


@pytest.mark.parametrize(("decay", "rates"), [("true", [1e-2, 1e-2 * 0.5**0.9]), ("false", [1e-2, 1e-2])])
def test_the_learning_rate_falls_where_the_recipe_says_so(
    annotated: Study,
    make_study: Callable[..., Study],
    make_recipe: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    decay: str,
    rates: list[float],
) -> None:
    study = annotated_like(annotated, make_study, make_recipe(learning_rate_decay=decay, weight_decay="0"))
    seen = []
    finalize = SegmentationTrainTask.finalize

    def look(task: SegmentationTrainTask, context: Context) -> None:
        finalize(task, context)
        groups = context.optimizer.param_groups
        context.trainer.add_event_handler(Events.EPOCH_STARTED, lambda _: seen.append(dict(groups[0])))

    monkeypatch.setattr(SegmentationTrainTask, "finalize", look)
    study.train()

    assert [group["lr"] for group in seen] == pytest.approx(rates)
    assert {group["weight_decay"] for group in seen} == {0}


def test_mlflow_tracks_where_it_is_asked_for(annotated: Study) -> None:
    import mlflow

    annotated.train(tracking="mlflow")

    client = mlflow.MlflowClient(f"sqlite:///{annotated.project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    assert any("val_mean_dice" in run.data.metrics for run in runs)


def test_a_task_travels_to_the_processes_of_several_gpus(study: Study) -> None:
    task = pickle.loads(pickle.dumps(SegmentationTrainTask(study.project)))

    assert task.config() == SegmentationTrainTask(study.project).config()
