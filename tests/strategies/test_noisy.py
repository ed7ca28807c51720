"""Power noise and ClaSP PE, from a ledger filled by hand."""

import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from recorded import record_annotation
from scipy.stats import chisquare

from activelabel.acquisition.power_noise import power_order
from activelabel.acquisition.score import Score
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.strategies.catalogue import build_strategy
from activelabel.strategies.noisy import (
    clasp_proposals,
    clasp_slice_proposals,
    power_proposals,
    power_slice_proposals,
)
from activelabel.strategies.proposal import NotRankedYet, Proposal

IMAGES = "abcdefgh"
# Sums so far apart that noise of 1/100 does not change their order.
PLAIN = dict(zip(IMAGES, [2.0**place for place in range(8)], strict=True))
LIVER = dict(zip(IMAGES, [2.0**place for place in (7, 6, 5, 4, 3, 2, 1, 0)], strict=True))
TUMOUR = dict(zip(IMAGES, [2.0**place for place in (0, 5, 6, 7, 4, 3, 2, 1)], strict=True))
Propose = Callable[[Project], Iterator[Proposal]]
VOLUMES = [partial(power_proposals, measure="mutual_information"), clasp_proposals]
SLICES = [partial(power_slice_proposals, measure="mutual_information"), clasp_slice_proposals]
NAMES = ["power_bald", "clasp_pe", "power_bald_slices", "clasp_pe_slices"]


@pytest.fixture
def open_with(tmp_path: Path) -> Callable[..., Project]:
    """A project of eight images of four slices, without validation cases, and two labels; three queries a round."""

    def open_(**conf: str) -> Project:
        folder = str(tmp_path / f"project{len(list(tmp_path.iterdir()))}")
        settings = {"labels": "liver,tumour", "query_size": "3", "project_dir": folder, **conf}
        project = open_project("app", str(tmp_path), settings)
        project.ledger.sync_images(IMAGES, 0)
        for image_id in IMAGES:
            project.ledger.fix_slices(image_id, 2, (9, 9, 4))
        return project

    return open_


def publish(project: Project, old: bool = False, repeats: dict[str, int] | None = None) -> None:
    """Publish a new model that has scored all images; an `old` one has no entropy of classes."""
    version = project.ledger.publish_model("m.pt", "0" * 64, "quick", ["liver", "tumour"], {}, []).version
    for image_id in IMAGES:
        values = {"everything": PLAIN} if old else {"everything": PLAIN, "class_1": LIVER, "class_2": TUMOUR}
        scores = [
            Score("entropy", region, "total", of[image_id], tuple(of[image_id] * 0.5**index for index in range(4)))
            for region, of in values.items()
        ]
        for measure in ("mutual_information", "variance"):
            value = PLAIN[image_id]
            scores.append(Score(measure, "everything", "total", value, (value, value / 2, value / 4, value / 8)))
        project.ledger.record_scores(version, image_id, scores, (repeats or {}).get(image_id, 5), 0)


def ids(proposals: Iterator[Proposal]) -> list[str]:
    return [proposal.image_id for proposal in proposals]


def asked_one_by_one(project: Project, propose: Propose) -> list[tuple[str, tuple[int, ...] | None]]:
    """Return the queries for the whole pool by a server that is restarted before each."""
    asked = []
    while True:
        project = pickle.loads(pickle.dumps(project))
        try:
            first = next(propose(project))
        except (NotRankedYet, StopIteration):  # no image with a score is left
            return asked
        if first.model_version is None:
            return asked
        asked.append((first.image_id, first.slices))
        project.ledger.grant_lease(f"reader {len(asked)}", first.image_id, 60, "s", slices=first.slices)


@pytest.mark.parametrize("propose", [*VOLUMES, *SLICES])
def test_asked_one_by_one_the_order_is_that_of_all_at_once(open_with: Callable[..., Project], propose: Propose) -> None:
    project = open_with()
    publish(project)
    at_once = [(proposal.image_id, proposal.slices) for proposal in propose(project)]
    assert asked_one_by_one(project, propose) == at_once


@pytest.mark.parametrize("propose", VOLUMES)
def test_the_noise_is_that_of_the_seed_and_of_the_model(open_with: Callable[..., Project], propose: Propose) -> None:
    project, same, other = open_with(), open_with(), open_with(seed="1")
    for one in (project, same, other):
        publish(one)
    first = ids(propose(project))
    assert ids(propose(same)) == first != ids(propose(other))
    publish(project)
    assert ids(propose(project)) != first


def test_power_bald_is_the_power_order_of_mutual_information_and_says_so(open_with: Callable[..., Project]) -> None:
    project = open_with()
    publish(project)
    proposals = list(power_proposals(project, "mutual_information"))
    assert ids(iter(proposals)) == power_order(PLAIN, 1.0, "0:1:mutual_information")
    first = proposals[0]
    assert (first.score, first.model_version) == (PLAIN[first.image_id], 1)
    assert first.reason == f"mutual information {first.score:.4g} by model 1, drawn in proportion to it"


