"""Scoring by a proxy model with a real ledger and network: scores, features, and the state of both after a kill."""

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from killed_reads import CountedReads, Killed
from small_studies import write_nifti
from training_study import Study
from warm_recipe import write_warm_recipe

from activelabel.acquisition.aggregation import mean
from activelabel.data.files.image_files import AnyImage, ImageFiles
from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.loop.passing_over import PassingOver
from activelabel.loop.proxy_scoring import ProxyScoring
from activelabel.loop.pseudo_label_files import PseudoLabelFiles
from activelabel.names import ScoreKind
from activelabel.networks import build_network
from activelabel.networks.bottleneck import bottleneck
from activelabel.project.images import Images
from activelabel.project.models.features import features_file, read_features
from activelabel.project.models.proxy import initial_weights, proxy_is_missing, unscored_by_proxy
from activelabel.project.models.publishing import publish_model

VARIANCE, ENTROPY = (ScoreKind(measure, aggregation="mean") for measure in ("variance", "entropy"))


@pytest.fixture
def warm(blobs: Callable[[int], Any], make_study: Callable[..., Study], tmp_path: Path) -> Study:
    """Eight blobs, two of them for validation, and a proxy model of random weights."""
    study = make_study(blobs(8), recipe=write_warm_recipe(tmp_path), precision="float32")
    publish(study)
    return study


def publish(study: Study, kind: str = "proxy") -> None:
    torch.manual_seed(0)
    publish_model(study.project, build_network(study.project.recipe.network, 2).state_dict(), {}, [], kind)


def score(study: Study, files: Images | None = None) -> dict[str, Any]:
    settings = study.project.recipe.proxy
    assert settings is not None
    return ProxyScoring(study.project, settings).run(files or CountedReads(study.get_image_uri))


def features(study: Study, version: int = 1) -> dict[str, np.ndarray]:
    return read_features(features_file(study.project.features_folder, version))


