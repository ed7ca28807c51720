"""The twelve settings of nath2022's supplement in a project: the model that asks first and later, and its measure."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from warm_recipe import write_warm_recipe

from activelabel.acquisition.score import Score
from activelabel.loop.due import Work, read_situation, work_due
from activelabel.networks import build_network
from activelabel.project.models.proxy import initial_weights
from activelabel.project.models.publishing import publish_model
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.store.records.models import ModelKind
from activelabel.strategies.catalogue import build_strategies
from activelabel.strategies.proposal import Proposal

IMAGES = "abcdefgh"


@dataclass(frozen=True)
class Setting:
    """A row of supplementary table 1: its columns, and its acquisition function."""

    name: str
    proxy_ranking: bool
    pretrained_weights: bool
    semi_supervised: bool
    strategy: str


SETTINGS = [
    Setting("Rand", False, False, False, "random_volumes"),
    Setting("Var", False, False, False, "mean_variance"),
    Setting("Ent", False, False, False, "mean_entropy"),
    Setting("Var_Semi", False, False, True, "mean_variance"),
    Setting("Ent_Semi", False, False, True, "mean_entropy"),
    Setting("Rand_Semi", False, False, True, "random_volumes"),
    Setting("ProxyRank", True, True, False, "proxy_rank"),
    Setting("ProxyRank_Semi", True, True, True, "proxy_rank"),
    Setting("ProxyRank_Var", True, True, False, "mean_variance"),
    Setting("ProxyRank_Var_Semi", True, True, True, "mean_variance"),
    Setting("ProxyRank_Ent", True, True, False, "mean_entropy"),
    Setting("ProxyRank_Ent_Semi", True, True, True, "mean_entropy"),
]


def open_setting(folder: Path, setting: Setting) -> Project:
    """A project of eight images under one recipe file, in which only the four flags differ."""
    recipe = Path(
        write_warm_recipe(
            folder,
            setting.strategy,
            cold_start='"proxy_rank"' if setting.proxy_ranking else '"none"',
            pretrained_weights=str(setting.pretrained_weights).lower(),
        )
    )
    enabled = str(setting.semi_supervised).lower()
    recipe.write_text(
        f"{recipe.read_text(encoding='utf-8')}\n[semi_supervised]\nenabled = {enabled}\n", encoding="utf-8"
    )
    project = open_project("app", str(folder), {"labels": "ball", "recipe": str(recipe)})
    project.ledger.sync_images(IMAGES, 0)
    return project


def due(project: Project) -> Work | None:
    return work_due(read_situation(project, "variance"), project.thresholds)


def publish(project: Project, kind: ModelKind) -> None:
    """Publish a model of random weights, most uncertain of `a` by its variance and of `h` by its entropy.

    For a proxy model the two are exchanged.
    """
    network = build_network(project.recipe.network, project.description_of(kind).classes)
    version = publish_model(project, network.state_dict(), {}, [], kind).version
    falling, rising = ("variance", "entropy") if kind == "task" else ("entropy", "variance")
    for place, image_id in enumerate(IMAGES):
        scores = [
            Score(falling, "everything", "mean", 8.0 - place),
            Score(rising, "everything", "mean", 1.0 + place),
            Score("variance", "everything", "total", 1.0),
        ]
        project.ledger.record_scores(version, image_id, scores, 3, 0)


def next_query(project: Project) -> Proposal:
    return next(build_strategies(project)["random"].proposals())  # type: ignore[attr-defined]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_each_of_the_twelve_settings_does_what_its_row_says(tmp_path: Path, setting: Setting) -> None:
    project = open_setting(tmp_path, setting)
    assert project.recipe.fine_tunes == setting.semi_supervised

    if setting.proxy_ranking or setting.pretrained_weights:
        assert due(project) is Work.TRAIN_PROXY
        publish(project, "proxy")
    assert due(project) is None

    weights = initial_weights(project)
    assert (weights is not None) == setting.pretrained_weights
    if weights is not None:
        proxy = project.network(project.ledger.model(1)).state_dict()
        assert sum(torch.equal(weights[name], proxy[name]) for name in proxy) >= len(proxy) - 2

    first = next_query(project)
    if setting.proxy_ranking:
        assert (first.image_id, first.reason.startswith("mean variance 8 by proxy model 1")) == ("h", True)
    else:
        assert first.reason in ("no model yet: drawn at random", "drawn at random from the pool")

    publish(project, "task")
    later = next_query(project)
    version = project.ledger.latest_model().version  # type: ignore[union-attr]
    assert (later.reason.partition(",")[0], later.image_id if later.score else "any") == {
        "random_volumes": ("drawn at random from the pool", "any"),
        "mean_variance": (f"variance 8 by model {version}", "a"),
        "mean_entropy": (f"entropy 8 by model {version}", "h"),
        "proxy_rank": ("mean variance 8 by proxy model 1", "h"),
    }[setting.strategy]