def test_power_slices_are_drawn_in_proportion_to_their_sums(open_with: Callable[..., Project]) -> None:
    """The slices of h have sums of 8, 4, 2 and 1 parts."""
    project = open_with(query_size="1")
    publish(project)
    first = []
    for seed in range(150):
        settings = project.settings.model_copy(update={"seed": seed})
        seeded = Project(settings, project.recipe, project.labels, project.folder, project.ledger)
        proposal = next(power_slice_proposals(seeded, "mutual_information"))
        if proposal.image_id == "h":
            first.append(proposal.slices)
    assert len(first) > 50
    drawn = [first.count((index,)) for index in range(4)]
    assert chisquare(drawn, [len(first) * part / 15 for part in (8, 4, 2, 1)]).pvalue > 1e-3


def late(project: Project) -> None:
    """Publish four models, so that the next one has hardly any noise."""
    for _ in range(4):
        project.ledger.publish_model("m.pt", "0" * 64, "quick", ["liver", "tumour"], {}, [])


def test_a_round_of_clasp_pe_without_noise_by_hand(open_with: Callable[..., Project]) -> None:
    """Two of three places are for classes: a by liver and d by tumour; h by entropy. Then b, c or e, and g."""
    project = open_with()
    late(project)
    publish(project)
    proposals = list(clasp_proposals(project))
    by_reason = {proposal.image_id: proposal.reason.split(" by model")[0] for proposal in proposals[:3]}
    assert by_reason == {
        "a": f"entropy in liver {2.0**7:.4g}", "d": f"entropy in tumour {2.0**7:.4g}", "h": f"entropy {2.0**7:.4g}"
    }  # fmt: skip
    assert proposals[2].image_id == "h"
    assert proposals[0].reason.endswith("by model 5, drawn with noise that fades")
    assert set(ids(iter(proposals))[3:6]) == {"b", "c", "g"}
    assert sorted(ids(iter(proposals))) == list(IMAGES)


def test_a_round_of_slices_of_clasp_pe_without_noise_by_hand(open_with: Callable[..., Project]) -> None:
    """The first slice of a by liver, that of d by tumour, that of h by entropy."""
    project = open_with()
    late(project)
    publish(project)
    proposals = list(clasp_slice_proposals(project))
    assert {(proposal.image_id, proposal.slices) for proposal in proposals[:3]} == {
        ("a", (0,)),
        ("d", (0,)),
        ("h", (0,)),
    }
    reasons = {proposal.image_id: proposal.reason for proposal in proposals[:3]}
    assert reasons["a"] == f"entropy in liver {2.0**7:.4g} by model 5, drawn with noise that fades"
    assert sum(len(proposal.slices or ()) for proposal in proposals) == 32


def test_after_the_first_model_clasp_pe_is_noisy_and_proxy_models_are_no_rounds(
    open_with: Callable[..., Project],
) -> None:
    project = open_with()
    for number in range(6):
        project.ledger.publish_model(f"p{number}.pt", "0" * 64, "quick", ["liver", "tumour"], {}, [], kind="proxy")
    publish(project)
    first = []
    for seed in range(40):
        settings = project.settings.model_copy(update={"seed": seed})
        seeded = Project(settings, project.recipe, project.labels, project.folder, project.ledger)
        first.append(set(ids(clasp_proposals(seeded))[:3]))
    assert 0 < first.count({"a", "d", "h"}) < 40


@pytest.mark.parametrize("propose", VOLUMES)
def test_after_a_race_power_strategies_ask_first_for_images_with_all_repeats(
    open_with: Callable[..., Project], propose: Propose
) -> None:
    project = open_with()
    publish(project, repeats=dict.fromkeys("abc", 20) | dict.fromkeys("de", 10))
    order = ids(propose(project))
    assert [set(order[:3]), set(order[3:5]), set(order[5:])] == [set("abc"), set("de"), set("fgh")]


@pytest.mark.parametrize("name", ["clasp_pe", "clasp_pe_slices"])
def test_the_reason_says_that_a_model_scored_before_there_were_such_scores(
    open_with: Callable[..., Project], name: str
) -> None:
    project = open_with()
    publish(project, old=True)
    proposals = list(build_strategy(project, name).proposals())
    assert {proposal.reason for proposal in proposals} == {
        "model 1 has scored before there were such scores (entropy, class_1): drawn at random"
    }
    assert sorted(ids(iter(proposals))) == list(IMAGES)
    publish(project)
    assert next(build_strategy(project, name).proposals()).model_version == 2


@pytest.mark.parametrize("name", NAMES)
def test_before_the_first_model_a_noisy_strategy_asks_as_the_recipe_starts(
    open_with: Callable[..., Project], name: str
) -> None:
    proposals = list(build_strategy(open_with(), name).proposals())
    assert {proposal.reason for proposal in proposals} == {"no model yet: drawn at random"}
    assert sorted(ids(iter(proposals))) == list(IMAGES)


@pytest.mark.parametrize("name", NAMES[:2])
def test_images_without_a_score_are_asked_for_at_random_after_the_scored_ones(
    open_with: Callable[..., Project], name: str
) -> None:
    project = open_with()
    publish(project)
    project.ledger.sync_images([*IMAGES, "new"], 0)
    for image_id in IMAGES:
        record_annotation(project.ledger, image_id, "f", "0", "ann")
    (last,) = build_strategy(project, name).proposals()
    assert (last.image_id, last.reason) == ("new", "model 1 has scored none of the cases left: drawn at random")
