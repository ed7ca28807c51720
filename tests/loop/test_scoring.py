"""Scoring with a real ledger and network, all images alike and as a race: each image's scores, also after kills."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from killed_reads import CountedReads, Killed

from activelabel.acquisition.aggregation import total
from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.loop import race
from activelabel.loop.race import JOURNAL_FILE
from activelabel.loop.scoring import VolumeScoring, build_scoring_methods, scored_measure
from activelabel.names import ScoreKind
from activelabel.networks import build_network
from activelabel.prediction.predictor import Predictor
from activelabel.project.models.publishing import publish_model
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.strategies.catalogue import build_strategies
from activelabel.strategies.proposal import NotRankedYet
from activelabel.strategies.ranking import current_ranking

TINY = Path(__file__).parents[1] / "support" / "tiny.toml"
KIND = ScoreKind("variance")
CONF = {
    "recipe": str(TINY),
    "labels": "ball",
    "device": "cpu",
    "precision": "float32",
    "query_size": "1",
    "repeats": "8",
}


@pytest.fixture
def open_study(blobs: Callable[[int], Any], tmp_path: Path) -> Callable[..., tuple[Project, CountedReads]]:
    """A project of seven images, none for validation, with a model of random weights; settings may be added."""
    studies = blobs(7).studies

    def open_with(name: str, **conf: str) -> tuple[Project, CountedReads]:
        project = open_project("app", str(studies), {**CONF, **conf, "project_dir": str(tmp_path / name)})
        project.ledger.sync_images([f"blob_0{number}" for number in range(7)], 0)
        torch.manual_seed(0)
        network = build_network(project.recipe.network, classes=2)
        publish_model(project, network.state_dict(), {}, [])
        return project, CountedReads(lambda image_id: str(studies / f"{image_id}.nii.gz"))

    return open_with


def score(project: Project, files: CountedReads) -> dict[str, Any]:
    return VolumeScoring(project, "variance").run(files)  # type: ignore[arg-type]


def test_without_racing_each_image_has_the_score_of_all_repeats(open_study: Callable[..., Any]) -> None:
    project, files = open_study("plain")
    assert score(project, files) == {"model_version": 1, "scored": 7, "unreadable": {}}
    assert project.ledger.score_repeats(1, KIND) == dict.fromkeys(sorted(files.read), 8)
    assert project.ledger.volume_scores(1, KIND) == pytest.approx(by_hand(project, files, dict.fromkeys(files.read, 8)))


def by_hand(project: Project, files: CountedReads, repeats: dict[str, int]) -> dict[str, float]:
    """Return the sum of the variance over an image after this number of repeats."""
    predictor: Predictor = project.predictor(project.current_model())
    found = {}
    for image_id, count in repeats.items():
        image = prepare_image(read_volume(files.uri_of(image_id)), project.recipe.preprocessing)
        found[image_id] = total(predictor.sample(image.tensor, count, 0).variance())
    return found


def test_a_race_scores_all_images_and_those_asked_for_with_all_repeats(open_study: Callable[..., Any]) -> None:
    project, files = open_study("raced", racing="true")
    score(project, files)
    repeats = project.ledger.score_repeats(1, KIND)
    # tiny: 1 query a round, but 1 label retrains: 2 finalists. 7 get 2 repeats, 3 get 4, 2 get 8.
    assert sorted(repeats.values()) == [2, 2, 2, 2, 4, 8, 8]
    assert project.ledger.volume_scores(1, KIND) == pytest.approx(by_hand(project, files, repeats), rel=1e-4)
    after_two = by_hand(project, files, dict.fromkeys(repeats, 2))
    best = sorted(after_two, key=lambda image_id: -after_two[image_id])[:3]
    assert {image_id for image_id, count in repeats.items() if count > 2} == set(best)
    for kind in (ScoreKind("entropy", "target"), ScoreKind("margin", "boundary", "mean")):
        assert project.ledger.score_repeats(1, kind) == repeats
    slices = project.ledger.slice_scores(1, KIND)
    assert slices.keys() == {image_id for image_id, count in repeats.items() if count == 8}
    assert project.ledger.unscored(1, KIND) == []
    ranking = current_ranking(project, KIND)
    assert [repeats[image_id] for image_id in ranking.scores] == [8, 8, 4, 2, 2, 2, 2]


def test_no_image_is_prepared_twice_by_a_race_and_none_again_for_the_next_model(
    open_study: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, files = open_study("once", racing="true")
    prepared: list[Path] = []

    def prepare(volume: Any, settings: Any) -> Any:
        prepared.append(volume.path)
        return prepare_image(volume, settings)

    monkeypatch.setattr("activelabel.prediction.prepared.images.prepare_image", prepare)
    score(project, files)
    assert len(files.read) == 7 + 3 + 2
    assert len(prepared) == len(set(prepared)) == 7
    network = project.network(project.current_model())
    publish_model(project, network.state_dict(), {}, [])
    assert score(project, files)["model_version"] == 2
    assert len(prepared) == 7


@pytest.mark.parametrize("images_before_the_kill", [1, 6, 7, 9, 11])
def test_a_killed_race_ranks_nothing_and_goes_on_where_it_was(
    open_study: Callable[..., Any], images_before_the_kill: int
) -> None:
    whole, files = open_study("whole", racing="true")
    score(whole, files)
    project, files = open_study("killed", racing="true")
    files.killed_at = images_before_the_kill
    with pytest.raises(Killed):
        score(project, files)
    assert len(project.ledger.unscored(1, KIND)) == 7
    with pytest.raises(NotRankedYet, match="model 1 has not scored yet"):
        current_ranking(project, KIND)
    files.killed_at = None
    score(project, files)
    assert len(files.read) == 7 + 3 + 2
    assert project.ledger.score_repeats(1, KIND) == whole.ledger.score_repeats(1, KIND)
    expected = whole.ledger.volume_scores(1, KIND)
    assert project.ledger.volume_scores(1, KIND) == pytest.approx(expected, rel=1e-4)
    for image_id, slices in whole.ledger.slice_scores(1, KIND).items():
        assert project.ledger.slice_scores(1, KIND)[image_id] == pytest.approx(slices, rel=1e-3)
    assert not (project.folder / JOURNAL_FILE).exists()


def test_a_race_killed_while_it_was_written_down_is_written_down_to_its_end(
    open_study: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, files = open_study("written", racing="true")
    monkeypatch.setattr(race, "WRITTEN_AT_ONCE", 1)
    record, left = project.ledger.record_scores_of_images, iter(range(3))

    def record_three(*arguments: Any, **claim: Any) -> bool:
        if next(left, None) is None:
            raise Killed
        return record(*arguments, **claim)

    monkeypatch.setattr(project.ledger, "record_scores_of_images", record_three)
    with pytest.raises(Killed):
        score(project, files)
    monkeypatch.undo()
    first = project.ledger.score_repeats(1, KIND)
    assert sorted(first.values()) == [4, 8, 8]  # images with most repeats come first
    read = len(files.read)
    score(project, files)
    assert len(files.read) == read  # no image had to be read again
    assert sorted(project.ledger.score_repeats(1, KIND).values()) == [2, 2, 2, 2, 4, 8, 8]


def test_a_race_of_an_earlier_model_is_not_resumed(open_study: Callable[..., Any]) -> None:
    project, files = open_study("renewed", racing="true")
    files.killed_at = 3
    with pytest.raises(Killed):
        score(project, files)
    publish_model(project, build_network(project.recipe.network, classes=2).state_dict(), {}, [])
    files.killed_at = None
    files.read.clear()
    score(project, files)
    assert len(files.read) == 12
    assert len(project.ledger.volume_scores(2, KIND)) == 7


@pytest.mark.parametrize("racing", ["true", "false"])
def test_an_image_that_cannot_be_read_is_passed_over(open_study: Callable[..., Any], racing: str) -> None:
    project, files = open_study("torn", racing=racing)
    Path(files.uri_of("blob_03")).write_bytes(b"")
    found = score(project, files)
    assert found["unreadable"].keys() == {"blob_03"}
    assert found["scored"] == 6
    assert len(project.ledger.volume_scores(1, KIND)) == 6
    assert project.ledger.unscored(1, KIND) == []


def test_an_image_added_after_a_race_gets_all_repeats(open_study: Callable[..., Any]) -> None:
    project, files = open_study("added", racing="true")
    project.ledger.sync_images([f"blob_0{number}" for number in range(6)], 0)
    score(project, files)
    project.ledger.sync_images([f"blob_0{number}" for number in range(7)], 0)
    files.read.clear()
    score(project, files)
    assert files.read == ["blob_06"]
    assert project.ledger.score_repeats(1, KIND)["blob_06"] == 8


def test_a_strategy_that_does_not_go_by_one_score_cannot_race(tmp_path: Path) -> None:
    recipe = tmp_path / "selective.toml"
    recipe.write_text(TINY.read_text(encoding="utf-8").replace('"variance"', '"selective_entropy"'))
    with pytest.raises(InvalidInputError, match=r"racing: .* the strategy selective_entropy does not go by one score"):
        open_project("app", str(tmp_path), {**CONF, "recipe": str(recipe), "racing": "true"})


def test_the_journal_of_a_race_names_its_model_and_settings(open_study: Callable[..., Any]) -> None:
    project, files = open_study("named", racing="true")
    files.killed_at = 1
    with pytest.raises(Killed):
        score(project, files)
    first = json.loads((project.folder / JOURNAL_FILE).read_text(encoding="utf-8").splitlines()[0])
    assert first == {
        "model_version": 1, "measure": "variance", "region": "everything", "aggregation": "total",
        "k": 1, "repeats": 8, "seed": 0,
    }  # fmt: skip


def test_without_repeats_a_single_pass_scores_and_ranks(open_study: Callable[..., Any]) -> None:
    project, files = open_study("single", repeats="0", strategy="entropy")
    assert scored_measure(project) == "entropy"
    methods = build_scoring_methods(project)
    assert methods.keys() == {"entropy", "least_confidence", "margin"}
    assert methods["entropy"].run(files)["scored"] == 7  # type: ignore[arg-type]
    kind = ScoreKind("entropy")
    assert set(project.ledger.score_repeats(1, kind).values()) == {0}
    predictor = project.predictor(project.current_model())
    by_hand = {}
    for image_id in set(files.read):
        image = prepare_image(read_volume(files.uri_of(image_id)), project.recipe.preprocessing)
        by_hand[image_id] = total(torch.special.entr(predictor.probabilities(image.tensor)).sum(dim=0))
    assert project.ledger.volume_scores(1, kind) == pytest.approx(by_hand, rel=1e-5)
    assert len(project.ledger.slice_scores(1, kind)) == 7  # all scores that a volume with all repeats has
    assert not project.ledger.has_scores(1, ScoreKind("variance"))
    ranking = current_ranking(project, kind)
    assert len(ranking.scores) == 7
    assert {"variance", "selective_mutual_information", "power_bald"}.isdisjoint(build_strategies(project))


def test_in_a_single_pass_an_image_that_cannot_be_read_is_passed_over(open_study: Callable[..., Any]) -> None:
    project, files = open_study("torn", repeats="0", strategy="entropy")
    Path(files.uri_of("blob_03")).write_bytes(b"")
    found = build_scoring_methods(project)["entropy"].run(files)  # type: ignore[arg-type]
    assert found["unreadable"].keys() == {"blob_03"}
    assert found["scored"] == len(project.ledger.volume_scores(1, ScoreKind("entropy"))) == 6


def test_images_scored_by_a_single_pass_are_scored_anew_when_repeats_are_set_again(
    open_study: Callable[..., Any],
) -> None:
    single, files = open_study("again", repeats="0", strategy="entropy")
    build_scoring_methods(single)["entropy"].run(files)  # type: ignore[arg-type]
    conf = {**CONF, "project_dir": str(single.folder)}
    project = open_project("app", str(single.folder.parent), conf)
    assert len(project.ledger.unscored(1, ScoreKind(scored_measure(project)))) == 7
    score(project, files)
    assert set(project.ledger.score_repeats(1, ScoreKind("entropy")).values()) == {8}
