"""Training of the proxy model on tiny volumes without a label."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from small_studies import BROKEN, REASONS, write_nifti
from training_study import Study
from warm_recipe import write_warm_recipe

from activelabel.data.modality import choose_modality
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.loop.training.proxy import ProxyTraining
from activelabel.networks import build_network
from activelabel.project.models.proxy import initial_weights
from activelabel.training.pseudo_labels import pseudo_label


@pytest.fixture
def warm(blobs: Callable[[int], Any], make_study: Callable[..., Study], tmp_path: Path) -> Study:
    """Eight blobs, two of them for validation, nothing annotated, and a recipe with a proxy task."""
    return make_study(blobs(8), recipe=write_warm_recipe(tmp_path))


def task_of(study: Study) -> ProxyTraining:
    settings = study.project.recipe.proxy
    assert settings is not None
    return ProxyTraining(study.project, settings)


def train(study: Study, **request: Any) -> dict[str, Any]:
    return task_of(study).run({"model": "proxy", **request}, study)


def flatten(study: Study, image_id: str) -> None:
    """Replace an image by a constant one."""
    write_nifti(Path(study.get_image_uri(image_id)), np.full((24, 20, 16), 7.0, np.float32))


def test_the_form_of_the_proxy_task_can_be_shown(warm: Study) -> None:
    training = task_of(warm)
    offered = json.loads(json.dumps(training.offered()))
    assert (offered["max_epochs"], offered["dataset"][0]) == (2, "PersistentDataset")
    assert training.labels == ("foreground",)
    assert training.stats() == {}


def test_without_any_label_a_proxy_model_is_published(warm: Study) -> None:
    stats = train(warm)

    ledger = warm.project.ledger
    model = ledger.latest_model("proxy")
    assert model is not None
    assert (model.version, model.kind, model.labels, model.trained_on) == (1, "proxy", ("foreground",), ())
    assert ledger.latest_model() is None
    assert ledger.rounds() == []
    assert 0 <= model.metrics["dice"] <= 1
    warm.project.network(model)  # the checkpoint's file exists, and the published one
    assert set(stats["validation"]) == set(warm.ids("validation"))
    assert stats == task_of(warm).stats() == json.loads(json.dumps(stats, allow_nan=False))
    assert stats["pseudo_labels"] == {"done": 8, "images": 8, "without": {}}
    assert stats["total_time"].startswith("0:0")
    assert "stage" not in stats


def test_the_pseudo_label_of_every_image_is_kept_on_its_own_grid(warm: Study) -> None:
    train(warm)

    for image_id in [*warm.ids("training"), *warm.ids("validation")]:
        volume = read_volume(warm.get_image_uri(image_id))
        kept = nibabel.load(warm.project.pseudo_labels_folder / f"{image_id}.nii.gz")
        expected = pseudo_label(volume, choose_modality(volume.array))
        assert np.array_equal(np.asarray(kept.dataobj), expected)
        assert np.allclose(kept.affine, volume.affine_ras)


def test_a_stopped_training_goes_on_with_the_pseudo_labels_it_has(warm: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    drawn = []

    def draw(volume: Any, *arguments: Any) -> Any:
        if len(drawn) == 5:
            raise Killed
        drawn.append(volume.path.name)
        return pseudo_label(volume, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr("activelabel.loop.pseudo_label_files.pseudo_label", draw)
        with pytest.raises(Killed):
            train(warm)
    assert task_of(warm).stats()["stage"] == "1 of 2: drawing pseudo-labels"
    assert task_of(warm).stats()["pseudo_labels"]["done"] == 5
    first = list(drawn)

    def draw_others(volume: Any, *arguments: Any) -> Any:
        drawn.append(volume.path.name)
        return pseudo_label(volume, *arguments)

    monkeypatch.setattr("activelabel.loop.pseudo_label_files.pseudo_label", draw_others)
    train(warm)

    assert len(drawn) == len(set(drawn)) == 8
    assert first == drawn[:5]
    assert warm.project.ledger.latest_model("proxy").version == 1


def test_other_settings_or_another_image_draw_again(warm: Study, make_study: Callable[..., Study]) -> None:
    train(warm)
    kept = {path.name: path.read_bytes() for path in warm.project.pseudo_labels_folder.glob("*.nii.gz")}
    changed = warm.ids("training")[0]
    volume = nibabel.load(warm.get_image_uri(changed))
    nibabel.save(nibabel.Nifti1Image(200 - volume.get_fdata().astype(np.float32), volume.affine), volume.get_filename())
    train(warm)
    again = {path.name: path.read_bytes() for path in warm.project.pseudo_labels_folder.glob("*.nii.gz")}
    assert {name for name in kept if kept[name] != again[name]} == {f"{changed}.nii.gz"}

    recipe = write_warm_recipe(warm.studies.parent, modality='"ct"', window_hu=1000.0, level_hu=555.0)
    other = make_study(warm, recipe=recipe)
    train(other)  # 55 to 1055 HU
    for image_id in other.ids("training"):
        volume = read_volume(other.get_image_uri(image_id))
        drawn = np.asarray(nibabel.load(other.project.pseudo_labels_folder / f"{image_id}.nii.gz").dataobj)
        assert np.array_equal(drawn, pseudo_label(volume, "CT", 1000.0, 555.0))


def test_an_image_without_a_pseudo_label_is_reported_and_left_out(
    warm: Study, caplog: pytest.LogCaptureFixture
) -> None:
    plain = warm.ids("training")[1]
    flatten(warm, plain)

    with caplog.at_level(logging.WARNING):
        stats = train(warm)

    assert list(stats["pseudo_labels"]["without"]) == [plain]
    assert "its pseudo-label (foreground by intensity) is empty" in stats["pseudo_labels"]["without"][plain]
    assert f"{plain} is left out of the proxy training" in caplog.text
    (run,) = warm.project.runs_folder.glob("*_model_1")
    assert plain not in {case["image_id"] for case in json.loads((run / "cases.json").read_text(encoding="utf-8"))}
    assert warm.project.ledger.image(plain).unreadable_reason is None


@pytest.mark.parametrize("kind", ["empty", "nan"])
def test_an_image_that_cannot_be_read_is_set_aside(warm: Study, kind: str) -> None:
    torn = warm.ids("training")[0]
    BROKEN[kind](Path(warm.get_image_uri(torn)))

    stats = train(warm)

    assert REASONS[kind] in str(warm.project.ledger.image(torn).unreadable_reason)
    assert stats["pseudo_labels"]["without"] == {}


def test_a_proxy_training_without_any_pseudo_label_says_why(warm: Study) -> None:
    for image_id in warm.ids("training"):
        flatten(warm, image_id)

    with pytest.raises(InvalidInputError, match=r"no training image has a pseudo-label: blob_0\d\.nii\.gz: .*is empty"):
        train(warm)
    assert warm.project.ledger.latest_model("proxy") is None


def test_a_modality_that_nobody_knows_is_one_line_at_the_start(
    blobs: Callable[[int], Any], make_study: Callable[..., Study], tmp_path: Path
) -> None:
    cases = blobs(2)
    (cases.studies / "dataset.json").write_text('{"modality": {"0": "daguerreotype"}}')

    with pytest.raises(InvalidInputError, match="'modality' is 'daguerreotype', expected CT or one of"):
        make_study(cases, recipe=write_warm_recipe(tmp_path))


def test_pseudo_labels_are_drawn_by_what_the_project_is_not_by_what_an_image_looks_like(
    blobs: Callable[[int], Any], make_study: Callable[..., Study], tmp_path: Path
) -> None:
    """No image looks like CT; the window of soft tissue lies in the bright ball."""
    study = make_study(blobs(8), recipe=write_warm_recipe(tmp_path), modality="CT")
    train(study)
    for image_id in study.ids("training"):
        drawn = np.asarray(nibabel.load(study.project.pseudo_labels_folder / f"{image_id}.nii.gz").dataobj)
        assert np.array_equal(drawn, pseudo_label(read_volume(study.get_image_uri(image_id)), "CT"))


def test_without_images_there_is_nothing_to_train(warm: Study) -> None:
    warm.project.ledger.sync_images([], 2)

    with pytest.raises(NotReadyError, match="proxy training: no training image can be read"):
        task_of(warm).check_request({})


def test_an_interrupted_training_publishes_nothing_and_the_next_one_clears_what_it_left(
    warm: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("activelabel.loop.training.proxy.publish_model", cut)
        with pytest.raises(KeyboardInterrupt):
            train(warm)
    assert warm.project.ledger.latest_model("proxy") is None
    assert len(list((warm.project.runs_folder / "unfinished").iterdir())) == 1

    train(warm)

    assert warm.project.ledger.latest_model("proxy").version == 1
    assert list((warm.project.runs_folder / "unfinished").iterdir()) == []


def test_a_worse_proxy_model_is_published_and_not_in_use(warm: Study) -> None:
    train(warm)
    ledger = warm.project.ledger
    (measured,) = ledger.measurements("proxy")
    assert (measured.judges.cases, measured.dice) == (2, ledger.model(1).metrics["dice"])
    ledger.record_measurement(1, measured.judges, {"dice": 0.999})

    stats = train(warm, max_epochs=1)

    assert (ledger.model_in_use("proxy").version, ledger.latest_model("proxy").version) == (1, 2)
    assert (stats["model"]["version"], stats["newest_model"]["place"]) == (1, 2)
    assert ledger.measurements("proxy")[-1].judges == measured.judges


def test_other_pseudo_labels_are_other_judges_and_the_proxy_model_in_use_is_measured_by_them(
    warm: Study, make_study: Callable[..., Study], tmp_path: Path
) -> None:
    train(warm)
    ledger = warm.project.ledger
    image = Path(warm.get_image_uri(warm.ids("validation")[0]))
    changed = nibabel.load(image)
    nibabel.save(nibabel.Nifti1Image(changed.get_fdata().astype(np.float32)[::-1], changed.affine), image)

    train(warm, max_epochs=1)

    first, again, second = ledger.measurements("proxy")
    assert [item.model_version for item in (first, again, second)] == [1, 1, 2]
    assert first.judges != again.judges == second.judges
    best = max((again, second), key=lambda item: (item.dice, item.model_version))
    assert ledger.model_in_use("proxy").version == best.model_version


def test_the_same_seed_gives_the_same_proxy_model(warm: Study) -> None:
    weights = []
    for _ in range(2):
        train(warm)
        weights.append(warm.project.network(warm.project.ledger.latest_model("proxy")).state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_training_of_the_task_begins_with_the_proxy_model(warm: Study, caplog: pytest.LogCaptureFixture) -> None:
    """All layers except the last, whose weights are random, are taken over."""
    with caplog.at_level(logging.WARNING):
        assert initial_weights(warm.project) is None
    assert "training begins with random weights: there is no proxy model" in caplog.text
    train(warm)
    proxy = warm.project.network(warm.project.ledger.latest_model("proxy")).state_dict()

    torch.manual_seed(5)
    first = initial_weights(warm.project)
    torch.manual_seed(6)
    second = initial_weights(warm.project)

    assert first is not None
    assert second is not None
    build_network(warm.project.recipe.network, 2).load_state_dict(first)
    differing = {name for name in first if not torch.equal(first[name], second[name])}
    assert {name for name in first if not torch.equal(first[name], proxy[name])} >= differing
    assert 1 <= len(differing) <= 2  # the weight and bias of one layer
    assert all(torch.equal(first[name], proxy[name]) for name in first.keys() - differing)


def test_a_proxy_model_whose_file_is_damaged_is_one_line_in_the_log(
    warm: Study, caplog: pytest.LogCaptureFixture
) -> None:
    train(warm)
    model = warm.project.ledger.latest_model("proxy")
    (warm.project.models_folder / model.file).write_bytes(b"damaged")

    with caplog.at_level(logging.WARNING):
        assert initial_weights(warm.project) is None
    assert "training begins with random weights, not with those of proxy model 1: model tiny-" in caplog.text


def test_a_recipe_may_leave_the_weights_to_chance(warm: Study, make_study: Callable[..., Study]) -> None:
    train(warm)
    recipe = write_warm_recipe(warm.studies.parent, pretrained_weights="false")
    assert initial_weights(make_study(warm, recipe=recipe).project) is None
