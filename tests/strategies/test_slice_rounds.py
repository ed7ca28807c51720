"""Queries of slices, from a ledger filled by hand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from recorded import record_annotation
from small_studies import BROKEN, TINY_RECIPE, Studies, write_nifti

from activelabel.acquisition.score import Score
from activelabel.acquisition.slice_selection import random_slices
from activelabel.errors import InvalidInputError
from activelabel.loop.due import Work, read_situation, work_due
from activelabel.names import ScoreKind
from activelabel.project.client_kind import ClientKind, client_kind
from activelabel.project.opening import open_project, plan_project
from activelabel.project.project import Project
from activelabel.project.slices.slicing import count_slices
from activelabel.recipes import load_recipe
from activelabel.recipes.strategy_traits import TRAITS
from activelabel.strategies.at_random import random_slice_proposals, random_slices_of_round, strided_slice_proposals
from activelabel.strategies.by_score import highest_slice_proposals, peak_proposals, selective_slice_proposals
from activelabel.strategies.catalogue import build_strategies, build_strategy, strategy_names
from activelabel.strategies.proposal import Proposal

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
    """Publish a new model with scores of slices by measure and region, joined by two underscores."""
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


def test_the_largest_peaks_come_first_and_those_of_a_volume_together(project: Project) -> None:
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


def test_annotated_and_leased_slices_are_passed_over_and_rounds_stay(project: Project) -> None:
    publish(project, [], entropy__everything=WITH_PEAKS)
    record_annotation(project.ledger, "a", "f", "0", "ann", slices=[1])
    assert asked(peak_proposals(project))[:2] == [("a", (6,)), ("b", (6,))]
    project.ledger.grant_lease("bob", "a", 30, "uncertainty_slices", slices=[6])
    assert asked(peak_proposals(project))[0] == ("b", (6,))
    project.ledger.grant_lease("eve", "b", 30, "random_volumes")
    assert {image_id for image_id, _ in asked(peak_proposals(project))} == {"a"}


def test_a_new_model_lays_out_new_rounds_without_its_learnt_slices(project: Project) -> None:
    learnt = record_annotation(project.ledger, "a", "f", "0", "ann", slices=[1]).id
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
    volumes = list(build_strategy(project, "uncertainty_slices").proposals())
    assert sorted(asked(iter(volumes))) == [("a", None), ("b", None)]
    assert {proposal.reason for proposal in volumes} == {"no model yet: drawn at random"}
    query = project.recipe.query.model_copy(update={"start_strategy": "random_slices"})
    recipe = project.recipe.model_copy(update={"query": query})
    starting = Project(project.settings, recipe, project.labels, project.folder, project.ledger)
    slices = list(build_strategy(starting, "uncertainty_slices").proposals())
    first_round = random_slices({"a": 8, "b": 8}, seed=0)[:4]
    by_hand: dict[str, list[int]] = {}
    for image_id, index in first_round:
        by_hand.setdefault(image_id, []).append(index)
    assert asked(iter(slices))[: len(by_hand)] == [(image_id, tuple(sorted(s))) for image_id, s in by_hand.items()]


def test_random_slices_are_those_of_the_seed_and_of_the_pool(project: Project) -> None:
    proposals = asked(random_slice_proposals(project, "why", 3))
    record_annotation(project.ledger, "a", "f", "0", "ann")
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
    image_id, slices = asked(build_strategy(project, "random_slices").proposals())[0]
    assert image_id in project.ledger.pool("validation")
    assert slices is None


@pytest.fixture
def _own_context() -> Iterator[None]:
    token = client_kind.set(ClientKind.OTHER)
    yield
    client_kind.reset(token)


@pytest.mark.usefixtures("_own_context")
def test_the_answer_names_axis_plane_and_slices_and_each_client_shows_its_own_numbers(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    studies.mkdir()
    affine = np.diag([1.0, 4.0, 1.0, 1.0])  # acquired in coronal slices
    write_nifti(studies / "a.nii.gz", np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32), affine)
    conf = {"recipe": str(TINY_RECIPE), "labels": "ball", "device": "cpu", "query_size": "3"}
    project = open_project(str(tmp_path), str(studies), conf)
    project.ledger.sync_images(["a"], validation_cases=0)
    answer = build_strategies(project)["random_slices"].next("ann", Studies(studies))
    slices = sorted(index for _, index in random_slices({"a": 7}, seed=0)[:3])
    assert slices == [0, 5, 6]
    assert answer["query"] == {
        "kind": "slices",
        "axis": 1,
        "plane": "coronal",
        "slices": [0, 5, 6],
        "positions_mm": [0.0, 20.0, 24.0],
        "towards": "A",
    }
    assert answer["PatientID"] == "a | coronal A 0, 20, 24 mm (slices 1, 6, 7 of 7, counted from 1)"
    assert answer["reason"] == (
        "drawn at random from all slices; draw coronal A 0, 20, 24 mm (slices 1, 6, 7 of 7, counted from 1)"
    )
    assert build_strategies(project)["random_slices"].next("ann", Studies(studies)) == answer
    client_kind.set(ClientKind.OHIF)
    in_ohif = build_strategies(project)["random_slices"].next("ann", Studies(studies))
    assert in_ohif["query"] == answer["query"]
    assert in_ohif["PatientID"] == "a | coronal images (1/7), (6/7), (7/7), at A 0, 20, 24 mm"
    assert in_ohif["reason"].endswith("; draw coronal images (1/7), (6/7), (7/7), at A 0, 20, 24 mm")


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


def test_the_names_of_all_slice_strategies_end_in_slices(project: Project) -> None:
    publish(project, [], **{f"{m}__{r}": PROFILES for m in ("entropy", "variance") for r in ("everything", "target")})
    names = strategy_names(project.recipe)
    asks = {name for name in names if TRAITS[name].asks_slices}
    assert asks == {name for name in names if name.endswith("_slices")}
    assert len(asks) == 10 + 2 * 5
    for name in ("uncertainty_slices", "random_slices", "strided_slices", "entropy_slices", "variance_slices"):
        strategy = build_strategy(project, name)
        assert all(proposal.slices for proposal in strategy.proposals())
    for name in set(names) - asks:
        assert all(proposal.slices is None for proposal in build_strategy(project, name).proposals())


def test_images_of_which_no_slices_were_scored_come_after_those_that_were(project: Project) -> None:
    """Such images exist after a race, or in a ledger from before slices were scored."""
    project.ledger.publish_model("m.pt", "0" * 64, "quick", ["ball"], {}, [])
    kind = ScoreKind("entropy", aggregation="mean")
    project.ledger.record_scores(1, "a", [Score.of_kind(kind, 1.0, tuple(PROFILES["a"]))], 5, 0)
    project.ledger.record_scores(1, "b", [Score.of_kind(kind, 2.0)], 5, 0)
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
    first = strategy.next("ann", Studies(studies))["id"]
    (studies / f"{first}.nii.gz").write_bytes(b"damaged")
    assert strategy.next("ann", Studies(studies))["id"] == ({"a", "b"} - {first}).pop()
    assert project.ledger.image(first).unreadable_reason


def rss_project(tmp_path: Path, size: int, **conf: str) -> Project:
    """Three images of ten slices, and a recipe whose rounds of random slices count those with foreground."""
    recipe = tmp_path / "rss.toml"
    text = (
        TINY_RECIPE.read_text(encoding="utf-8")
        .replace('"variance"', '"random_slices"')
        .replace("size = 2", f"size = {size}")
    )
    recipe.write_text(text + "random_until_foreground = true\n")
    project = open_project("app", str(tmp_path), {"labels": "ball", "recipe": str(recipe), **conf})
    project.ledger.sync_images("abc", 0)
    for image_id in "abc":
        project.ledger.fix_slices(image_id, 2, (9, 9, 10))
    return project


def test_random_slices_are_drawn_until_so_many_hold_foreground(tmp_path: Path) -> None:
    """chlebus2022, IV.A. Each third slice holds foreground; a round has three of these and any number of others."""
    project = rss_project(tmp_path, size=3)
    project.ledger.publish_model("m.pt", "0" * 64, "tiny", ["ball"], {}, [])
    order, drawn = random_slices(dict.fromkeys("abc", 10), seed=0), list[tuple[str, int]]()
    done: dict[str, list[int]] = {}
    while work_due(read_situation(project, "entropy"), project.thresholds) is not Work.TRAIN:
        proposal = next(random_slices_of_round(project))
        assert "until 3 with foreground are annotated" in proposal.reason
        drawn += [(proposal.image_id, index) for index in proposal.slices or ()]
        slices = done.setdefault(proposal.image_id, [])
        slices += proposal.slices or ()
        foreground = sum(index % 3 == 0 for index in slices)
        record_annotation(
            project.ledger, proposal.image_id, "f", "0", "ann", slices=sorted(slices), foreground_slices=foreground
        )
    assert sum(index % 3 == 0 for _, index in drawn) == 3
    assert len(drawn) > 3, "some of the first three are empty"
    # Every drawn slice could have been the next one, or one of the same volume soon after.
    assert set(drawn) <= set(order[: len(drawn) + 2])


def test_the_next_round_of_random_slices_counts_anew_and_draws_no_slice_again(tmp_path: Path) -> None:
    project = rss_project(tmp_path, size=2)
    whole = record_annotation(project.ledger, "a", "f", "0", "ann", slices=[0, 1, 2], foreground_slices=2)
    project.ledger.publish_model("m.pt", "0" * 64, "tiny", ["ball"], {}, [whole.id])
    assert project.ledger.new_foreground_slices() == 0
    record_annotation(project.ledger, "a", "g", "0", "ann", slices=[0, 1, 2, 3, 4], foreground_slices=3)
    assert project.ledger.new_foreground_slices() == 1
    left = {(p.image_id, index) for p in random_slices_of_round(project) for index in p.slices or ()}
    assert left == {("a", index) for index in range(5, 10)} | {(i, index) for i in "bc" for index in range(10)}


def test_validation_cases_are_not_counted_and_by_default_every_slice_is(tmp_path: Path) -> None:
    project = rss_project(tmp_path, size=2)
    project.ledger.sync_images("abcdefgh", 2)
    validation = project.ledger.pool("validation")
    record_annotation(project.ledger, validation[0], "f", "0", "ann", foreground_slices=9)
    assert project.ledger.new_foreground_slices() == 0
    assert not load_recipe("ma2024").query.counts_foreground
    assert load_recipe("chlebus2022").query.asked_by("random_slices").counts_foreground
    assert not load_recipe("chlebus2022").query.counts_foreground, "USS counts slices"


def test_a_round_of_volumes_of_a_recipe_of_slices_has_its_own_number(tmp_path: Path) -> None:
    """chlebus2022: 200 slices a round, or five volumes."""
    conf = {"labels": "liver", "recipe": "chlebus2022", "device": "cpu"}
    slices = plan_project("app", str(tmp_path), conf)
    volumes = plan_project("app", str(tmp_path), {**conf, "strategy": "uncertainty_volumes"})
    own = plan_project("app", str(tmp_path), {**conf, "strategy": "random_volumes", "query_size": "7"})
    assert [p.recipe.query.size for p in (slices, volumes, own)] == [200, 5, 7]
    assert [p.thresholds.retrain_after for p in (slices, volumes, own)] == [200, 5, 7]
    for project in (slices, volumes):
        query = project.recipe.query
        assert (query.round_size(of_slices=True), query.round_size(of_slices=False)) == (200, 5)


def test_without_a_number_of_volumes_a_recipe_of_slices_refuses_volume_strategies(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(TINY_RECIPE.read_text(encoding="utf-8").replace('"variance"', '"entropy_slices"'))
    conf = {"labels": "ball", "recipe": str(recipe)}
    with pytest.raises(InvalidInputError, match="--conf strategy random_volumes asks for volumes, and query"):
        plan_project("app", str(tmp_path), {**conf, "strategy": "random_volumes"})
    assert plan_project("app", str(tmp_path), {**conf, "strategy": "margin_slices"}).recipe.query.size == 2
    conf["recipe"] = str(TINY_RECIPE)
    assert plan_project("app", str(tmp_path), {**conf, "strategy": "entropy_slices"}).recipe.query.size == 2


def test_a_round_has_one_number_for_its_own_unit(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(TINY_RECIPE.read_text(encoding="utf-8") + "volumes = 3\n")
    with pytest.raises(InvalidInputError, match=r"recipe mine\.toml: query\.volumes is what a round of other"):
        load_recipe(str(recipe))
