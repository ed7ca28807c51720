"""Which slices are asked for, from a ledger filled by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_studies import BROKEN, TINY_RECIPE, write_nifti

from activelabel.acquisition.score import Score
from activelabel.acquisition.slice_selection import random_slices
from activelabel.server.project import Project, open_project
from activelabel.server.random_proposals import Proposal
from activelabel.server.slice_proposals import (
    highest_slice_proposals,
    peak_proposals,
    random_slice_proposals,
    selective_slice_proposals,
    strided_slice_proposals,
)
from activelabel.server.slicing import count_slices
from activelabel.server.strategies import STRATEGIES, build_strategies

PROFILES = {"a": [0.1, 0.9, 0.2, 0.1, 0.1, 0.1, 0.8, 0.1], "b": [0.3, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.7]}
"""Of b only the ends stand out."""
WITH_PEAKS = {**PROFILES, "b": [0.95, 0.3, 0.2, 0.2, 0.2, 0.2, 0.7, 0.6]}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two images of eight slices; three slices a round."""
    project = open_project("app", str(tmp_path), {"labels": "ball", "query_size": "3", "start": "4"})
    project.ledger.sync_images("ab", 0)
    for image_id in "ab":
        project.ledger.fix_slices(image_id, 2, (9, 9, 8))
    return project


def publish(project: Project, trained_on: list[int], **kinds: dict[str, list[float]]) -> None:
    """A new model, and what it thinks of slices: measure and region, joined by two underscores."""
    version = project.ledger.publish_model("m.pt", "0" * 64, "quick", ["ball"], {}, trained_on).version
    for image_id in "ab":
        scores = [
            Score(*kind.split("__"), aggregation, sum(profiles[image_id]), tuple(profiles[image_id]))
            for kind, profiles in kinds.items()
            for aggregation in ("total", "mean")
        ]
        project.ledger.record_scores(version, image_id, scores, 5, 0)


def asked(proposals: Iterator[Proposal]) -> list[tuple[str, tuple[int, ...] | None]]:
    return [(proposal.image_id, proposal.slices) for proposal in proposals]


def test_the_largest_peaks_come_first_those_of_a_volume_together(project: Project) -> None:
    publish(project, [], entropy__everything=WITH_PEAKS)
    proposals = list(peak_proposals(project))
    # Peaks by hand: a 1 and 6, five apart; b 6, its ends are none. A round of three takes .9, .8 and .7; the next goes
    # on with the largest of the other inner slices: b 1, a 2, b 2.
    assert asked(iter(proposals))[:4] == [("a", (1, 6)), ("b", (6,)), ("b", (1, 2)), ("a", (2,))]
    first = proposals[0]
    assert (first.score, first.model_version) == (pytest.approx(0.9), 1)
    assert first.reason == "mean entropy 0.9 by model 1, among the largest of the slices left"
    every = sorted((image_id, index) for image_id, slices in asked(iter(proposals)) for index in slices or ())
    assert every == [(image_id, index) for image_id in "ab" for index in range(8)]


def test_the_ends_of_a_volume_come_last_however_uncertain(project: Project) -> None:
    publish(project, [], entropy__everything=PROFILES)
    order = [(image_id, index) for image_id, slices in asked(peak_proposals(project)) for index in slices or ()]
    assert {("a", 1), ("a", 6)} < set(order[:3])  # a round: the two peaks, and the largest of the other inner slices
    assert set(order[-4:]) == {("a", 0), ("a", 7), ("b", 0), ("b", 7)}


def test_what_is_annotated_or_leased_is_passed_over_and_rounds_stay(project: Project) -> None:
    publish(project, [], entropy__everything=WITH_PEAKS)
    project.ledger.record_annotation("a", "f", "0", "ann", slices=[1])
    assert asked(peak_proposals(project))[:2] == [("a", (6,)), ("b", (6,))]
    project.ledger.grant_lease("bob", "a", 30, "uncertainty_slices", slices=[6])
    assert asked(peak_proposals(project))[0] == ("b", (6,))
    project.ledger.grant_lease("eve", "b", 30, "random_volumes")
    assert {image_id for image_id, _ in asked(peak_proposals(project))} == {"a"}