def test_before_there_is_a_proxy_model_nothing_is_scored(
    blobs: Callable[[int], Any], make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(blobs(3), recipe=write_warm_recipe(tmp_path))
    with pytest.raises(NotReadyError, match="no proxy model yet: train one with POST /train/proxy"):
        score(study)


def test_the_scores_are_the_means_of_variance_and_entropy_over_all_voxels(warm: Study) -> None:
    assert score(warm) == {"model_version": 1, "scored": 6, "without_pseudo_label": []}
    ledger, predictor = warm.project.ledger, warm.project.predictor(warm.project.ledger.latest_model("proxy"))
    for image_id in warm.ids("training"):
        image = prepare_image(read_volume(warm.get_image_uri(image_id)), warm.project.recipe.preprocessing)
        statistics = predictor.sample(image.tensor, 3, 0)
        assert ledger.volume_scores(1, VARIANCE)[image_id] == pytest.approx(mean(statistics.variance()))
        assert ledger.volume_scores(1, ENTROPY)[image_id] == pytest.approx(mean(statistics.entropy()))
    assert set(ledger.score_repeats(1, VARIANCE).values()) == {3}
    assert set(ledger.volume_scores(1, VARIANCE)) == set(warm.ids("training"))


def test_the_features_are_the_networks_lowest_level_of_every_training_image(warm: Study) -> None:
    """The blobs are larger than a window, so the features of one window are checked on a smaller image."""
    path = warm.studies / "small.nii.gz"
    write_nifti(path, np.random.default_rng(3).normal(100, 30, (16, 16, 16)).astype(np.float32))
    ids = [*warm.ids("training"), *warm.ids("validation"), "small"]
    warm.project.ledger.sync_images(ids, 2)
    score(warm)

    found = features(warm)
    assert set(found) == set(warm.ids("training"))
    assert "small" in found
    network = warm.project.network(warm.project.ledger.latest_model("proxy"))
    outputs = []
    bottleneck(network).register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
    with torch.no_grad():
        network(prepare_image(read_volume(path), warm.project.recipe.preprocessing).tensor[None])
    assert found["small"] == pytest.approx(outputs[0].mean(dim=(0, 2, 3, 4)).numpy(), abs=1e-5)


def test_a_volume_without_a_pseudo_label_is_scored_as_the_last_and_has_no_features(
    warm: Study, caplog: pytest.LogCaptureFixture
) -> None:
    plain = warm.ids("training")[2]
    write_nifti(Path(warm.get_image_uri(plain)), np.full((24, 20, 16), 7.0, np.float32))

    with caplog.at_level(logging.WARNING):
        assert score(warm) == {"model_version": 1, "scored": 5, "without_pseudo_label": [plain]}

    ledger = warm.project.ledger
    assert (ledger.volume_scores(1, VARIANCE)[plain], ledger.score_repeats(1, VARIANCE)[plain]) == (0.0, 0)
    assert list(ledger.ranking(1, VARIANCE, limit=9))[-1] == plain
    assert plain not in features(warm)
    assert f"{plain} is ranked last: {plain}.nii.gz: its pseudo-label" in caplog.text
    assert ledger.unscored(1, VARIANCE) == []


def test_a_volume_that_cannot_be_read_is_set_aside(warm: Study) -> None:
    torn = warm.ids("training")[0]
    Path(warm.get_image_uri(torn)).write_bytes(b"")
    assert score(warm)["scored"] == 5
    assert warm.project.ledger.image(torn).unreadable_reason is not None
    assert unscored_by_proxy(warm.project) == 0


def test_a_proxy_scoring_killed_among_the_features_begins_with_them_again(warm: Study) -> None:
    files = CountedReads(warm.get_image_uri)
    files.killed_at = 4
    with pytest.raises(Killed):
        score(warm, files)
    assert features(warm) == {}
    assert warm.project.ledger.volume_scores(1, VARIANCE) == {}
    score(warm)
    assert len(features(warm)) == len(warm.project.ledger.volume_scores(1, VARIANCE)) == 6


def test_a_proxy_scoring_killed_among_the_scores_goes_on_with_those_that_are_left(warm: Study) -> None:
    files = CountedReads(warm.get_image_uri)
    files.killed_at = 6 + 4
    with pytest.raises(Killed):
        score(warm, files)
    before = warm.project.ledger.volume_scores(1, VARIANCE)
    assert len(before) == 4
    files.killed_at = None
    files.read.clear()
    assert score(warm, files)["scored"] == 2
    assert set(files.read) == set(warm.ids("training")) - set(before)
    assert before.items() <= warm.project.ledger.volume_scores(1, VARIANCE).items()


def test_an_image_that_goes_while_its_pseudo_label_is_drawn_is_not_ranked_last(
    warm: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, find = warm.ids("training")[0], PseudoLabelFiles.find
    copies, drawn = tmp_path / "copies", list[str]()
    copies.mkdir()

    def fetched(image_id: str) -> Path:
        """A copy of an image, made anew if it is gone."""
        copy = copies / f"{image_id}.nii.gz"
        return copy if copy.exists() else Path(shutil.copy(warm.get_image_uri(image_id), copy))

    def lose(files: PseudoLabelFiles, image_id: str, image: AnyImage) -> Path:
        """Remove the copy of an image the first time that its pseudo-label is to be drawn."""
        drawn.append(image_id)
        if image_id == lost and drawn.count(lost) == 1:
            ImageFiles.of(image).path.unlink()
        return find(files, image_id, image)

    monkeypatch.setattr(PseudoLabelFiles, "find", lose)
    passing = PassingOver(CountedReads(fetched))  # type: ignore[arg-type]  # nobody asks it for more than files
    assert score(warm, passing) == {"model_version": 1, "scored": 6, "without_pseudo_label": []}
    assert passing.failed.keys() == {lost}
    assert warm.project.ledger.images_set_aside() == []


def test_images_that_are_added_get_features_and_scores_beside_the_others(warm: Study) -> None:
    late = warm.ids("training")[0]
    others = [*warm.ids("training")[1:], *warm.ids("validation")]
    warm.project.ledger.sync_images(others, 2)
    score(warm)
    before = features(warm)
    warm.project.ledger.sync_images([*others, late], 2)
    files = CountedReads(warm.get_image_uri)
    assert score(warm, files)["scored"] == 1
    assert set(files.read) == {late}
    assert features(warm).keys() == before.keys() | {late}
    assert all(np.array_equal(features(warm)[image_id], before[image_id]) for image_id in before)


def test_fewer_volumes_than_to_start_with_is_one_line(
    warm: Study, make_study: Callable[..., Study], caplog: pytest.LogCaptureFixture
) -> None:
    other = make_study(warm, recipe=write_warm_recipe(warm.studies.parent), start="9")
    with caplog.at_level(logging.WARNING):
        score(other)
    assert caplog.text.count("6 volumes are left, fewer than the 9 to start with: all are asked for") == 1


def test_a_damaged_file_of_features_is_one_line(warm: Study) -> None:
    score(warm)
    features_file(warm.project.features_folder, 1).write_bytes(b"PK damaged")
    with pytest.raises(InvalidInputError, match=r"model_1\.npz: cannot be read as features of images"):
        features(warm)


def test_a_proxy_model_of_other_channels_is_one_line_and_the_task_begins_without_it(
    warm: Study, make_study: Callable[..., Study], caplog: pytest.LogCaptureFixture
) -> None:
    recipe = Path(write_warm_recipe(warm.studies.parent))
    recipe.write_text(
        recipe.read_text(encoding="utf-8").replace("channels = [4, 8]", "channels = [4, 6]"), encoding="utf-8"
    )
    other = make_study(warm, recipe=str(recipe))
    line = r"model tiny-[^\n]*: it was trained with network\.channels 4, 8, expected 4, 6: start [^\n]*"

    with pytest.raises(InvalidInputError, match=rf"^{line}$"):
        score(other)
    with caplog.at_level(logging.WARNING):
        assert initial_weights(other.project) is None
    (record,) = (one for one in caplog.records if one.levelno == logging.WARNING)
    assert re.fullmatch(
        rf"training begins with random weights, not with those of proxy model 1: {line}", record.getMessage()
    )


def test_the_proxy_model_is_missing_only_where_the_recipe_asks_for_one(
    warm: Study, make_study: Callable[..., Study]
) -> None:
    assert not proxy_is_missing(warm.project)
    warm.project.ledger.withdraw_model(1)
    assert proxy_is_missing(warm.project)
    recipe = write_warm_recipe(warm.studies.parent, cold_start='"none"', pretrained_weights="false")
    assert not proxy_is_missing(make_study(warm, recipe=recipe).project)


def test_proxy_scores_are_due_before_the_first_model_and_for_proxy_strategies_always(
    warm: Study, make_study: Callable[..., Study]
) -> None:
    assert unscored_by_proxy(warm.project) == 6
    only_weights = write_warm_recipe(warm.studies.parent, cold_start='"none"')
    assert unscored_by_proxy(make_study(warm, recipe=only_weights).project) == 0
    publish(warm, "task")
    assert unscored_by_proxy(make_study(warm, recipe=write_warm_recipe(warm.studies.parent)).project) == 0
    always = write_warm_recipe(warm.studies.parent, strategy="proxy_rank")
    assert unscored_by_proxy(make_study(warm, recipe=always).project) == 6
