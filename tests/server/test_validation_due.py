"""The order of cases: the validation set is asked for with the start set, whole, and belongs to no round."""

from collections.abc import Callable
from pathlib import Path

import pytest
from recorded import record_annotation

from activelabel.errors import NotReadyError
from activelabel.loop.due import Work, read_situation, work_due
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.recipes import load_recipe
from activelabel.strategies.catalogue import build_strategy


@pytest.fixture
def open_study(tmp_path: Path) -> Callable[..., Project]:
    """A project of forty images, of which `quick` sets three aside for validation."""

    def open_with(**conf: str) -> Project:
        project = open_project("app", str(tmp_path), {"labels": "ball", **conf})
        images = [f"case_{number:02d}" for number in range(40)]
        project.ledger.sync_images(images, project.recipe.training.validation_cases)
        return project

    return open_with


def annotate_next(project: Project) -> str:
    """Annotate the next case, and return T for training or V for validation."""
    image_id = next(build_strategy(project, "random_volumes").proposals()).image_id
    record_annotation(project.ledger, image_id, "f", "0", "ann")
    return "V" if project.ledger.image(image_id).role == "validation" else "T"


def annotate_until_due(project: Project) -> str:
    """Annotate until a training is due, and return the roles of the cases."""
    asked = ""
    while work_due(read_situation(project, "variance"), project.thresholds) is not Work.TRAIN:
        asked += annotate_next(project)
    return asked


@pytest.mark.parametrize(
    ("start", "asked"),
    [("1", "VVVT"), ("2", "TVVVT"), ("3", "TVTVVT"), ("4", "TVTVTVT"), ("6", "TVTVTVTTT")],
)
def test_all_validation_cases_are_asked_for_before_the_start_set_is_complete(
    open_study: Callable[..., Project], start: str, asked: str
) -> None:
    project = open_study(start=start)
    assert annotate_until_due(project) == asked
    labels = project.ledger.annotations()
    project.ledger.publish_model(
        "m", "0", "quick", ["ball"], {}, [x.id for x in labels if x.image_id not in validation(project)]
    )
    assert annotate_until_due(project) == "T" * project.recipe.query.size


def validation(project: Project) -> set[str]:
    return {image.id for image in project.ledger.images() if image.role == "validation"}


def test_nath2022_has_five_to_train_on_in_each_round(open_study: Callable[..., Project]) -> None:
    """Ten of forty images are for validation: a quarter, as the paper's 26 beside 105."""
    project = open_study(recipe="nath2022")
    first = annotate_until_due(project)
    assert (first.count("T"), first.count("V"), first[-1]) == (5, 10, "T")
    for _ in range(2):
        training = [item.id for item in project.ledger.annotations("training")]
        project.ledger.publish_model("m", "0", "nath2022", ["ball"], {}, training)
        assert annotate_until_due(project) == "TTTTT"


def test_with_a_start_set_of_slices_validation_cases_come_first(open_study: Callable[..., Project]) -> None:
    project = open_study(recipe="ma2024")
    judging = project.ledger.pool("validation")
    assert [annotate_next(project) for _ in judging] == ["V"] * len(judging) == ["V"] * 10
    assert annotate_next(project) == "T"


def test_validation_cases_that_come_late_take_turns_and_end_no_round(open_study: Callable[..., Project]) -> None:
    project = open_study(start="2", recipe="quick")
    assert annotate_until_due(project) == "TVVVT"
    project.ledger.publish_model(
        "m", "0", "quick", ["ball"], {}, [x.id for x in project.ledger.annotations("training")]
    )
    project.ledger.sync_images([*(image.id for image in project.ledger.images()), *map(str, range(40))], 6)
    assert len(project.ledger.pool("validation")) == 3
    assert annotate_until_due(project) == "TT"  # five were asked for, two of them training cases: validation is ahead
    assert annotate_next(project) == "V"


def test_the_line_on_the_start_set_counts_annotated_and_missing_cases(open_study: Callable[..., Project]) -> None:
    project = open_study(start="2", retrain_after="50")

    def line() -> str:
        with pytest.raises(NotReadyError) as refused:
            project.current_model()
        return str(refused.value)

    assert "the first takes 2 training cases, you have 0, and 0 for validation: label more" in line()
    assert [annotate_next(project) for _ in range(4)] == ["T", "V", "V", "V"]
    assert "2 training cases, you have 1, and 3 for validation: label more, or start a training yourself" in line()
    annotate_next(project)
    assert "2 training cases, you have 2, and 3 for validation: the first training is due" in line()


def test_the_line_on_the_start_set_counts_slices_if_the_recipe_starts_with_them(
    open_study: Callable[..., Project],
) -> None:
    project = open_study(recipe="ma2024")
    image_id = project.ledger.pool("training")[0]
    record_annotation(project.ledger, image_id, "f", "0", "ann", slices=[3, 7])
    with pytest.raises(NotReadyError, match="takes 500 training slices, you have 2, and 0 for validation"):
        project.current_model()
    assert load_recipe("ma2024").query.start == 500