def test_a_new_model_lays_out_new_rounds_without_what_it_learnt(project: Project) -> None:
    learnt = project.ledger.record_annotation("a", "f", "0", "ann", slices=[1]).id
    publish(project, [learnt], entropy__everything=WITH_PEAKS)
    # A round of three without slice 1 of a: .8, .7 and .3.
    assert asked(peak_proposals(project))[:2] == [("a", (6,)), ("b", (1, 6))]
    project.ledger.delete_annotation("a")
    assert asked(peak_proposals(project))[0] == ("a", (1, 6))


def test_the_largest_sums_by_hand(project: Project) -> None:
    publish(project, [], margin__everything=PROFILES)
    assert asked(highest_slice_proposals(project, "margin"))[:3] == [("a", (1, 6)), ("b", (7,)), ("b", (0, 1))]


def test_half_of_a_round_from_each_list_by_hand(project: Project) -> None:
    target = {"a": [5.0, 4.0, 3.0, 0, 0, 0, 0, 0], "b": [0.0] * 8}
    boundary = {"a": [9.0, 0, 0, 0, 0, 0, 0, 0], "b": [0, 0, 8.0, 7.0, 0, 0, 0, 0]}
    publish(project, [], entropy__target=target, entropy__boundary=boundary)
    proposals = list(selective_slice_proposals(project, "entropy"))
    # Two of three from the target: a0, a1; from the boundary a0, which is in already, refilled in turn: a2.
    assert asked(iter(proposals))[0] == ("a", (0, 1, 2))
    assert proposals[0].reason.startswith("entropy over the target 5 by model 1")
    # The next round: target has only zeros, ties by id (a3, a4); boundary b2.
    assert asked(iter(proposals))[1:3] == [("a", (3, 4)), ("b", (2,))]
    assert proposals[2].reason.startswith("entropy over the boundary 8 by model 1")


def test_before_the_first_model_the_recipe_says_what_is_asked_for(project: Project) -> None:
    volumes = list(peak_proposals(project))
    assert sorted(asked(iter(volumes))) == [("a", None), ("b", None)]
    assert {proposal.reason for proposal in volumes} == {"no model yet: drawn at random"}
    query = project.recipe.query.model_copy(update={"start_strategy": "random_slices"})
    recipe = project.recipe.model_copy(update={"query": query})
    slices = list(peak_proposals(Project(project.settings, recipe, project.labels, project.folder, project.ledger)))
    first_round = random_slices({"a": 8, "b": 8}, seed=0)[:4]
    by_hand: dict[str, list[int]] = {}
    for image_id, index in first_round:
        by_hand.setdefault(image_id, []).append(index)
    assert asked(iter(slices))[: len(by_hand)] == [(image_id, tuple(sorted(s))) for image_id, s in by_hand.items()]


def test_random_slices_are_those_of_the_seed_and_of_the_pool(project: Project) -> None:
    proposals = asked(random_slice_proposals(project, "why", 3))
    project.ledger.record_annotation("a", "f", "0", "ann")
    assert asked(random_slice_proposals(project, "why", 16)) == [("b", tuple(range(8)))]
    assert sum(len(slices or ()) for _, slices in proposals) == 16


def test_strides_of_a_volume_come_in_one_query(project: Project) -> None:
    assert sorted(asked(strided_slice_proposals(project, "why"))) == [("a", (2, 7)), ("b", (2, 7))]


def test_validation_cases_are_asked_for_whole(tmp_path: Path) -> None:
    project = open_project("app", str(tmp_path), {"labels": "ball"})
    project.ledger.sync_images([f"case_{number}" for number in range(8)], 2)
    training = project.ledger.pool("training")[0]
    project.ledger.fix_slices(training, 2, (9, 9, 8))
    project.ledger.grant_lease("ann", training, 30, "random_slices", slices=[3])
    image_id, slices = asked(random_slice_proposals(project, "why", 3))[0]
    assert image_id in project.ledger.pool("validation")
    assert slices is None


