"""A published model is in use if it is the best: after a training, an upload and a choice by a person."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from small_studies import write_model
from training_study import TINY, Study

from activelabel.acquisition.score import Score
from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.loop.due import read_situation
from activelabel.loop.scoring import VolumeScoring
from activelabel.loop.training.segmentation import SegmentationTraining
from activelabel.loop.uncertainty_check import compare_labels
from activelabel.names import ScoreKind
from activelabel.networks import build_network
from activelabel.project.models.loaded import LoadedModel
from activelabel.project.models.publishing import publish_model
from activelabel.project.models.standing import read_standing
from activelabel.server.actions.models import ModelActions
from activelabel.server.tasks.segmentation import SegmentationInfer
from activelabel.simulation.local_app import LocalApp
from activelabel.strategies.by_score import highest_proposals
from activelabel.strategies.trust import read_trust

KIND = ScoreKind("variance")


def publish(study: Study, dice: float | None, seed: int = 0) -> int:
    """Publish a model of random weights with this Dice on the current validation labels, and return its version."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        weights = build_network(study.project.recipe.network, classes=2).state_dict()
    metrics = {"dice": dice, "dice_ball": dice}
    return publish_model(study.project, weights, metrics, study.project.ledger.annotations()).version


def score_all(study: Study, version: int) -> None:
    for value, image_id in enumerate(study.project.ledger.pool("training")):
        study.project.ledger.record_scores(version, image_id, [Score.of_kind(KIND, float(value))], 3, 0)


def in_use(study: Study) -> int:
    return study.project.current_model().version


def test_one_press_of_train_with_one_epoch_replaces_no_better_model(
    annotated: Study, caplog: pytest.LogCaptureFixture
) -> None:
    publish(annotated, 0.99)
    score_all(annotated, 1)
    caplog.set_level(logging.INFO)

    stats = annotated.train(max_epochs=1)

    last_line = caplog.messages[-1]
    assert (in_use(annotated), annotated.project.ledger.latest_model().version) == (1, 2)
    with LoadedModel(annotated.project).predictor() as (version, _):
        assert version == 1
    newest = annotated.project.ledger.latest_model().metrics["dice"]
    assert (stats["model"]["version"], stats["newest_model"]["version"]) == (1, 2)
    assert (stats["newest_model"]["place"], stats["newest_model"]["compared"]) == (2, 2)
    assert (stats["model"]["in_use"], stats["newest_model"]["in_use"]) == (True, False)
    assert stats["best_metric"] == 0.99 != stats["eval"]["best_metric"]
    expected = (
        f"Model 2 was published and is not in use: Dice {newest:.3f} on 2 validation cases, place 2 of 2. Model 1 "
        "stays in use: Dice 0.990 on the same cases. `activelabel models --use 2` puts the newest in use."
    )
    assert stats["standing"] == expected
    assert last_line == expected, "the last of the lines that a client sees of the task"


def test_a_worse_model_ends_its_round_and_makes_nothing_be_scored_again(annotated: Study) -> None:
    publish(annotated, 0.99)
    score_all(annotated, 1)
    annotated.annotate(*annotated.project.ledger.pool("training")[:2])
    before = read_situation(annotated.project, "variance")
    assert before.new_training_annotations == 2

    annotated.train(max_epochs=1)

    after = read_situation(annotated.project, "variance")
    assert in_use(annotated) == 1
    assert (after.model_version, after.new_annotations, after.new_training_annotations, after.unscored) == (2, 0, 0, 0)
    assert VolumeScoring(annotated.project, "variance").run(annotated)["model_version"] == 1  # type: ignore[arg-type]
    assert annotated.project.ledger.scored_images(2, KIND) == set()
    left = next(item for item in highest_proposals(annotated.project, KIND) if item.score is not None)
    assert (left.model_version, "still scoring" in left.reason) == (1, False)


def test_a_model_as_good_or_better_is_in_use(annotated: Study) -> None:
    publish(annotated, 0.0)

    stats = annotated.train()

    assert in_use(annotated) == 2
    assert stats["model"]["place"] == 1
    assert "Model 2 is in use: Dice" in stats["standing"]
    assert stats["standing"].endswith("the best of 2 models judged by them.")


