"""All strategies ask for a validation case that is due before their own proposals."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from executed import BEGIN, executed
from ranked_study import IMAGES, open_ranked, publish, write_images
from recorded import record_annotation
from small_studies import Studies

from activelabel.project.project import Project
from activelabel.project.readability import note_image
from activelabel.strategies.catalogue import build_strategies
from activelabel.strategies.proposal import Proposal

DUE = "a validation case, chosen once and never trained on: it measures the model"


@pytest.fixture
def studies(tmp_path: Path) -> Studies:
    return write_images(tmp_path / "studies")


@pytest.fixture
def open_study(studies: Studies, tmp_path: Path) -> Callable[..., Project]:
    return functools.partial(open_ranked, studies, tmp_path, uncertainty_window="1")


def first_of_each(project: Project) -> dict[str, Proposal]:
    """Return the first proposal of each strategy."""
    first = {name: next(strategy.proposals()) for name, strategy in build_strategies(project).items()}
    assert len(first) > 40
    return first


def roles(project: Project, proposals: dict[str, Proposal]) -> dict[str, str]:
    role_of = {image.id: image.role for image in project.ledger.images()}
    return {name: role_of[proposal.image_id] for name, proposal in proposals.items()}


@pytest.mark.parametrize(("worth", "fallback"), [(None, "false"), (-0.9, "true")])
def test_every_strategy_asks_for_a_validation_case_that_is_due_before_what_its_model_ranks(
    open_study: Callable[..., Project], worth: float | None, fallback: str
) -> None:
    project = open_study(fallback=fallback)
    publish(project, "proxy")
    publish(project, "task")
    training, validation = project.ledger.pool("training"), project.ledger.pool("validation")
    label = record_annotation(project.ledger, training[0], "f", "0", "ann")
    if worth is not None:  # so that the uncertainty of the model is not trusted
        project.ledger.record_uncertainty_check(label.id, 2, "variance", worth, wrong_voxels=50, voxels=100)
    first = first_of_each(project)
    assert set(roles(project, first).values()) == {"validation"}
    assert {proposal.reason for proposal in first.values()} == {DUE}

    record_annotation(project.ledger, validation[0], "f", "0", "ann")
    first = first_of_each(project)
    assert set(roles(project, first).values()) == {"training"}, "no validation case is due any more"
    ranked = {name for name, proposal in first.items() if proposal.model_version is not None}
    assert len(ranked) > 10, "that is what a validation case that is due comes before"


@pytest.mark.parametrize("proxy", [False, True])
def test_every_strategy_asks_for_a_validation_case_that_is_due_before_there_is_a_ranking(
    open_study: Callable[..., Project], proxy: bool
) -> None:
    project = open_study()
    if proxy:
        publish(project, "proxy")
    assert set(roles(project, first_of_each(project)).values()) == {"training"}
    record_annotation(project.ledger, project.ledger.pool("training")[0], "f", "0", "ann")
    assert {proposal.reason for proposal in first_of_each(project).values()} == {DUE}


@pytest.mark.parametrize("name", ["variance", "uncertainty_slices"])
def test_annotators_get_a_validation_case_that_is_due_whole(
    open_study: Callable[..., Project], studies: Studies, name: str
) -> None:
    project = open_study()
    publish(project, "task")
    record_annotation(project.ledger, project.ledger.pool("training")[0], "f", "0", "ann")
    answer = build_strategies(project)[name].next("ann", studies)
    assert (answer["role"], answer["query"], answer["reason"]) == ("validation", {"kind": "volume"}, DUE)


def test_a_next_sample_is_one_look_a_lease_and_another_look(
    open_study: Callable[..., Project], studies: Studies
) -> None:
    project = open_study()
    publish(project, "task")
    for image_id in IMAGES:  # as scoring has
        note_image(image_id, studies.image_files(image_id), project.ledger)
    strategy = build_strategies(project)["variance"]
    strategy.next("ann", studies)  # the first one counts the images
    with executed() as statements, project.ledger.one_look():  # as the server does
        assert project.ledger.skip_if_asked_again("bob", 2, 60) is None
        assert strategy.next("bob", studies)["strategy"] == "variance"
    assert statements.count(BEGIN) == 3
    assert len(statements) - statements.count(BEGIN) == 20
