"""Settings of a recipe for a training: its first weights, its length, the choice of the best epoch."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import nibabel
import numpy as np
import pytest
import torch
from recorded import record_annotation
from training_study import TINY, Study

from activelabel.loop.training.segmentation import SegmentationTraining
from activelabel.loop.training_cases import AnnotatedCase
from activelabel.networks import build_network
from activelabel.project.models.publishing import publish_model
from activelabel.training.engine.loading import Batch
from activelabel.training.engine.loop import TrainingLoop
from activelabel.training.engine.plan import Plan
from activelabel.training.engine.steps import Step
from activelabel.training.transfer import last_layer

RECIPE_LINES = TINY.read_text(encoding="utf-8")


@pytest.fixture
def make_recipe(tmp_path: Path) -> Callable[..., str]:
    """Write the tiny recipe with other lines in its section `training`, and return its path."""

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
    """Make another project with the same annotations and another recipe."""
    other = make_study(annotated, recipe=recipe, project_dir=str(annotated.studies.parent / "other"))
    other.annotate(*(item.image_id for item in annotated.project.ledger.annotations()))
    return other


def test_a_recipe_that_fine_tunes_begins_with_the_model_in_use(
    annotated: Study, make_study: Callable[..., Study], make_recipe: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a learning rate near 0 the weights stay those it began with, for any seed."""
    study = annotated_like(annotated, make_study, make_recipe(from_previous="true", learning_rate="1e-12"))
    study.train()
    first = study.published_weights()
    monkeypatch.setattr(SegmentationTraining, "seed", 5)
    study.train()

    assert study.project.ledger.latest_model().version == 2
    assert all(torch.allclose(first[name], value, atol=1e-6) for name, value in study.published_weights().items())