def test_labels_drawn_anew_are_compared_by_measuring_the_model_in_use_again(annotated: Study) -> None:
    """The Dice of random weights is computed again from the file, with only the network and the voxels."""
    publish(annotated, 0.99)
    annotated.annotate(*annotated.ids("validation"))

    annotated.train()

    ledger = annotated.project.ledger
    *_, again, own = ledger.measurements()
    assert [item.model_version for item in (again, own)] == [1, 2]
    assert again.judges == own.judges != ledger.measurements()[0].judges
    assert again.dice == pytest.approx(dice_by_hand(annotated, 1), abs=0.1)  # windows and bfloat16 differ a little
    best = max((again, own), key=lambda item: (item.dice, item.model_version))
    assert in_use(annotated) == best.model_version
    assert ledger.model(1).metrics["dice"] == 0.99


def dice_by_hand(study: Study, version: int) -> float:
    """Return the mean Dice over the validation cases, each predicted as one whole volume."""
    network = study.project.network(study.project.ledger.model(version))
    values = []
    for image_id in study.ids("validation"):
        prepared = prepare_image(read_volume(study.get_image_uri(image_id)), study.project.recipe.preprocessing)
        with torch.no_grad():
            ball = np.flip(network(prepared.tensor[None])[0].argmax(dim=0).numpy() == 1, axis=(0, 1))
        reference = np.asarray(nibabel.load(study.labels / f"{image_id}.nii.gz").dataobj) == 1
        values.append(2 * (ball & reference).sum() / (ball.sum() + reference.sum()))
    return float(np.mean(values))


def test_a_chosen_model_stays_in_use_and_the_statistics_name_the_chooser(annotated: Study) -> None:
    publish(annotated, 0.0)
    annotated.project.ledger.use_model(1, "ann")

    stats = annotated.train()

    assert in_use(annotated) == 1
    assert "Model 1, which ann chose, stays in use: Dice 0.000 on the same cases." in stats["standing"]
    annotated.project.ledger.use_best()
    assert in_use(annotated) == 2


def test_the_best_is_left_out_if_its_file_cannot_be_used(annotated: Study, caplog: pytest.LogCaptureFixture) -> None:
    publish(annotated, 0.99)
    file = annotated.project.models_folder / annotated.project.ledger.model(1).file
    file.write_bytes(file.read_bytes()[:-100])
    caplog.set_level(logging.WARNING)

    annotated.train(max_epochs=1)

    assert in_use(annotated) == 2
    assert "model 1 is left out from now on: " in caplog.text


def test_without_validation_labels_the_newest_is_in_use_and_says_why(study: Study) -> None:
    study.annotate(*study.ids("training")[:2])
    publish(study, None)

    stats = study.train(max_epochs=1)

    assert in_use(study) == 2
    assert stats["standing"] == "Model 2 is in use: the newest; no validation case says how good it is."


def test_a_training_that_goes_on_begins_with_the_model_in_use_not_the_newest(
    annotated: Study, make_study: Callable[..., Study], tmp_path: Path
) -> None:
    text = TINY.read_text(encoding="utf-8").replace(
        "learning_rate = 1e-2", "learning_rate = 1e-12\nfrom_previous = true"
    )
    recipe = tmp_path / "goes_on.toml"
    recipe.write_text(text)
    study = make_study(annotated, recipe=str(recipe), project_dir=str(tmp_path / "other"))
    study.annotate(*(item.image_id for item in annotated.project.ledger.annotations()))
    publish(study, 0.9, seed=3)
    publish(study, 0.1, seed=4)

    study.train(max_epochs=1)

    began, came = (study.project.network(study.project.ledger.model(version)).state_dict() for version in (1, 3))
    assert all(torch.allclose(began[name], came[name], atol=1e-6) for name in began)


def test_a_label_is_compared_with_the_model_in_use_when_it_came_not_with_a_worse_newer_one(annotated: Study) -> None:
    annotated.set_slices(axis=2, count=16)
    publish(annotated, 0.9)
    publish(annotated, 0.1, seed=1)
    (label,) = annotated.annotate(annotated.project.ledger.pool("training")[0])

    compare_labels(annotated.project, annotated.project.ledger.annotations(), annotated, torch.device("cpu"))  # type: ignore[arg-type]

    assert [(item.annotation_id, item.model_version) for item in annotated.project.ledger.uncertainty_checks()] == [
        (label, 1)
    ]


