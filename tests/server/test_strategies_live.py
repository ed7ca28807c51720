"""Strategies on a tiny study: real networks train and score, and every strategy asks by their results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from training_study import TINY, Study

from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.loop.scoring import VolumeScoring
from activelabel.names import ScoreKind
from activelabel.networks import build_network
from activelabel.project.models.features import features_file, read_features
from activelabel.project.models.publishing import publish_model
from activelabel.recipes.strategy_traits import traits_of
from activelabel.strategies.catalogue import build_strategies, build_strategy

NEW = ("foreground_random", "power_bald", "power_entropy", "clasp_pe", "coreset", "typiclust")


@pytest.fixture
def open_study(blobs: Callable[[int], Any], make_study: Callable[..., Study], tmp_path: Path) -> Callable[..., Study]:
    """A project of five blobs, none for validation; one is annotated, and a model of random weights is published."""

    def open_(strategy: str) -> Study:
        recipe = tmp_path / "recipe.toml"
        text = TINY.read_text(encoding="utf-8").replace('"variance"', f'"{strategy}"')
        recipe.write_text(text.replace("validation_cases = 2", "validation_cases = 0"))
        study = make_study(blobs(5), recipe=str(recipe), precision="float32")
        learnt = study.annotate(study.ids("training")[0])
        torch.manual_seed(0)
        weights = build_network(study.project.recipe.network, classes=2).state_dict()
        annotations = [one for one in study.project.ledger.annotations() if one.id in learnt]
        publish_model(study.project, weights, {}, annotations)
        return study

    return open_


def score(study: Study) -> dict[str, Any]:
    return VolumeScoring(study.project, "variance").run(study)  # type: ignore[arg-type]


class Host:
    """The part of the host's datastore that a strategy uses."""

    def __init__(self, study: Study) -> None:
        self.image_files = study.image_files

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("name", [*NEW, *(f"{name}_slices" for name in NEW)])
def test_each_strategy_asks_by_the_model_in_use_as_soon_as_it_has_scored(
    open_study: Callable[..., Study], name: str
) -> None:
    study = open_study(name)
    strategy = build_strategies(study.project)["random"]
    assert score(study)["scored"] == 4
    for number in range(2):
        answer = strategy.next(f"reader {number}", Host(study))  # type: ignore[arg-type]
        assert answer["model_version"] == 1
        assert answer["query"]["kind"] == ("slices" if traits_of(name).asks_slices else "volume")
        assert "model 1" in answer["reason"]
        assert answer["strategy"] == name


def test_class_scores_are_written_beside_the_others(open_study: Callable[..., Study]) -> None:
    study = open_study("clasp_pe")
    score(study)
    ledger, project = study.project.ledger, study.project
    predictor = project.predictor(project.current_model())
    foreground = ledger.volume_scores(1, ScoreKind("foreground"))
    entropy = ledger.volume_scores(1, ScoreKind("entropy", "class_1"))
    assert set(foreground) == set(entropy) == set(study.ids("training")[1:])
    for image_id in foreground:
        image = prepare_image(read_volume(study.get_image_uri(image_id)), project.recipe.preprocessing)
        statistics = predictor.sample(image.tensor, 3, 0)
        mean = statistics.mean.numpy()
        assert foreground[image_id] == (mean[1] > mean[0]).sum()
        assert entropy[image_id] == pytest.approx(float((statistics.entropy().numpy() * mean[1]).sum()), rel=1e-4)
        slices = ledger.slice_scores(1, ScoreKind("entropy", "class_1"))[image_id]
        assert sum(slices) == pytest.approx(entropy[image_id], rel=1e-4)


@pytest.mark.parametrize(("name", "rows"), [("coreset", None), ("typiclust_slices", 16)])
def test_features_of_all_training_images_are_kept_where_the_recipes_strategy_goes_by_them(
    open_study: Callable[..., Study], name: str, rows: int | None
) -> None:
    study = open_study(name)
    torn = study.ids("training")[-1]
    Path(study.get_image_uri(torn)).write_bytes(b"")
    assert score(study)["scored"] == 3
    kept = read_features(features_file(study.project.features_folder, 1, rows is not None))
    assert set(kept) == set(study.ids("training")) - {torn}
    assert {vectors.shape for vectors in kept.values()} == {(8,) if rows is None else (rows, 8)}
    assert len({vectors.tobytes() for vectors in kept.values()}) == 4
    changed = features_file(study.project.features_folder, 1, rows is not None).stat().st_mtime_ns
    score(study)
    assert features_file(study.project.features_folder, 1, rows is not None).stat().st_mtime_ns == changed


def test_other_strategies_cost_no_features(open_study: Callable[..., Study]) -> None:
    study = open_study("entropy")
    score(study)
    assert not study.project.features_folder.exists()
    reason = "model 1 has no features yet, for which its recipe must ask: drawn at random"
    assert next(build_strategy(study.project, "coreset").proposals()).reason == reason


@pytest.mark.parametrize("name", ["clasp_pe", "typiclust", "coreset_slices", "power_entropy_slices"])
def test_readers_in_turn_get_what_is_proposed_at_once(open_study: Callable[..., Study], name: str) -> None:
    study = open_study(name)
    score(study)
    at_once = [(proposal.image_id, proposal.slices) for proposal in build_strategy(study.project, name).proposals()]
    strategy, asked = build_strategies(study.project)[name], []
    for number in range(4):
        answer = strategy.next(f"reader {number}", Host(study))  # type: ignore[arg-type]
        slices = answer["query"].get("slices")
        asked.append((answer["id"], None if slices is None else tuple(slices)))
    assert asked == at_once[:4]