def test_a_recipe_that_continues_a_model_has_shorter_trainings_that_mix_new_and_known_labels(
    annotated: Study, make_study: Callable[..., Study], make_recipe: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first training knows no label; the second one knows all but that of the last case, which is drawn anew."""
    keys = {"continued_share": "0.25", "replay_share": "0.5", "continued_learning_rate": "1e-4", "epochs": "4"}
    study = annotated_like(annotated, make_study, make_recipe(from_previous="true", **keys))
    plans: list[Plan] = []
    init = TrainingLoop.__init__

    def watched(loop: TrainingLoop, plan: Plan, *arguments: Any) -> None:
        plans.append(plan)
        init(loop, plan, *arguments)

    monkeypatch.setattr(TrainingLoop, "__init__", watched)
    study.train()
    *_, last = study.project.ledger.annotations("training")
    study.annotate(last.image_id)
    study.train()

    first, second = plans
    assert (first.training.epochs, list(first.new)) == (4, [])
    assert (second.training.epochs, second.training.learning_rate) == (1, 1e-4)
    assert [cast(AnnotatedCase, second.cases[number])["image_id"] for number in second.new] == [last.image_id]
    assert study.project.ledger.latest_model().version == 2


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

    assert "training does not begin with the weights of model 1: model" in caplog.text
    assert study.project.ledger.latest_model().version == 2


def test_the_best_epoch_may_be_known_by_the_jaccard_index(
    annotated: Study, make_study: Callable[..., Study], make_recipe: Callable[..., str]
) -> None:
    """The index of one class is D / (2 - D) in each case; other code computes the published model's Dice."""
    study = annotated_like(annotated, make_study, make_recipe(best_by='"jaccard"'))

    stats = study.train(max_epochs=4)

    dice = [classes["ball"] for classes in stats["validation"].values()]
    assert stats["eval"]["key_metric_name"] == "val_mean_jaccard"
    assert stats["best_metric"] == pytest.approx(np.mean([d / (2 - d) for d in dice]), abs=0.02)
    assert stats["best_metric"] < np.mean(dice) - 0.05


def test_an_epoch_may_be_a_number_of_steps(
    annotated: Study, make_study: Callable[..., Study], make_recipe: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three cases with two a step make two steps an epoch; the recipe asks for five."""
    study = annotated_like(annotated, make_study, make_recipe(steps_per_epoch="5"))
    steps, _, _ = watch_steps(monkeypatch)
    study.train()

    assert steps == [1] * 5 + [2] * 5


@pytest.mark.parametrize("dataset", ["CacheDataset", "PersistentDataset", "Dataset"])
def test_cases_in_which_nothing_is_drawn_are_trained_on_beside_foreground(
    study: Study,
    make_study: Callable[..., Study],
    make_recipe: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    dataset: str,
) -> None:
    """Three of four cases are empty, and each is alone in a step, for every way of keeping them."""
    recipe = make_recipe(batch_size="1", patches_per_volume="2")
    other = make_study(study, recipe=recipe, project_dir=str(study.studies.parent / "other"))
    cases = other.ids("training")[:4]
    other.annotate(*cases)
    for image_id in cases[1:]:
        file = other.project.labels_folder / f"{image_id}.nii.gz"
        label = nibabel.load(file)
        nibabel.save(nibabel.Nifti1Image(np.zeros(label.shape, np.uint8), label.affine), file)
        other.believe(image_id)
    _, _, seen = watch_steps(monkeypatch)
    other.train(dataset=dataset)

    batches = [batch["label"] > 0 for batch in seen]
    assert len(batches) == 2 * 4
    assert all(batch[0].any() for batch in batches)
    assert sum(bool(batch[1].any()) for batch in batches) <= 2


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
    train_step = TrainingLoop.train_step

    def look(loop: TrainingLoop, batch: Batch) -> Step:
        seen.append((loop.progress.epoch, dict(loop.learner.optimizer.param_groups[0])))
        return train_step(loop, batch)

    monkeypatch.setattr(TrainingLoop, "train_step", look)
    study.train()

    assert len(seen) == 4
    assert [group["lr"] for _, group in seen] == pytest.approx([rates[epoch - 1] for epoch, _ in seen])
    assert {group["weight_decay"] for _, group in seen} == {0}


@pytest.mark.parametrize(("kind", "depth"), [("unet2d", 1), ("anisotropic_unet", 8)])
def test_networks_that_work_in_the_plane_learn_from_slices(
    study: Study, make_study: Callable[..., Study], tmp_path: Path, kind: str, depth: int
) -> None:
    """Slices are sagittal, so that the network's axes are not the file's; a training publishes a model."""
    text = RECIPE_LINES.replace("[network]\n", f'[network]\nkind = "{kind}"\nnormalisation = "batch"\n')
    text = text.replace("[16, 16, 16]", f"[16, 16, {depth}]").replace(
        "patches_per_volume = 1", "patches_per_volume = 2"
    )
    file = tmp_path / "planar.toml"
    file.write_text(text + '\n[preprocessing]\nslice_plane = "sagittal"\nslices_last = true\n')
    planar = make_study(study, recipe=str(file), project_dir=str(tmp_path / "planar"))
    planar.set_slices(axis=0, count=24)
    first, second, *_ = planar.ids("training")
    planar.annotate(second, *planar.ids("validation"))
    planar.annotate(first, slices=[8, 10])

    stats = planar.train()

    assert set(stats["validation"]) == set(planar.ids("validation"))
    assert planar.project.model_description.network.kind == kind
    assert planar.published_weights()


def test_the_proxy_model_is_what_a_training_begins_with(
    annotated: Study, make_study: Callable[..., Study], make_recipe: Callable[..., str]
) -> None:
    """With a learning rate near 0 all layers except the last stay those of the proxy model."""
    recipe = Path(make_recipe(learning_rate="1e-12"))
    recipe.write_text(f"{recipe.read_text(encoding='utf-8')}\n[proxy]\n", encoding="utf-8")
    study = annotated_like(annotated, make_study, str(recipe))
    project = study.project
    proxy = build_network(project.recipe.network, classes=2).state_dict()
    publish_model(project, proxy, {}, [], kind="proxy")

    study.train()

    published, left_out = study.published_weights(), last_layer(project.recipe.network)
    assert 0 < len(left_out) < len(proxy)
    for name, value in proxy.items():
        assert torch.allclose(published[name], value, atol=1e-6) == (name not in left_out), name


def watch_steps(monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[int], list[Batch]]:
    """Record of all later trainings the epoch of each step, the steps before each validation, and the batches."""
    steps, validated, batches = list[int](), list[int](), list[Batch]()
    train_step, validate = TrainingLoop.train_step, TrainingLoop.validate

    def step(loop: TrainingLoop, batch: Batch) -> Step:
        steps.append(loop.progress.epoch)
        batches.append(batch)
        return train_step(loop, batch)

    def judge(loop: TrainingLoop) -> None:
        validated.append(len(steps))
        validate(loop)

    monkeypatch.setattr(TrainingLoop, "train_step", step)
    monkeypatch.setattr(TrainingLoop, "validate", judge)
    return steps, validated, batches


@pytest.mark.parametrize(("interval", "expected"), [("3", [3, 6, 9]), ("1000", [10])])
def test_validation_may_go_by_steps_and_there_is_one_at_least(
    annotated: Study,
    make_study: Callable[..., Study],
    make_recipe: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    interval: str,
    expected: list[int],
) -> None:
    """chlebus2022, II.B: "applied to the validation data every 1000 iterations"."""
    recipe = make_recipe(steps_per_epoch="5", validate_every_steps=interval)
    study = annotated_like(annotated, make_study, recipe)
    steps, validated, _ = watch_steps(monkeypatch)

    stats = study.train()

    assert (len(steps), validated) == (10, expected)
    assert stats["best_metric"] > 0


def test_a_training_is_longer_where_more_was_drawn(
    study: Study, make_study: Callable[..., Study], make_recipe: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Effort by hand: a whole volume with 12 foreground slices is 4, three of four single slices of another one 3."""
    recipe = make_recipe(steps_by_effort="[[4, 8], [10, 20]]")
    other = make_study(study, recipe=recipe, project_dir=str(study.studies.parent / "other"))
    first, second, *_ = other.ids("training")
    other.set_slices(axis=2, count=24)
    ledger, file = other.project.ledger, f"{first}.nii.gz"
    other.annotate(first, second, *other.ids("validation"))
    for image_id in (second, *other.ids("validation")):
        ledger.delete_annotation(image_id)
    sha256 = {name: sha256_of(other.project.labels_folder / f"{name}.nii.gz") for name in (first, second)}
    record_annotation(ledger, first, file, sha256[first], "ann", foreground_slices=12)
    steps, _, _ = watch_steps(monkeypatch)

    other.train()
    assert steps == [1] * 4 + [2] * 4, "8 steps for 4 units, over 2 epochs"

    steps.clear()
    slices = [8, 10, 12, 0]
    record_annotation(ledger, second, f"{second}.nii.gz", sha256[second], "ann", slices=slices, foreground_slices=3)
    other.train()
    assert steps == [1] * 7 + [2] * 7, "14 for 7"


def sha256_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("dataset", ["CacheDataset", "PersistentDataset", "Dataset"])
def test_slices_are_learnt_from_one_by_one_whichever_way_they_are_kept(
    study: Study,
    make_study: Callable[..., Study],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dataset: str,
) -> None:
    """ma2024: a whole volume of 24 sagittal slices and two of another are 26, five a step: six steps an epoch."""
    text = RECIPE_LINES.replace("[network]\n", '[network]\nkind = "unet2d"\n').replace("[16, 16, 16]", "[24, 24, 1]")
    text = text.replace("batch_size = 2", 'batch_size = 5\nsampling = "slices"')
    file = tmp_path / "planar.toml"
    file.write_text(text + '\n[preprocessing]\nslice_plane = "sagittal"\nslices_last = true\n')
    planar = make_study(study, recipe=str(file), project_dir=str(tmp_path / "planar"))
    planar.set_slices(axis=0, count=24)
    first, second, *_ = planar.ids("training")
    planar.annotate(second, *planar.ids("validation"))
    planar.annotate(first, slices=[8, 10])
    _, _, seen = watch_steps(monkeypatch)
    planar.train(dataset=dataset)

    batches = [tuple(batch["image"].shape) for batch in seen]
    assert batches == ([(5, 1, 24, 24, 1)] * 5 + [(1, 1, 24, 24, 1)]) * 2