def test_uncertainty_of_a_worse_model_that_was_chosen_does_not_spoil_the_record_of_the_better(annotated: Study) -> None:
    publish(annotated, 0.9)
    publish(annotated, 0.1)
    ledger = annotated.project.ledger
    ledger.use_model(2, "ann")
    for label in annotated.annotate(*ledger.pool("training")[:3]):
        ledger.record_uncertainty_check(label, 2, "variance", -0.5, wrong_voxels=50, voxels=100)
    assert read_trust(annotated.project).labels == 3
    ledger.use_best()
    assert read_trust(annotated.project).as_json() == {"last": [], "mean": None, "labels": 0, "trusted": True}


def test_any_model_may_be_asked_to_draw_and_the_description_says_which_does(annotated: Study) -> None:
    publish(annotated, 0.9)
    publish(annotated, 0.1)
    infer = SegmentationInfer(annotated.project, LoadedModel(annotated.project))
    image = annotated.get_image_uri("blob_00")

    drawn = [infer({"image": image, **asked})[1]["model_version"] for asked in ({}, {"model_version": 2}, {})]

    assert drawn == [1, 2, 1]
    assert "Model 1 stays in use: Dice 0.900 on the same cases" in infer.info()["description"]
    with pytest.raises(InvalidInputError, match=r"model_version 7: there is no such model; use one of 1, 2"):
        infer({"image": image, "model_version": 7})


def test_a_server_follows_a_choice_that_another_process_made(annotated: Study) -> None:
    publish(annotated, 0.9)
    publish(annotated, 0.1, seed=1)
    loaded = LoadedModel(annotated.project)
    versions = []
    for choose in (lambda ledger: None, lambda ledger: ledger.use_model(2, "ann"), lambda ledger: ledger.use_best()):
        choose(annotated.project.ledger)
        with loaded.predictor() as (version, _):
            versions.append(version)
    assert versions == [1, 2, 1]


def test_while_the_model_in_use_has_not_scored_the_sound_one_before_it_is_asked(annotated: Study) -> None:
    publish(annotated, 0.8)
    publish(annotated, 0.1)
    score_all(annotated, 1)
    score_all(annotated, 2)
    annotated.project.ledger.use_model(2, "ann")
    annotated.project.ledger.use_best()
    publish(annotated, 0.9)

    asked = next(item for item in highest_proposals(annotated.project, KIND) if item.score is not None)

    assert asked.model_version == 1
    assert asked.reason.endswith("while model 3 is still scoring")


def test_an_upload_is_judged_and_only_in_use_if_it_is_the_best(blobs: Callable[[int], Any], tmp_path: Path) -> None:
    cases = blobs(8)
    conf = {"recipe": str(TINY), "labels": "ball", "device": "cpu", "project_dir": str(tmp_path / "project")}
    app = LocalApp(cases.studies, conf, "ann")
    for image in app.project.ledger.images():
        app.save(image.id, cases.label_of(image.id), {})
    file = write_model(tmp_path / "model.safetensors", ("ball",))
    models = ModelActions(app.project, app._images)

    first = models.adopt(file)

    assert (first["version"], first["in_use"], first["validation_cases"]) == (1, True, 2)
    assert first["metrics"]["dice"] is not None
    (measured,) = app.project.ledger.measurements()
    app.project.ledger.record_measurement(1, measured.judges, {"dice": 0.99})
    second = models.adopt(file)
    assert (second["version"], second["in_use"], second["place"], second["compared"]) == (2, False, 2, 2)
    assert app.project.current_model().version == 1
    assert read_situation(app.project, "variance").new_annotations == 0
    assert models.withdraw()["withdrawn"] == 1
    assert app.project.current_model().version == 2


def test_statistics_of_a_running_training_tell_of_it(annotated: Study) -> None:
    publish(annotated, 0.9)
    task = SegmentationTraining(annotated.project)
    assert task.stats()["standing"] == str(read_standing(annotated.project.ledger))
    assert "best_metric" not in task.stats()
