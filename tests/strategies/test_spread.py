"""Queries by the features of the task's own models, from a ledger and features filled by hand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from recorded import record_annotation
from warm_recipe import write_warm_recipe

from activelabel.errors import InvalidInputError
from activelabel.project.models.features import features_file, read_features, write_features
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.strategies.catalogue import build_strategy
from activelabel.strategies.proposal import Proposal
from activelabel.strategies.spread import coreset_proposals, typiclust_proposals
from activelabel.strategies.spread_slices import coreset_slice_proposals, typiclust_slice_proposals

# Two clusters, of four and three, and h alone.
PLACES = {"a": 0.0, "b": 1.0, "c": 2.0, "d": 4.5, "e": 20.0, "f": 21.0, "g": 23.0, "h": 60.0}
# Three volumes of three slices.
SLICES = {"a": [0.0, 1.0, 9.0], "b": [50.0, 52.0, 51.0], "c": [100.0, 103.0, 101.0]}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Eight images, a to h, of three slices each; two queries a round, no validation cases."""
    recipe = write_warm_recipe(tmp_path, cold_start='"none"')
    project = open_project("app", str(tmp_path), {"labels": "ball", "recipe": recipe, "query_size": "2"})
    project.ledger.sync_images("abcdefgh", 0)
    for image_id in "abcdefgh":
        project.ledger.fix_slices(image_id, 2, (9, 9, 3))
    return project


def annotate(project: Project, image_id: str, slices: list[int] | None = None) -> int:
    return record_annotation(project.ledger, image_id, "f", "0", "ann", slices=slices).id


def publish(project: Project, trained_on: list[int], places: dict[str, float], kind: str = "task") -> None:
    """Publish a new model with one feature for each image."""
    version = project.ledger.publish_model("m.pt", "0" * 64, "tiny", ["ball"], {}, trained_on, kind=kind).version
    write(project, version, {image_id: np.array([place], np.float32) for image_id, place in places.items()})


def publish_slices(project: Project, trained_on: list[int], places: dict[str, list[float]]) -> None:
    version = project.ledger.publish_model("m.pt", "0" * 64, "tiny", ["ball"], {}, trained_on).version
    write(project, version, {id: np.array(rows, np.float32)[:, None] for id, rows in places.items()}, of_slices=True)


def write(project: Project, version: int, features: dict[str, np.ndarray], of_slices: bool = False) -> None:
    if features:
        write_features(features_file(project.features_folder, version, of_slices), features)


def ids(proposals: Iterator[Proposal]) -> list[str]:
    return [proposal.image_id for proposal in proposals]


def asked(proposals: Iterator[Proposal]) -> list[tuple[str, tuple[int, ...] | None]]:
    return [(proposal.image_id, proposal.slices) for proposal in proposals]


def test_features_of_slices_come_back_as_they_were_written(tmp_path: Path) -> None:
    features = {
        id: np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32) for id, count in (("b", 3), ("a", 5))
    }
    write_features(tmp_path / "model_1_slices.npz", features)
    found = read_features(tmp_path / "model_1_slices.npz")
    assert found.keys() == features.keys()
    for image_id, rows in features.items():
        np.testing.assert_array_equal(found[image_id], rows)
    (tmp_path / "torn.npz").write_bytes(b"torn")
    with pytest.raises(InvalidInputError, match=r"torn\.npz: cannot be read as features of images"):
        read_features(tmp_path / "torn.npz")


def test_in_every_round_coreset_goes_by_what_the_latest_model_sees(project: Project) -> None:
    learnt = [annotate(project, "a"), annotate(project, "e")]
    publish(project, learnt, PLACES)
    proposals = list(coreset_proposals(project))
    # From a = 0 and e = 20: h at 60; then d, 4.5 from a; g, 3 from e; c and b and f.
    assert ids(iter(proposals))[:3] == ["h", "d", "g"]
    assert proposals[0].reason == "the farthest from all that were asked for so far, by the features of model 1"
    assert proposals[0].model_version == 1
    publish(project, learnt, {**PLACES, "h": 20.5, "b": 40.0})
    assert ids(coreset_proposals(project))[0] == "b"


