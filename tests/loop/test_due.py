"""The situation that the autopilot reads, step by step from an empty ledger to a second model."""

from collections.abc import Callable
from pathlib import Path

import pytest
from recorded import record_annotation
from warm_recipe import write_warm_recipe

from activelabel.acquisition.score import Score
from activelabel.loop.due import Situation, Work, read_situation, work_due
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.store.case_states import Verdict

NOTHING = {"model_version": None, "new_annotations": 0, "new_training_annotations": 0, "unscored": 0}


@pytest.fixture
def open_warm(tmp_path: Path) -> Callable[..., Project]:
    """A project of eight images, two of them for validation; the start set and each round have two."""

    def open_with(strategy: str = "variance", **conf: str) -> Project:
        recipe = write_warm_recipe(tmp_path, strategy)
        project = open_project("app", str(tmp_path), {"labels": "ball", "recipe": recipe, **conf})
        project.ledger.sync_images("abcdefgh", 2)
        return project

    return open_with


def situation(project: Project) -> Situation:
    return read_situation(project, "variance")


def due(project: Project) -> Work | None:
    return work_due(situation(project), project.thresholds)


def publish(project: Project, kind: str, seen: list[int] | None = None) -> int:
    return project.ledger.publish_model("m.pt", "0" * 64, "tiny", ["ball"], {}, seen or [], kind=kind).version


def score(project: Project, version: int, aggregation: str) -> None:
    for image_id in project.ledger.pool("training"):
        project.ledger.record_scores(version, image_id, [Score("variance", "everything", aggregation, 1.0)], 3, 0)


def annotate(project: Project, count: int) -> list[int]:
    chosen = project.ledger.pool("training")[:count]
    return [record_annotation(project.ledger, image_id, "f", "0", "ann").id for image_id in chosen]


def test_from_an_empty_ledger_to_the_second_round(open_warm: Callable[..., Project]) -> None:
    project = open_warm()
    assert situation(project) == Situation(**NOTHING, proxy_missing=True)
    assert due(project) is Work.TRAIN_PROXY
    publish(project, "proxy")
    assert situation(project) == Situation(**NOTHING, unscored_by_proxy=6)
    assert due(project) is Work.SCORE_PROXY
    score(project, 1, "mean")
    assert situation(project) == Situation(**NOTHING)
    assert due(project) is None
    labels = annotate(project, 2)
    assert due(project) is Work.TRAIN
    publish(project, "task", labels)
    assert situation(project) == Situation(2, 0, 0, 4)
    assert due(project) is Work.SCORE
    score(project, 2, "total")
    assert due(project) is None


def test_a_label_saved_while_the_proxy_model_is_trained_does_not_end_it(open_warm: Callable[..., Project]) -> None:
    project = open_warm()
    annotate(project, 1)
    assert due(project) is Work.TRAIN_PROXY


def test_a_strategy_of_the_proxy_model_is_scored_for_in_all_rounds(open_warm: Callable[..., Project]) -> None:
    project = open_warm("proxy_rank")
    publish(project, "proxy")
    score(project, 1, "mean")
    publish(project, "task", annotate(project, 2))
    project.ledger.sync_images("abcdefghi", 2)  # one is added later
    assert situation(project) == Situation(2, 0, 0, 5, unscored_by_proxy=1)
    assert due(project) is Work.SCORE_PROXY


def test_fewer_cases_than_to_start_with_are_trained_on_when_all_are_annotated(
    open_warm: Callable[..., Project],
) -> None:
    project = open_warm(start="20")
    publish(project, "proxy")
    score(project, 1, "mean")
    annotate(project, 6)
    validation = project.ledger.pool("validation")
    assert due(project) is None
    record_annotation(project.ledger, validation[0], "f", "0", "ann")
    project.ledger.grant_lease("bob", validation[1], 30, "variance")
    assert due(project) is None
    record_annotation(project.ledger, validation[1], "f", "0", "bob")
    assert situation(project).nothing_left
    assert due(project) is Work.TRAIN


def test_the_last_cases_of_a_study_are_learnt_from_though_they_are_fewer_than_a_round(
    open_warm: Callable[..., Project],
) -> None:
    project = open_warm(retrain_after="4")
    publish(project, "task", [label_of(project, image_id) for image_id in project.ledger.pool("training")[:3]])
    for role in ("validation", "training"):
        for image_id in project.ledger.pool(role)[1:]:
            label_of(project, image_id)
    assert due(project) is Work.SCORE  # a case of either role is left
    label_of(project, project.ledger.pool("validation")[0])
    assert due(project) is Work.SCORE
    label_of(project, project.ledger.pool("training")[0])
    assert due(project) is Work.TRAIN
    labels = project.ledger.labels_to_learn("training")
    publish(project, "task", [label.id for label in labels])
    label_of(project, labels[0].image_id)
    assert situation(project).new_training_annotations == 1
    assert due(project) is None  # a correction is new, but no new case


def test_labels_that_wait_for_a_review_are_not_the_last_ones(open_warm: Callable[..., Project]) -> None:
    project = open_warm(review="true", start="4")
    publish(project, "proxy")
    training = project.ledger.pool("training")
    for image_id in (*training, *project.ledger.pool("validation")):
        label_of(project, image_id)
    for image_id in training[:3]:
        project.ledger.decide(image_id, "rev", Verdict.APPROVED)
        assert due(project) is None
    project.ledger.decide(training[3], "rev", Verdict.APPROVED)
    assert due(project) is Work.TRAIN


def label_of(project: Project, image_id: str) -> int:
    """The id of a new label of a whole volume of 20 slices."""
    project.ledger.fix_slices(image_id, 2, (10, 10, 20))
    return record_annotation(project.ledger, image_id, "f", "0", "ann").id
