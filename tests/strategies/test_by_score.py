"""Queries by scores, from a ledger filled by hand."""

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import record_annotation

from activelabel.acquisition.score import Score
from activelabel.acquisition.selection import selective_union
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.names import ScoreKind
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.recipes.strategy_traits import raced_kind
from activelabel.strategies.at_random import random_proposals
from activelabel.strategies.by_score import (
    highest_proposals,
    selective_proposals,
    selective_rounds,
)
from activelabel.strategies.catalogue import build_strategy
from activelabel.strategies.proposal import NotRankedYet, Proposal
from activelabel.strategies.ranking import current_ranking

KIND = ScoreKind("variance")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Eight images, a to h, without validation cases."""
    project = open_project("app", str(tmp_path), {"labels": "ball", "query_size": "4"})
    project.ledger.sync_images("abcdefgh", 0)
    return project


def publish(project: Project, scores: dict[str, float], region: str = "everything", again: bool = False) -> None:
    """Publish a new model (or use the same `again`) with its scores of the images."""
    if not again:
        project.ledger.publish_model("m.pt", "0" * 64, "quick", ["ball"], {}, [])
    version = len(project.ledger.models())
    for image_id, value in scores.items():
        project.ledger.record_scores(version, image_id, [Score("variance", region, "total", value)], 5, 0)


def ids(proposals: Iterator[Proposal]) -> list[str]:
    return [proposal.image_id for proposal in proposals]


def test_before_the_first_model_scored_strategies_ask_at_random_and_say_so(project: Project) -> None:
    with pytest.raises(NotRankedYet, match="no model yet: drawn at random"):
        highest_proposals(project, KIND)
    proposals = list(build_strategy(project, "variance").proposals())
    assert sorted(proposal.image_id for proposal in proposals) == list("abcdefgh")
    assert {proposal.reason for proposal in proposals} == {"no model yet: drawn at random"}


def test_the_random_order_is_that_of_the_seed_also_in_another_process(project: Project) -> None:
    first = ids(random_proposals(project, "why"))
    assert ids(random_proposals(pickle.loads(pickle.dumps(project)), "why")) == first
    record_annotation(project.ledger, first[0], "f", "0", "ann")
    assert ids(random_proposals(project, "why")) == first[1:]


def test_the_largest_score_comes_first_and_its_reason_names_it(project: Project) -> None:
    publish(project, {image_id: float(value) for value, image_id in enumerate("abcdefgh")})
    first = next(highest_proposals(project, KIND))
    assert (first.image_id, first.score, first.model_version) == ("h", 7.0, 1)
    assert first.reason == "variance 7 by model 1, the largest of the cases left"


def test_while_a_new_model_is_scoring_the_one_before_it_is_asked(project: Project) -> None:
    publish(project, {image_id: float(value) for value, image_id in enumerate("abcdefgh")})
    publish(project, {"a": 100.0})
    first = next(highest_proposals(project, KIND))
    assert (first.image_id, first.model_version) == ("h", 1)
    assert "while model 2 is still scoring" in first.reason


def test_the_first_model_is_asked_as_far_as_it_has_scored(project: Project) -> None:
    publish(project, {"c": 1.0, "d": 2.0})
    assert ids(highest_proposals(project, KIND)) == ["d", "c"]
    ranking = current_ranking(project, KIND)
    assert ranking.caveat == ", as far as they are scored"


def test_validation_cases_take_turns_with_the_others(tmp_path: Path) -> None:
    project = open_project("app", str(tmp_path), {"labels": "ball"})
    project.ledger.sync_images([f"case_{number}" for number in range(12)], 3)
    validation = set(project.ledger.pool("validation"))
    asked = []
    for _ in range(8):
        asked.append(next(build_strategy(project, "random_volumes").proposals()).image_id)
        record_annotation(project.ledger, asked[-1], "f", "0", "ann")
    assert [image_id in validation for image_id in asked] == [False, True, False, True, False, True, False, False]


def test_selective_asks_by_target_and_boundary_in_turn_and_says_which(project: Project) -> None:
    publish(project, dict(zip("abcdefgh", [8, 7, 6, 5, 4, 3, 2, 1], strict=True)), "target")
    publish(project, dict(zip("abcdefgh", [1, 8, 2, 3, 7, 4, 5, 6], strict=True)), "boundary", again=True)
    # A round of four: a and b by target, b and e by boundary; b is in both, so target gives c. Then d, f and h, g.
    proposals = list(selective_proposals(project, "variance"))
    assert [proposal.image_id for proposal in proposals] == ["a", "e", "b", "c", "d", "h", "f", "g"]
    assert "over the target 8 by model 1, next in the target list" in proposals[0].reason
    assert "over the boundary 7 by model 1, next in the boundary list" in proposals[1].reason


def test_selective_passes_over_images_asked_for_since_the_ranking(project: Project) -> None:
    publish(project, dict(zip("abcdefgh", [8, 7, 6, 5, 4, 3, 2, 1], strict=True)), "target")
    publish(project, dict(zip("abcdefgh", [1, 8, 2, 3, 7, 4, 5, 6], strict=True)), "boundary", again=True)
    record_annotation(project.ledger, "a", "f", "0", "ann")
    project.ledger.grant_lease("bob", "e", 60, "random")
    assert ids(selective_proposals(project, "variance")) == ["b", "c", "d", "h", "f", "g"]


@pytest.fixture
def raced(tmp_path: Path) -> Project:
    """A project after a race: a, b and c have few repeats and the largest scores, d to h all 20."""
    project = open_project("app", str(tmp_path), {"labels": "ball", "query_size": "2", "racing": "true"})
    project.ledger.sync_images("abcdefgh", 0)
    project.ledger.publish_model("m.pt", "0" * 64, "quick", ["ball"], {}, [])
    for value, image_id in enumerate("hgfedcba"):
        scores = [Score("variance", region, "total", float(value)) for region in ("everything", "target", "boundary")]
        project.ledger.record_scores(1, image_id, scores, 4 if image_id in "abc" else 20, 0)
    return project


def test_after_a_race_images_with_all_repeats_come_first_and_the_reason_says_so(raced: Project) -> None:
    proposals = list(highest_proposals(raced, KIND))
    assert ids(iter(proposals)) == list("defghabc")
    assert proposals[0].reason == "variance 4 by model 1, the largest of the cases left that had all 20 repeats"
    assert proposals[5].reason.endswith("of the cases left that dropped out of the race after 4 repeats")
    for image_id in "defgh":
        record_annotation(raced.ledger, image_id, "f", "0", "ann")
    assert ids(highest_proposals(raced, KIND)) == list("abc")


def test_after_a_race_selective_compares_equal_repeats_only(raced: Project) -> None:
    assert ids(selective_proposals(raced, "variance")) == list("defghabc")


def test_without_a_race_the_reason_does_not_mention_repeats(project: Project) -> None:
    publish(project, {"a": 1.0})
    assert "repeats" not in next(highest_proposals(project, KIND)).reason


scores = st.dictionaries(st.sampled_from("abcdefghij"), st.floats(0, 1), min_size=1)


@given(scores, scores, st.integers(1, 6))
def test_rounds_are_unions_and_together_hold_every_image_once(
    target: dict[str, float], boundary: dict[str, float], size: int
) -> None:
    order = [image_id for image_id, _ in selective_rounds(target, boundary, size)]
    assert sorted(order) == sorted(target.keys() | boundary.keys())
    assert set(order[:size]) == set(selective_union(target, boundary, size))


@pytest.mark.parametrize("measure", MEASURES)
def test_each_measure_is_a_strategy_over_the_object_and_goes_by_nothing_else(project: Project, measure: str) -> None:
    """The largest images have the largest totals, and the smallest the largest means over the object."""
    project.ledger.publish_model("m.pt", "0" * 64, "quick", ["ball"], {}, [])
    for value, image_id in enumerate("abcdefgh"):
        scores = [Score(measure, "everything", "total", float(value)), Score(measure, "object", "mean", -float(value))]
        scores.append(Score(measure, "object", "total", float(value)))
        project.ledger.record_scores(1, image_id, scores, 5, 0)
    strategies = {name: build_strategy(project, name) for name in (measure, f"object_{measure}")}
    assert ids(strategies[measure].proposals()) == list("hgfedcba")
    assert ids(strategies[f"object_{measure}"].proposals()) == list("abcdefgh")
    assert raced_kind(f"object_{measure}") == ScoreKind(measure, "object", "mean")


def test_a_model_that_scored_before_there_was_the_region_says_so(project: Project) -> None:
    publish(project, dict.fromkeys("abcdefgh", 1.0))
    first = next(build_strategy(project, "object_variance").proposals())
    assert first.reason == "model 1 has scored before there were such scores (variance, object): drawn at random"