def test_typiclust_asks_for_clusters_of_which_nothing_was_learnt(project: Project) -> None:
    """Two queries beside b and h make four clusters: abc, d, efg and h. f is typical of the larger free one, then d."""
    publish(project, [annotate(project, "b"), annotate(project, "h")], PLACES)
    proposals = list(typiclust_proposals(project))
    assert ids(iter(proposals))[:2] == ["f", "d"]
    assert proposals[0].reason == "the most typical of its cluster, by the features of model 1"
    assert sorted(ids(iter(proposals))) == list("acdefg")
    annotate(project, "f")
    assert ids(typiclust_proposals(project))[0] == "d"


def test_without_features_of_the_newest_model_the_one_before_is_asked_and_then_the_proxy_model(
    project: Project,
) -> None:
    publish(project, [], {id: -place for id, place in PLACES.items()}, kind="proxy")
    assert "by the features of proxy model 1" in next(coreset_proposals(project)).reason
    publish(project, [], {})
    assert "by the features of proxy model 1" in next(coreset_proposals(project)).reason
    publish(project, [], PLACES)
    publish(project, [], {})
    assert next(coreset_proposals(project)).reason.endswith("by the features of model 3, while model 4 has none yet")
    project.ledger.withdraw_model(4)
    assert next(coreset_proposals(project)).reason.endswith("by the features of model 3")


def test_without_any_features_strategies_ask_at_random_and_say_so(tmp_path: Path) -> None:
    project = open_project("app", str(tmp_path), {"labels": "ball"})
    project.ledger.sync_images("abc", 0)
    coreset, typiclust, slices = (build_strategy(project, name) for name in ("coreset", "typiclust", "coreset_slices"))
    assert {proposal.reason for proposal in coreset.proposals()} == {"no model yet: drawn at random"}
    publish(project, [], {})
    missing = "model 1 has no features yet, for which its recipe must ask: drawn at random"
    assert {proposal.reason for proposal in typiclust.proposals()} == {missing}
    assert {proposal.reason for proposal in slices.proposals()} == {missing}


def test_the_farthest_slices_by_hand(project: Project) -> None:
    """From slice 0 of a, at 0: 103 of c, then 52 of b, 51 from the nearer of both; 51 of b ties, and is later."""
    publish_slices(project, [annotate(project, "a", [0])], SLICES)
    proposals = list(coreset_slice_proposals(project))
    assert asked(iter(proposals))[:2] == [("c", (1,)), ("b", (1,))]
    assert proposals[0].reason == "the farthest from all that it has learnt from, by the features of model 1"
    assert proposals[0].model_version == 1
    # The next round: 9 of a, then 100 of c, 3 from 103; images without features come last, at random.
    assert asked(iter(proposals))[2:4] == [("a", (2,)), ("c", (0,))]
    without_features = [proposal for proposal in proposals if proposal.image_id in "defgh"]
    assert {proposal.reason for proposal in without_features} == {"model 1 has no features of it: drawn at random"}
    assert {proposal.model_version for proposal in without_features} == {None}
    assert sum(len(proposal.slices or ()) for proposal in proposals) == 8 * 3 - 1


def test_all_slices_of_a_volume_that_was_learnt_wholly_are_centres(project: Project) -> None:
    publish_slices(project, [annotate(project, "c")], SLICES)
    assert asked(coreset_slice_proposals(project))[:2] == [("a", (0,)), ("b", (0,))]


def test_the_most_typical_slices_by_hand(project: Project) -> None:
    """Two queries beside slice 1 of a make three clusters, one with it; b 51 and c 101 are the middles of two."""
    publish_slices(project, [annotate(project, "a", [1])], SLICES)
    proposals = list(typiclust_slice_proposals(project))
    assert asked(iter(proposals))[:2] == [("b", (2,)), ("c", (2,))]
    assert proposals[0].reason == "the most typical of their clusters, by the features of model 1"


@pytest.mark.parametrize("propose", [coreset_slice_proposals, typiclust_slice_proposals])
def test_slices_asked_for_one_by_one_are_those_of_all_at_once(project: Project, propose: object) -> None:
    assert callable(propose)
    publish_slices(project, [annotate(project, "a", [1])], SLICES)
    at_once = asked(propose(project))
    one_by_one = []
    for number in range(len(at_once)):
        image_id, slices = asked(propose(project))[0]
        one_by_one.append((image_id, slices))
        project.ledger.grant_lease(f"reader {number}", image_id, 60, "s", slices=slices)
    assert one_by_one == at_once
