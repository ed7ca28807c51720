"""The proposal that an annotator gets: first their own query, no unreadable image, more proposals if all are taken."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from new_strategy import MODULE, NAME, new_entry, new_module
from small_studies import BROKEN, REASONS, TINY_RECIPE, Studies, write_image

from activelabel.data.files.image_files import ImageFiles
from activelabel.errors import NotFoundError
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.project.setting_aside import set_aside_unreadable
from activelabel.recipes.strategy_traits import TRAITS, Needs
from activelabel.simulation.oracle_strategies import ORACLE_STRATEGIES
from activelabel.strategies.asking import ProjectStrategy
from activelabel.strategies.catalogue import build_strategies, found_strategies
from activelabel.strategies.proposal import Proposal

IMAGES = [f"case_{number}" for number in range(4)]


@pytest.fixture
def studies(tmp_path: Path) -> Studies:
    folder = tmp_path / "studies"
    folder.mkdir()
    for number, image_id in enumerate(IMAGES):
        write_image(folder / f"{image_id}.nii.gz", number)
    for kind, write in BROKEN.items():
        write(folder / f"{kind}.nii.gz")
    return Studies(folder)


@pytest.fixture
def project(studies: Studies, tmp_path: Path) -> Project:
    conf = {"recipe": str(TINY_RECIPE), "labels": "ball", "device": "cpu"}
    project = open_project(str(tmp_path), str(studies.folder), conf)
    project.ledger.sync_images([*IMAGES, *BROKEN], validation_cases=0)
    return project


def listed(project: Project, order: list[str], at_a_time: int = 100) -> ProjectStrategy:
    """Propose these images a few at a time, and only those still in the pool, as a ranking does."""

    def propose(project: Project) -> Iterator[Proposal]:
        pool = project.ledger.pool("training")
        left = [image_id for image_id in order if image_id in pool][:at_a_time]
        return (Proposal(image_id, "listed") for image_id in left)

    return ProjectStrategy(project, "listed", propose, "for tests")


def test_the_first_proposal_is_leased_and_given_again(project: Project, studies: Studies) -> None:
    strategy = listed(project, IMAGES[::-1])
    first = strategy.next("ann", studies)
    assert first["id"] == "case_3"
    assert strategy.next("ann", studies) == first
    assert strategy.next("bob", studies)["id"] == "case_2"


def test_unreadable_images_are_given_to_nobody(project: Project, studies: Studies) -> None:
    strategy = listed(project, [*BROKEN, "case_0"])
    assert strategy.next("ann", studies)["id"] == "case_0"
    reasons = {image.id: image.unreadable_reason for image in project.ledger.images()}
    for kind, word in REASONS.items():
        assert word in str(reasons[kind])
    assert [reasons[image_id] for image_id in IMAGES] == [None] * len(IMAGES)


def test_more_proposals_are_read_when_all_of_the_first_fail(project: Project, studies: Studies) -> None:
    strategy = listed(project, [*BROKEN, *IMAGES], at_a_time=2)
    given = [strategy.next(f"reader {number}", studies) for number in range(len(IMAGES) + 1)]
    assert [sample.get("id") for sample in given] == [*IMAGES, None]
    assert given[-1] == {}


def test_asking_ends_if_proposals_are_never_granted(project: Project, studies: Studies) -> None:
    """Another annotator holds the image, and it is proposed again and again."""

    def propose(project: Project) -> Iterator[Proposal]:
        return (Proposal(image_id, "stubborn") for image_id in ("case_0", "case_0"))

    strategy = ProjectStrategy(project, "stubborn", propose, "for tests")
    assert strategy.next("ann", studies)["id"] == "case_0"
    assert strategy.next("bob", studies) == {}


def test_images_that_scoring_has_read_are_checked_by_their_header_only(project: Project, studies: Studies) -> None:
    looked_at = {
        kind: set_aside_unreadable(kind, studies, project.ledger, was_scored=True) for kind in ("nan", "flat", "text")
    }
    assert looked_at == {"nan": False, "flat": True, "text": True}
    assert set_aside_unreadable("nan", studies, project.ledger, was_scored=False)


def test_a_file_that_vanished_is_not_recorded(project: Project, studies: Studies) -> None:
    (studies.folder / "case_0.nii.gz").unlink()
    assert set_aside_unreadable("case_0", studies, project.ledger, was_scored=False)
    assert project.ledger.image("case_0").unreadable_reason is None


def test_a_series_that_vanished_is_not_recorded_either(
    project: Project, studies: Studies, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(image_id: str) -> ImageFiles:
        raise NotFoundError(f"the PACS has no series {image_id}")

    monkeypatch.setattr(studies, "image_files", gone)
    assert set_aside_unreadable("case_0", studies, project.ledger, was_scored=False)
    assert project.ledger.image("case_0").unreadable_reason is None


def test_a_file_that_changed_is_looked_at_again(project: Project, studies: Studies) -> None:
    assert not set_aside_unreadable("case_0", studies, project.ledger, was_scored=False)
    (studies.folder / "case_0.nii.gz").write_bytes(b"")
    assert set_aside_unreadable("case_0", studies, project.ledger, was_scored=False)


def test_the_catalogue_has_every_strategy_of_the_table_that_needs_no_reference_labels() -> None:
    with_labels = {name for name, traits in TRAITS.items() if traits.needs is Needs.REFERENCE_LABELS}
    assert found_strategies().keys() == TRAITS.keys() - with_labels
    assert ORACLE_STRATEGIES.keys() == with_labels
    assert set(ORACLE_STRATEGIES.values()) <= TRAITS.keys()


def test_a_strategy_is_one_module_and_one_entry(studies: Studies, tmp_path: Path) -> None:
    conf = {"recipe": str(TINY_RECIPE), "labels": "ball", "device": "cpu", "strategy": NAME}
    with new_module(tmp_path / "more"), new_entry():
        project = open_project(str(tmp_path), str(studies.folder), conf)
        project.ledger.sync_images(IMAGES, validation_cases=0)
        built = build_strategies(project)
        assert list(built)[:3] == ["recipe", NAME, "random_volumes"]
        assert built[NAME].description == "Volumes in the order of the alphabet. Needs nothing."
        asked = [built[name].next(name, studies) for name in ("recipe", NAME, "random")]
    assert [answer["id"] for answer in asked] == IMAGES[:3]
    assert {(answer["strategy"], answer["reason"]) for answer in asked} == {(NAME, "next in the alphabet")}


def test_a_module_without_an_entry_an_entry_without_a_module_and_a_name_that_comes_twice_are_refused(
    project: Project, tmp_path: Path
) -> None:
    with new_module(tmp_path / "more"), pytest.raises(RuntimeError, match=rf"TRAITS: {NAME}; .*strategies: none$"):
        build_strategies(project)
    with new_entry(), pytest.raises(RuntimeError, match=rf"TRAITS: none; .*strategies: {NAME}$"):
        build_strategies(project)
    twice = MODULE.replace('{"alphabetical"', '{"typiclust"')
    with new_module(tmp_path / "again", twice), pytest.raises(RuntimeError, match="another module offers too: typicl"):
        build_strategies(project)
    assert NAME not in build_strategies(project)
