"""Rounds of two stages on tiny volumes: the cases of each stage, and those left out."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from training_study import TINY, Study

from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.loop.noisy_labels import unannotated_volumes
from activelabel.loop.run_folder import UNFINISHED
from activelabel.loop.training.run import Run
from activelabel.loop.training.segmentation import SegmentationTraining
from activelabel.loop.training.semi_supervised import SemiSupervisedTraining
from activelabel.networks import build_network
from activelabel.prediction.predictor import Predictor
from activelabel.training.engine.loading import Batch
from activelabel.training.engine.loop import Outcome, TrainingLoop
from activelabel.training.engine.steps import Step

MakeStudy = Callable[..., Study]
CERTAIN = 0.5
"""A threshold that the tiny network's predictions are above in some voxels of each volume, and below in others."""


@pytest.fixture
def make_two_stages(make_study: MakeStudy, tmp_path: Path) -> MakeStudy:
    """Make another project over the same volumes and annotations, whose recipe has a second stage."""

    def make(study: Study, training: str = "", **settings: float) -> Study:
        lines = "".join(f"{key} = {value}\n" for key, value in ({"steps": 2, "threshold": CERTAIN} | settings).items())
        recipe = tmp_path / "two_stages.toml"
        text = TINY.read_text(encoding="utf-8").replace("[training]\n", f"[training]\n{training}")
        recipe.write_text(f"{text}\n[semi_supervised]\n{lines}")
        made = make_study(study, recipe=str(recipe), project_dir=str(tmp_path / "two_stages"))
        made.annotate(*(item.image_id for item in study.project.ledger.annotations()))
        return made

    return make


@pytest.fixture
def second_stages(monkeypatch: pytest.MonkeyPatch) -> list[SemiSupervisedTraining]:
    """Record the second stages that begin during a test."""
    begun: list[SemiSupervisedTraining] = []
    learn = SemiSupervisedTraining.learn

    def remember(stage: SemiSupervisedTraining, run: Run) -> Outcome:
        begun.append(stage)
        return learn(stage, run)

    monkeypatch.setattr(SemiSupervisedTraining, "learn", remember)
    return begun


def noisy_labels(study: Study) -> dict[str, Path]:
    """Return the noisy labels of the only training of a study, by image."""
    folder = study.finished_run() / "noisy_labels"
    return {path.name.removesuffix(".nii.gz"): path for path in folder.iterdir()}


def supervised_predictor(study: Study, stage: SemiSupervisedTraining) -> Predictor:
    """Return the network with which the second stage began."""
    description = study.project.model_description
    network = build_network(description.network, description.classes)
    network.load_state_dict(stage._weights)
    return Predictor(network, window_size=(16, 16, 16), window_overlap=0.25, precision=study.project.settings.precision)