class Studies:
    """A folder, as a strategy asks for its images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get_image_uri(self, image_id: str) -> str:
        return str(self.folder / f"{image_id}.nii.gz")

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        return {"name": f"{image_id}.nii.gz"}


def test_the_answer_names_axis_plane_and_slices_and_slicer_shows_them(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    studies.mkdir()
    affine = np.diag([1.0, 4.0, 1.0, 1.0])  # acquired in coronal slices
    write_nifti(studies / "a.nii.gz", np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32), affine)
    conf = {"recipe": str(TINY_RECIPE), "labels": "ball", "device": "cpu", "query_size": "3"}
    project = open_project(str(tmp_path), str(studies), conf)
    project.ledger.sync_images(["a"], validation_cases=0)
    answer = build_strategies(project)["random_slices"]({"client_id": "ann"}, Studies(studies))
    slices = sorted(index for _, index in random_slices({"a": 7}, seed=0)[:3])
    assert answer["query"] == {"kind": "slices", "axis": 1, "plane": "coronal", "slices": slices}
    assert answer["PatientID"] == f"a | coronal {', '.join(map(str, slices))}"
    assert answer["reason"] == "drawn at random from all slices"
    assert build_strategies(project)["random_slices"]({"client_id": "ann"}, Studies(studies)) == answer


def test_images_that_cannot_be_counted_are_set_aside(tmp_path: Path) -> None:
    for kind, write in BROKEN.items():
        write(tmp_path / f"{kind}.nii.gz")
    project = open_project(str(tmp_path), str(tmp_path), {"labels": "ball", "project_dir": str(tmp_path / "p")})
    project.ledger.sync_images(BROKEN, validation_cases=0)
    count_slices(project, Studies(tmp_path))
    set_aside = {image.id for image in project.ledger.images() if image.unreadable_reason}
    counted = {image.image_id for image in project.ledger.slice_pool() if image.slice_count}
    assert set_aside | counted == set(BROKEN)
    assert set_aside


def test_every_strategy_of_slices_is_called_so(project: Project) -> None:
    publish(project, [], **{f"{m}__{r}": PROFILES for m in ("entropy", "variance") for r in ("everything", "target")})
    asks = {name for name in STRATEGIES if name.endswith("_slices")}
    assert len(asks) == 10 + 2 * 5
    for name in ("uncertainty_slices", "random_slices", "strided_slices", "entropy_slices", "variance_slices"):
        strategy = STRATEGIES[name](project, name)
        assert all(proposal.slices for proposal in strategy.proposals())
    for name in STRATEGIES.keys() - asks:
        assert all(proposal.slices is None for proposal in STRATEGIES[name](project, name).proposals())


def test_images_of_which_no_slices_were_scored_come_after_those_that_were(project: Project) -> None:
    """After a race, or in a ledger that was kept before slices were scored."""
    project.ledger.publish_model("m.pt", "0" * 64, "quick", ["ball"], {}, [])
    kind = ("entropy", "everything", "mean")
    project.ledger.record_scores(1, "a", [Score(*kind, 1.0, tuple(PROFILES["a"]))], 5, 0)
    project.ledger.record_scores(1, "b", [Score(*kind, 2.0)], 5, 0)
    proposals = list(peak_proposals(project))
    places = [proposal.image_id for proposal in proposals]
    assert places == sorted(places)
    assert proposals[-1].reason == "model 1 has scored no slices of it: drawn at random"
    assert sum(len(proposal.slices or ()) for proposal in proposals) == 16


def test_a_held_image_that_was_damaged_since_is_set_aside_and_another_is_asked_for(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    studies.mkdir()
    for image_id in "ab":
        write_nifti(studies / f"{image_id}.nii.gz", np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32))
    conf = {"recipe": str(TINY_RECIPE), "labels": "ball", "device": "cpu", "query_size": "3"}
    project = open_project(str(tmp_path), str(studies), conf)
    project.ledger.sync_images("ab", validation_cases=0)
    strategy = build_strategies(project)["random_slices"]
    first = strategy({"client_id": "ann"}, Studies(studies))["id"]
    (studies / f"{first}.nii.gz").write_bytes(b"damaged")
    assert strategy({"client_id": "ann"}, Studies(studies))["id"] == ({"a", "b"} - {first}).pop()
    assert project.ledger.image(first).unreadable_reason
