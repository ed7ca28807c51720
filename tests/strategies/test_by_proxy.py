"""Queries by a proxy model, from a ledger and features filled by hand."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from recorded import record_annotation
from warm_recipe import write_warm_recipe

from activelabel.acquisition.score import Score
from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.project.models.features import features_file, write_features
from activelabel.project.opening import open_project, plan_project
from activelabel.project.project import Project
from activelabel.recipes import recipe_names
from activelabel.strategies.by_proxy import proxy_rank_proposals
from activelabel.strategies.catalogue import build_strategies, build_strategy, strategy_names
from activelabel.strategies.proposal import Proposal
from activelabel.strategies.spread import coreset_proposals, typiclust_proposals
from activelabel.strategies.start import first_volumes

SPREAD = {"typiclust": typiclust_proposals, "coreset": coreset_proposals}
# Two clusters, of four and three, and h alone.
PLACES = {"a": 0.0, "b": 1.0, "c": 2.0, "d": 4.5, "e": 20.0, "f": 21.0, "g": 23.0, "h": 60.0}


@pytest.fixture
def open_warm(tmp_path: Path) -> Callable[..., Project]:
    """A project of eight images, a to h, without validation cases; two to start with."""

    def open_with(validation_cases: int = 0, strategy: str = "variance", **proxy: object) -> Project:
        recipe = write_warm_recipe(tmp_path, strategy, **proxy)
        project = open_project("app", str(tmp_path), {"labels": "ball", "recipe": recipe})
        project.ledger.sync_images("abcdefgh", validation_cases)
        return project

    return open_with


def publish(project: Project, scores: Mapping[str, float], measure: str = "variance") -> None:
    """Publish a proxy model with its scores of the images; a score below 0 means no pseudo-label."""
    version = project.ledger.publish_model("p.pt", "0" * 64, "tiny", ["foreground"], {}, [], kind="proxy").version
    for image_id, value in scores.items():
        score = Score(measure, "everything", "mean", max(value, 0.0))
        project.ledger.record_scores(version, image_id, [score], 0 if value < 0 else 3, 0)


def place(project: Project, places: Mapping[str, float]) -> None:
    """Write features on a line for proxy model 1."""
    vectors = {image_id: np.array([at, 0.0], np.float32) for image_id, at in places.items()}
    write_features(features_file(project.features_folder, 1), vectors)


def ids(proposals: Iterator[Proposal]) -> list[str]:
    return [proposal.image_id for proposal in proposals]


def annotate(project: Project, *image_ids: str) -> None:
    for image_id in image_ids:
        record_annotation(project.ledger, image_id, "f", "0", "ann")


@pytest.mark.parametrize("name", ["proxy_rank", *SPREAD])
def test_before_the_proxy_model_is_ready_cases_are_drawn_at_random_and_the_reason_says_so(
    open_warm: Callable[..., Project], name: str
) -> None:
    project = open_warm()
    strategy = build_strategy(project, name)
    drawn = list(strategy.proposals())
    assert sorted(ids(iter(drawn))) == list("abcdefgh")
    assert {proposal.reason for proposal in drawn} == {"no proxy model yet: drawn at random"}
    publish(project, {})
    drawn = list(strategy.proposals())
    assert sorted(ids(iter(drawn))) == list("abcdefgh")
    assert all(proposal.reason.startswith("proxy model 1 has ") for proposal in drawn)
    assert all(proposal.reason.endswith(" yet: drawn at random") for proposal in drawn)


def test_the_least_certain_image_comes_first_and_images_without_a_pseudo_label_last(
    open_warm: Callable[..., Project],
) -> None:
    project = open_warm()
    publish(project, {"a": 0.1, "b": 0.3, "c": -1, "d": 0.2, "e": 0.0, "f": 0.6, "g": 0.5, "h": 0.4})
    proposals = list(proxy_rank_proposals(project))
    assert ids(iter(proposals)) == list("fghbdaec")
    assert (proposals[0].score, proposals[0].model_version) == (0.6, 1)
    assert proposals[0].reason == "mean variance 0.6 by proxy model 1, the largest of the cases left"
    assert proposals[-1].reason.startswith("it has no pseudo-label")
    annotate(project, "f", "h")
    assert ids(proxy_rank_proposals(project)) == list("gbdaec")


def test_the_proxy_strategy_ranks_by_the_measure_of_the_recipe(open_warm: Callable[..., Project]) -> None:
    project = open_warm(measure='"entropy"')
    publish(project, {"a": 0.1, "b": 0.3}, "entropy")
    proposals = list(proxy_rank_proposals(project))
    assert ids(iter(proposals)) == ["b", "a"]
    assert proposals[0].reason.endswith("by proxy model 1, the largest of the cases left, as far as they are scored")


def test_typiclust_asks_for_one_of_each_cluster_then_for_those_of_the_next_round(
    open_warm: Callable[..., Project],
) -> None:
    project = open_warm()
    publish(project, {})
    place(project, {image_id: PLACES[image_id] for image_id in "abcdefg"})
    proposals = list(typiclust_proposals(project))
    # Two to start with, of the clusters abcd and efg: the least mean distance to the others is that of b and of c,
    # 5.5/3, and of f, 1.5. Two a round: of acd and eg that of c, 2.25, and of both e and g; then a of ad, and g.
    assert ids(iter(proposals)) == ["b", "f", "c", "e", "a", "g", "d"]
    assert proposals[0].reason == "the most typical of its cluster, by the features of proxy model 1"
    annotate(project, "b")
    assert ids(typiclust_proposals(project)) == ["f", "c", "e", "a", "g", "d"]


def test_coreset_asks_for_the_farthest_of_all_that_were_asked_for(open_warm: Callable[..., Project]) -> None:
    project = open_warm()
    publish(project, {})
    place(project, PLACES)
    # The mean is 16.4, next to e; then h at 40, a at 20, d at 4.5, ...
    assert ids(coreset_proposals(project))[:4] == ["e", "h", "a", "d"]
    annotate(project, "e")
    project.ledger.grant_lease("bob", "h", 30, "coreset")
    proposals = list(coreset_proposals(project))
    assert [proposal.image_id for proposal in proposals[:2]] == ["a", "d"]
    assert proposals[0].reason == "the farthest from all that were asked for so far, by the features of proxy model 1"


@pytest.mark.parametrize("name", SPREAD)
def test_images_without_features_come_last_and_then_the_validation_cases(
    open_warm: Callable[..., Project], name: str
) -> None:
    project = open_warm(validation_cases=2)
    publish(project, {})
    training, validation = project.ledger.pool("training"), project.ledger.pool("validation")
    place(project, {image_id: PLACES[image_id] for image_id in training[1:]})
    strategy = build_strategy(project, name)
    assert sorted(ids(strategy.proposals())) == training[1:]
    annotate(project, *training[1:])
    # Fewer validation cases than others were asked for: they are due. Only an image without features is left besides.
    assert ids(strategy.proposals())[-1] == training[0]
    assert set(ids(strategy.proposals())[:-1]) == set(validation)
    annotate(project, training[0], validation[0])
    assert set(ids(strategy.proposals())) == {validation[1]}


@pytest.mark.parametrize("name", ["proxy_rank", *SPREAD])
@pytest.mark.parametrize(("others", "in_turn"), [(2, [False, True, True, False]), (1, [False, True, True])])
def test_validation_cases_take_turns_and_are_asked_for_when_nothing_else_is_left(
    open_warm: Callable[..., Project], name: str, others: int, in_turn: list[bool]
) -> None:
    project = open_warm(validation_cases=2)
    training, validation = project.ledger.pool("training"), project.ledger.pool("validation")
    project.ledger.sync_images([*training[:others], *validation], 2)  # the files of all others vanish
    publish(project, {image_id: PLACES[image_id] for image_id in training})
    place(project, PLACES)
    strategy = build_strategy(project, name)
    asked = []
    for _ in in_turn:
        asked.append(next(strategy.proposals()).image_id)
        annotate(project, asked[-1])
    assert [image_id in validation for image_id in asked] == in_turn


@pytest.mark.parametrize("name", ["proxy_rank", *SPREAD])
def test_the_first_queries_of_any_strategy_are_the_cold_starts(open_warm: Callable[..., Project], name: str) -> None:
    project = open_warm(cold_start=f'"{name}"')
    publish(project, {image_id: PLACES[image_id] for image_id in PLACES})
    place(project, PLACES)
    expected = list(build_strategy(project, name).proposals())
    for strategy in ("variance", "mean_variance", "selective_entropy", "uncertainty_slices"):
        assert list(build_strategy(project, strategy).proposals()) == expected
    assert list(first_volumes(project, "why")) == expected


def test_without_a_cold_start_the_first_queries_are_random(open_warm: Callable[..., Project]) -> None:
    project = open_warm(cold_start='"none"')
    publish(project, PLACES)
    assert {proposal.reason for proposal in first_volumes(project, "why")} == {"why"}


def test_the_cold_start_ends_when_the_first_model_has_scored(open_warm: Callable[..., Project]) -> None:
    project = open_warm()
    publish(project, PLACES)
    project.ledger.publish_model("m.pt", "0" * 64, "tiny", ["ball"], {}, [])
    assert ids(build_strategy(project, "variance").proposals())[0] == "h"
    for value, image_id in enumerate("hgfedcba"):
        project.ledger.record_scores(2, image_id, [Score("variance", "everything", "total", value)], 3, 0)
    assert ids(build_strategy(project, "variance").proposals())[0] == "a"
    assert ids(proxy_rank_proposals(project))[0] == "h"


def test_strategies_that_ask_a_proxy_model_are_there_where_the_recipe_has_one(
    open_warm: Callable[..., Project], tmp_path: Path
) -> None:
    project = open_warm(strategy="proxy_rank")
    built = build_strategies(project)
    assert built.keys() == {*strategy_names(project.recipe), "recipe", "random"}
    assert "strategy, proxy_rank, as 'recipe'" in built["random"].description
    other = open_project("app", str(tmp_path), {"labels": "ball", "project_dir": str(tmp_path / "quick")})
    assert built.keys() - build_strategies(other).keys() == {"proxy_rank"}


@pytest.mark.parametrize("name", recipe_names())
def test_the_strategy_of_each_recipe_is_there(tmp_path: Path, name: str) -> None:
    project = plan_project("app", str(tmp_path), {"labels": "ball", "recipe": name})
    built = build_strategies(project)
    assert f"own strategy: {project.recipe.query.strategy}, as the recipe {name}" in built["recipe"].description
    assert f"own strategy, {project.recipe.query.strategy}, as 'recipe'" in built["random"].description


def test_a_strategy_that_does_not_exist_is_refused_with_one_line(
    open_warm: Callable[..., Project], tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match=r"recipe warm\.toml: strategy 'oracle' does not exist: use one of blend, "):
        open_warm(strategy="oracle")
    with pytest.raises(NotFoundError, match=r"^strategy 'oracle' does not exist: use one of \w+, .*coreset"):
        plan_project("app", str(tmp_path), {"labels": "ball", "strategy": "oracle"})
    with pytest.raises(
        InvalidInputError, match=r"^--conf strategy proxy_rank asks a proxy model, and the recipe quick has none: use a"
    ):
        plan_project("app", str(tmp_path), {"labels": "ball", "strategy": "proxy_rank"})