def test_the_fine_tuned_weights_are_published(
    annotated: Study, make_two_stages: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published weights are those of the second stage's best epoch, not the last ones of the first stage."""
    study = make_two_stages(annotated)
    seen: dict[str, Any] = {}
    learn = SemiSupervisedTraining.learn

    def remember(stage: SemiSupervisedTraining, run: Run) -> Outcome:
        outcome = learn(stage, run)
        seen["before"], seen["after"] = stage._weights, outcome.weights
        return outcome

    monkeypatch.setattr(SemiSupervisedTraining, "learn", remember)
    study.train()

    published = study.published_weights()
    assert len(study.published_files()) == study.project.ledger.latest_model().version == 1
    assert all(torch.equal(published[name], value) for name, value in seen["after"].items())
    assert not any(
        torch.equal(published[name], value) for name, value in seen["before"].items() if "conv.weight" in name
    )


def test_the_first_stage_is_a_training_without_a_second(
    annotated: Study, make_two_stages: MakeStudy, second_stages: list[SemiSupervisedTraining]
) -> None:
    make_two_stages(annotated).train()
    annotated.train()

    (stage,) = second_stages
    for name, value in annotated.published_weights().items():
        assert torch.equal(stage._weights[name], value)


def test_the_most_certain_volumes_get_noisy_labels_as_many_as_are_annotated(
    study: Study, make_two_stages: MakeStudy, second_stages: list[SemiSupervisedTraining]
) -> None:
    """Two of six training cases are annotated, so two others get noisy labels, ranked by the first stage's network."""
    study.annotate(*study.ids("training")[:2], *study.ids("validation"))
    two_stages = make_two_stages(study)
    left = two_stages.ids("training")[2:]

    stats = two_stages.train()

    predictor = supervised_predictor(two_stages, second_stages[0])
    recipe, scores = two_stages.project.recipe, {}
    for image_id in left:
        image = prepare_image(read_volume(two_stages.get_image_uri(image_id)), recipe.preprocessing)
        repeats = predictor.sample(image.tensor, repeats=recipe.prediction.repeats, seed=0)
        scores[image_id] = repeats.variance().mean().item()
        if image_id in noisy_labels(two_stages):
            label = nibabel.load(noisy_labels(two_stages)[image_id])
            wanted = predictor.probabilities(image.tensor)[1].numpy() > CERTAIN
            assert 0 < wanted.sum() < wanted.size
            np.testing.assert_array_equal(np.asarray(label.dataobj), wanted)
            np.testing.assert_allclose(label.affine, image.grid.affine_ras)
    assert stats["semi_supervised"]["volumes"] == sorted(scores, key=lambda image_id: scores[image_id])[:2]
    assert set(noisy_labels(two_stages)) == set(stats["semi_supervised"]["volumes"])


def test_if_fewer_unlabelled_volumes_are_left_all_of_them_get_noisy_labels(
    study: Study, make_two_stages: MakeStudy
) -> None:
    study.annotate(*study.ids("training")[:5])
    two_stages = make_two_stages(study)

    stats = two_stages.train()

    assert stats["semi_supervised"]["volumes"] == two_stages.ids("training")[5:]


def test_partly_annotated_and_validation_cases_get_no_noisy_labels(study: Study) -> None:
    study.set_slices(axis=2, count=16)
    first, second, *left = study.ids("training")
    study.annotate(first)
    study.annotate(second, slices=[7, 8])

    assert list(unannotated_volumes(study.project.ledger)) == left


def test_slices_teach_in_both_stages(study: Study, make_two_stages: MakeStudy) -> None:
    study.annotate(*study.ids("validation"))
    two_stages = make_two_stages(study)
    two_stages.set_slices(axis=2, count=16)
    two_stages.annotate(two_stages.ids("training")[0], slices=[7, 8, 9])

    stats = two_stages.train()

    assert len(stats["semi_supervised"]["volumes"]) == 1
    assert two_stages.project.ledger.latest_model().version == 1


def test_there_are_as_many_steps_as_the_recipe_says_and_each_epoch_is_judged(
    annotated: Study, make_two_stages: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three cases with two a step make two steps an epoch: five steps are epochs of 2, 2 and 1."""
    steps, judged = [], []
    train_step, validate = TrainingLoop.train_step, TrainingLoop.validate

    def step(loop: TrainingLoop, batch: Batch) -> Step:
        if loop.plan.unannotated is not None:
            assert set(batch) == {"image", "label", "plain", "augmented"}
            steps.append(loop.progress.epoch)
        return train_step(loop, batch)

    def judge(loop: TrainingLoop) -> None:
        if loop.plan.unannotated is not None:
            judged.append(loop.progress.epoch)
        validate(loop)

    monkeypatch.setattr(TrainingLoop, "train_step", step)
    monkeypatch.setattr(TrainingLoop, "validate", judge)
    stats = make_two_stages(annotated, steps=5).train()

    assert steps == [1, 1, 2, 2, 3]
    assert judged == [1, 2, 3]
    assert stats["epoch"] == stats["total_epochs"] == 3


def test_a_stage_shorter_than_an_epoch_is_judged_at_its_end(
    annotated: Study, make_two_stages: MakeStudy, second_stages: list[SemiSupervisedTraining]
) -> None:
    """The first stage has two epochs of ten steps, judged after the second; the second stage has four steps."""
    stats = make_two_stages(annotated, training="steps_per_epoch = 10\nvalidate_every = 2\n", steps=4).train()

    assert second_stages[0].epochs == 1
    assert stats["eval"]["best_metric_epoch"] != -1


def test_the_statistics_name_the_current_stage(
    annotated: Study, make_two_stages: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    for task in (SegmentationTraining, SemiSupervisedTraining):
        show = task.show
        monkeypatch.setattr(
            task, "show", lambda task, stats, show=show: shown.append(show(task, stats)) or shown[-1], raising=True
        )
    study = make_two_stages(annotated)

    returned = study.train()

    stages = [stats.get("stage") for stats in shown]
    assert stages == [
        *["1 of 2: supervised training"] * 3,
        *[f"2 of 2: unannotated volume {number} of 3" for number in (1, 2, 3)],
        *[f"2 of 2: noisy label {number} of 3" for number in (1, 2, 3)],
        "2 of 2: semi-supervised fine-tuning",
        None,
    ]
    assert ["total_time" in stats for stats in shown] == [False] * (len(shown) - 1) + [True]
    assert returned == SegmentationTraining(study.project).stats() == json.loads(json.dumps(returned))
    assert returned["semi_supervised"]["best_metric_before"] == shown[2]["best_metric"]


def test_without_unlabelled_volumes_the_supervised_model_is_published(
    study: Study, make_two_stages: MakeStudy, caplog: pytest.LogCaptureFixture
) -> None:
    study.annotate(*study.ids("training"), *study.ids("validation"))
    two_stages = make_two_stages(study)

    with caplog.at_level(logging.WARNING):
        stats = two_stages.train()
    study.train()

    reason = "no training volume is left without an annotation"
    assert f"no second stage, the supervised model is published: {reason}" in caplog.text
    assert stats["semi_supervised"] == {"left_out": reason}
    assert "stage" not in stats
    published, supervised = two_stages.published_weights(), study.published_weights()
    assert all(torch.equal(published[name], value) for name, value in supervised.items())


def test_without_certain_volumes_the_supervised_model_is_published(
    annotated: Study, make_two_stages: MakeStudy, caplog: pytest.LogCaptureFixture
) -> None:
    study = make_two_stages(annotated, threshold=0.9999)

    with caplog.at_level(logging.WARNING):
        stats = study.train()

    reason = "in none of the 3 unannotated training volumes a class is more probable than 0.9999"
    reason += " (semi_supervised.threshold)"
    assert f"no second stage, the supervised model is published: {reason}" in caplog.text
    assert stats["semi_supervised"] == {"left_out": reason}
    assert study.project.ledger.latest_model().version == 1
    assert noisy_labels(study) == {}


def test_the_next_most_certain_takes_the_place_of_a_volume_without_noisy_foreground(
    study: Study, make_two_stages: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.annotate(study.ids("training")[0])
    two_stages = make_two_stages(study)
    empty_first = iter([True])
    monkeypatch.setattr(
        "activelabel.loop.noisy_labels.noisy_label",
        lambda probabilities, threshold: torch.full(probabilities.shape[1:], 0 if next(empty_first, False) else 1),
    )

    chosen = two_stages.train()["semi_supervised"]["volumes"]

    monkeypatch.undo()
    assert len(chosen) == 1
    assert list(noisy_labels(two_stages)) == chosen


def test_an_image_that_cannot_be_read_is_passed_over(annotated: Study, make_two_stages: MakeStudy) -> None:
    study = make_two_stages(annotated)
    damaged, *left = study.ids("training")[3:]
    Path(study.get_image_uri(damaged)).write_bytes(b"no image")

    stats = study.train()

    assert sorted(stats["semi_supervised"]["volumes"]) == left
    assert "not" in study.project.ledger.image(damaged).unreadable_reason


def test_a_second_stage_that_is_turned_off_does_not_run(annotated: Study, make_two_stages: MakeStudy) -> None:
    study = make_two_stages(annotated, enabled="false")

    stats = study.train()

    assert "semi_supervised" not in stats
    assert not (study.finished_run() / "noisy_labels").exists()


class PowerCut(BaseException):
    """An error that no code expects."""


@pytest.mark.parametrize("moment", ["plan", "learn"])
def test_a_training_that_is_interrupted_in_its_second_stage_has_published_nothing_and_begins_anew(
    annotated: Study, make_two_stages: MakeStudy, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    study = make_two_stages(annotated)

    def cut_power(*arguments: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(SemiSupervisedTraining, moment, cut_power)
        with pytest.raises(PowerCut):
            study.train()
    assert study.project.ledger.latest_model() is None
    assert study.published_files() == []

    study.train()

    assert study.project.ledger.latest_model().version == 1
    assert list((study.project.runs_folder / UNFINISHED).iterdir()) == []
    assert list(study.project.runs_folder.rglob("*.pt")) == []


def test_the_same_seed_gives_the_same_fine_tuned_model(annotated: Study, make_two_stages: MakeStudy) -> None:
    study, weights = make_two_stages(annotated, steps=4), []
    for _ in range(2):
        study.train()
        weights.append(study.published_weights())

    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("dataset", "dataloader"), [("PersistentDataset", "ThreadDataLoader"), ("Dataset", "DataLoader")]
)
def test_each_way_of_loading_works_in_both_stages(
    annotated: Study, make_two_stages: MakeStudy, dataset: str, dataloader: str
) -> None:
    study = make_two_stages(annotated)

    stats = study.train(dataset=dataset, dataloader=dataloader, max_epochs=1)

    assert len(stats["semi_supervised"]["volumes"]) == 3
