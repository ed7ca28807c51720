"""Foreground-aware random, from a ledger filled by hand."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from recorded import record_annotation
from scipy.stats import binomtest
from warm_recipe import write_warm_recipe

from activelabel.acquisition.foreground_share import foreground_aware
from activelabel.acquisition.score import Score
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.strategies.catalogue import build_strategy
from activelabel.strategies.foreground import (
    FOREGROUND,
    foreground_random_proposals,
    foreground_random_slice_proposals,
)
from activelabel.strategies.proposal import Proposal

IMAGES = "abcdefgh"
VOXELS = dict(zip(IMAGES, [0.0, 0.0, 0.0, 4.0, 8.0, 16.0, 32.0, 64.0], strict=True))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Eight images of four slices, without validation cases, and a proxy task with no cold start."""
    recipe = write_warm_recipe(tmp_path, cold_start='"none"')
    project = open_project("app", str(tmp_path), {"labels": "ball", "recipe": recipe, "query_size": "3"})
    project.ledger.sync_images(IMAGES, 0)
    for image_id in IMAGES:
        project.ledger.fix_slices(image_id, 2, (9, 9, 4))
    return project


def publish(project: Project, images: str = IMAGES, kind: str = "task", old: bool = False) -> None:
    """Publish a new model that predicts half of the foreground in slice 1 and half in slice 2."""
    version = project.ledger.publish_model("m.pt", "0" * 64, "tiny", ["ball"], {}, [], kind=kind).version
    for image_id in images:
        half = VOXELS[image_id] / 2
        scores = [Score("variance", "everything", "total", 1.0)]
        scores += (
            [] if old else [Score.of_kind(FOREGROUND, 2 * half, None if kind == "proxy" else (0.0, half, half, 0.0))]
        )
        project.ledger.record_scores(version, image_id, scores, 3, 0)


def ids(proposals: Iterator[Proposal]) -> list[str]:
    return [proposal.image_id for proposal in proposals]


def test_foreground_volumes_are_those_of_the_draw_and_the_reason_says_what_for(project: Project) -> None:
    publish(project)
    proposals = list(foreground_random_proposals(project))
    expected = list(foreground_aware(VOXELS, "0:1:foreground"))
    assert ids(iter(proposals)) == [image_id for image_id, _ in expected]
    for proposal, (image_id, for_foreground) in zip(proposals, expected, strict=True):
        assert proposal.model_version == 1
        assert proposal.score == (VOXELS[image_id] if for_foreground else None)
        if for_foreground:
            voxels = f"{VOXELS[image_id]:.0f} voxels of foreground by model 1, drawn in proportion to them"
            assert proposal.reason == voxels
        else:
            assert proposal.reason == "drawn from all cases, others for their foreground by model 1"


def test_slices_with_foreground_have_two_thirds_of_the_places_and_a_part_of_the_others(project: Project) -> None:
    """The first slice is drawn for foreground with probability 0.66, else from all 32 slices, of which 10 have some."""
    publish(project)
    with_foreground = 0
    for seed in range(120):
        settings = project.settings.model_copy(update={"seed": seed})
        recipe = project.recipe.model_copy(update={"query": project.recipe.query.model_copy(update={"size": 1})})
        proposal = next(
            foreground_random_slice_proposals(Project(settings, recipe, project.labels, project.folder, project.ledger))
        )
        assert proposal.slices is not None
        with_foreground += VOXELS[proposal.image_id] > 0 and proposal.slices[0] in (1, 2)
    assert binomtest(with_foreground, 120, 0.66 + 0.34 * 10 / 32).pvalue > 1e-3


def test_the_reason_of_a_round_of_slices_says_what_it_was_drawn_from(project: Project) -> None:
    publish(project)
    proposals = list(foreground_random_slice_proposals(project))
    assert sum(len(proposal.slices or ()) for proposal in proposals) == 32
    for proposal in proposals:
        assert proposal.model_version == 1
        assert proposal.reason.endswith("by model 1, at random, two thirds among those with foreground")
        if proposal.score is not None:
            assert proposal.score == VOXELS[proposal.image_id] / 2
            assert f"voxels of foreground, up to {proposal.score:.4g}" in proposal.reason


@pytest.mark.parametrize("propose", [foreground_random_proposals, foreground_random_slice_proposals])
def test_asked_one_by_one_the_order_is_that_of_all_at_once(
    project: Project, propose: Callable[[Project], Iterator[Proposal]]
) -> None:
    publish(project)
    at_once = [(proposal.image_id, proposal.slices) for proposal in propose(project)]
    asked = []
    while len(asked) < len(at_once):
        first = next(propose(pickle.loads(pickle.dumps(project))))
        asked.append((first.image_id, first.slices))
        project.ledger.grant_lease(f"reader {len(asked)}", first.image_id, 60, "s", slices=first.slices)
    assert asked == at_once


def test_before_a_model_of_the_task_the_proxy_model_tells_foreground(project: Project) -> None:
    publish(project, images=IMAGES[2:], kind="proxy")
    proposals = list(foreground_random_proposals(project))
    drawn = foreground_aware({image_id: VOXELS[image_id] for image_id in IMAGES[2:]}, "0:1:foreground")
    assert ids(iter(proposals))[:6] == [image_id for image_id, _ in drawn]
    assert any("voxels of foreground by proxy model 1" in proposal.reason for proposal in proposals)
    assert set(ids(iter(proposals))[6:]) == {"a", "b"}
    assert proposals[-1].reason == "no foreground is known by proxy model 1: drawn at random"
    assert ids(foreground_random_slice_proposals(project)) == ids(iter(proposals))  # the recipe starts with volumes
    publish(project)
    assert next(foreground_random_proposals(project)).model_version == 2
    assert next(foreground_random_slice_proposals(project)).slices is not None


@pytest.mark.parametrize("name", ["foreground_random", "foreground_random_slices"])
def test_without_known_foreground_foreground_random_asks_as_the_recipe_starts(project: Project, name: str) -> None:
    strategy = build_strategy(project, name)
    assert {proposal.reason for proposal in strategy.proposals()} == {"no model yet: drawn at random"}
    publish(project, old=True)
    assert {proposal.reason for proposal in strategy.proposals()} == {
        "model 1 has scored before there were such scores (foreground, everything): drawn at random"
    }


def test_foreground_slices_begin_with_slices_if_the_recipe_does(project: Project) -> None:
    query = project.recipe.query.model_copy(update={"start_strategy": "random_slices"})
    recipe = project.recipe.model_copy(update={"query": query})
    slices = Project(project.settings, recipe, project.labels, project.folder, project.ledger)
    publish(slices, kind="proxy")
    proposals = list(build_strategy(slices, "foreground_random_slices").proposals())
    assert {proposal.reason for proposal in proposals} == {"no model yet: drawn at random"}
    assert all(proposal.slices for proposal in proposals)


def test_when_no_training_case_is_left_validation_cases_are_asked_for(tmp_path: Path) -> None:
    project = open_project("app", str(tmp_path), {"labels": "ball"})
    project.ledger.sync_images(IMAGES, 3)
    version = project.ledger.publish_model("m.pt", "0" * 64, "quick", ["ball"], {}, []).version
    for image_id in project.ledger.pool("training"):
        project.ledger.record_scores(version, image_id, [Score.of_kind(FOREGROUND, 1.0)], 3, 0)
        record_annotation(project.ledger, image_id, "f", "0", "ann")
    assert set(ids(build_strategy(project, "foreground_random").proposals())) == set(project.ledger.pool("validation"))
