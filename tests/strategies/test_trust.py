"""Trust in uncertainty by the labels that came back: the verdict, its reason, and random queries instead."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import record_annotation

from activelabel.acquisition.score import Score
from activelabel.names import ScoreKind
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.strategies.at_random import random_proposals
from activelabel.strategies.by_score import highest_proposals
from activelabel.strategies.catalogue import build_strategy
from activelabel.strategies.proposal import Proposal
from activelabel.strategies.trust import Trust, proposals_by_uncertainty, read_trust

KIND = ScoreKind("variance")
IMAGES = [f"case_{number:02d}" for number in range(12)]
SAID = (
    "where the model is uncertain says little of where it is wrong "
    "(rank correlation 0.05 over the last 3 labels, below 0.1)"
)


@pytest.fixture
def open_study(tmp_path: Path) -> Callable[..., Project]:
    """A project of twelve images, three for validation, with a model that has scored those for training."""

    def open_with(**conf: str) -> Project:
        project = open_project("app", str(tmp_path), {"labels": "ball", "uncertainty_window": "3", **conf})
        project.ledger.sync_images(IMAGES, 3)
        project.ledger.publish_model("m.pt", "0" * 64, "quick", ["ball"], {}, [])
        for value, image_id in enumerate(project.ledger.pool("training")):
            project.ledger.record_scores(1, image_id, [Score.of_kind(KIND, float(value))], 5, 0)
        return project

    return open_with


def come_back(project: Project, *worths: float | None) -> None:
    """Record labels of training cases whose comparison gives the uncertainty this worth."""
    for worth in worths:
        label = record_annotation(project.ledger, project.ledger.pool("training")[0], "f", "0", "ann")
        # Half of many voxels are wrong: the largest Spearman's correlation there can be is √(3/4).
        correlation = None if worth is None else worth * 0.75**0.5
        wrong = 0 if worth is None else 500_000
        project.ledger.record_uncertainty_check(
            label.id, 1, "variance", correlation, wrong_voxels=wrong, voxels=1_000_000
        )


def labelled(project: Project) -> set[str]:
    return {annotation.image_id for annotation in project.ledger.annotations()}


def proposed(project: Project) -> list[Proposal]:
    """Return the proposals by the highest score, or at random if uncertainty is not trusted."""

    def by_uncertainty(project: Project) -> Iterator[Proposal]:
        return highest_proposals(project, KIND)

    return list(
        proposals_by_uncertainty(project, by_uncertainty, lambda project: random_proposals(project, "at random"))
    )


def test_uncertainty_is_trusted_without_labels(open_study: Callable[..., Project]) -> None:
    assert read_trust(open_study()).as_json() == {"last": [], "mean": None, "labels": 0, "trusted": True}


def test_the_worth_is_the_mean_over_the_last_labels_with_a_correlation(open_study: Callable[..., Project]) -> None:
    project = open_study()
    come_back(project, 0.9, -0.6, None, 0.3, 0.0, None)
    verdict = read_trust(project).as_json()
    assert verdict["last"] == pytest.approx([-0.6, 0.3, 0.0], abs=1e-6)
    assert verdict["mean"] == pytest.approx(-0.1, abs=1e-6)
    assert (verdict["labels"], verdict["trusted"]) == (4, False)


def test_with_fewer_labels_than_the_window_no_verdict_is_given(open_study: Callable[..., Project]) -> None:
    project = open_study()
    come_back(project, -1.0, None, -1.0)
    assert read_trust(project).trusted
    assert not any("doubt" in proposal.reason for proposal in proposed(project))
    come_back(project, -1.0)
    assert not read_trust(project).trusted


@given(st.lists(st.floats(-1, 1), max_size=8), st.integers(1, 5), st.floats(-1, 1))
def test_uncertainty_is_distrusted_only_by_a_full_window_below_the_threshold(
    worths: list[float], window: int, least: float
) -> None:
    trust = Trust(tuple(worths[-window:]), len(worths), window, least)
    full = len(worths) >= window
    assert trust.trusted == (not full or trust.mean >= least)
    if all(worth < least for worth in worths) and full:
        assert not trust.trusted
    if all(worth >= least for worth in worths):
        assert trust.trusted or trust.mean == pytest.approx(least)


def test_a_mean_worth_at_the_threshold_is_trusted() -> None:
    assert Trust((0.0, 0.5), 2, 2, 0.25).trusted
    assert not Trust((0.0, 0.5), 2, 2, 0.26).trusted


def test_a_distrusted_strategy_asks_for_the_same_and_the_reason_says_so(open_study: Callable[..., Project]) -> None:
    project = open_study()
    come_back(project, 0.0, 0.0)
    before = {proposal.image_id: proposal for proposal in proposed(project) if proposal.score is not None}
    come_back(project, 0.15)
    after = [proposal for proposal in proposed(project) if proposal.score is not None]
    assert [proposal.image_id for proposal in after] == [
        image_id for image_id in before if image_id not in labelled(project)
    ]
    assert after[0].reason == f"{before[after[0].image_id].reason}; but {SAID}"


def test_strategies_without_uncertainty_keep_their_own_reason(open_study: Callable[..., Project]) -> None:
    project = open_study()
    come_back(project, 0.0, 0.0, 0.15)
    validation = project.ledger.pool("validation")
    reasons = {proposal.image_id: proposal.reason for proposal in build_strategy(project, "variance").proposals()}
    assert validation
    assert {reasons[image_id] for image_id in validation} == {
        "a validation case, chosen once and never trained on: it measures the model"
    }


def test_a_distrusted_strategy_is_replaced_by_random_if_allowed_and_the_reason_says_why(
    open_study: Callable[..., Project],
) -> None:
    project = open_study(fallback="true")
    come_back(project, 0.0, 0.0)
    assert any(proposal.score is not None for proposal in proposed(project))
    come_back(project, 0.15)
    random = list(random_proposals(project, "at random"))
    instead = proposed(project)
    assert [proposal.image_id for proposal in instead] == [proposal.image_id for proposal in random]
    validation = set(project.ledger.pool("validation"))
    for proposal, at_random in zip(instead, random, strict=True):
        ending = "" if proposal.image_id in validation else f", not by uncertainty: {SAID}"
        assert proposal.reason == at_random.reason + ending


def test_uncertainty_is_trusted_again_after_its_worth_rises(open_study: Callable[..., Project]) -> None:
    project = open_study(fallback="true")
    come_back(project, 0.0, 0.0, 0.0)
    assert not read_trust(project).trusted
    come_back(project, 0.4)
    assert read_trust(project).trusted
    assert any("the largest of the cases left" in proposal.reason for proposal in proposed(project))


def test_the_settings_give_the_window_and_the_threshold_of_trust(open_study: Callable[..., Project]) -> None:
    project = open_study(uncertainty_window="2", min_correlation="0.95")
    come_back(project, 0.9, 0.9)
    trust = read_trust(project)
    assert not trust.trusted
    assert str(trust).endswith("(rank correlation 0.90 over the last 2 labels, below 0.95)")
