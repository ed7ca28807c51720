"""The advice of a running project: a learning curve of its models' labels and scores, and the forecast from it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recorded import record_annotation
from training_study import TINY, Study

from activelabel.loop.advice import advice, effort_unit
from activelabel.store.records.labels import Annotation


def publish(study: Study, seen: list[Annotation], dice: float | None) -> None:
    """Publish a model that learnt these labels and has this Dice."""
    roles = {image.id: image.role for image in study.project.ledger.images()}
    used = {role: [item.id for item in seen if roles[item.image_id] == role] for role in ("training", "validation")}
    metrics = {"dice": dice, "dice_ball": dice}
    model = study.project.ledger.publish_model(
        "m", "0", "tiny", ["ball"], metrics, used["training"], used["validation"]
    )
    return model.version


def annotate_and_publish(study: Study, dices: list[float | None]) -> None:
    """The first model learns two labels, each later one another label; one slice of each label holds foreground."""
    study.set_slices(2, 16)
    for count, dice in enumerate(dices, start=2):
        for image_id in study.ids("training")[:count]:
            record_annotation(study.project.ledger, image_id, "f", "0", "ann", foreground_slices=1)
        publish(study, study.project.ledger.annotations(), dice)


def test_before_the_first_model_the_advice_says_that_it_is_too_early(study: Study) -> None:
    answer = advice(study.project)
    assert answer["learning_curve"] == []
    assert answer["forecast"] is None
    assert answer["sentence"] == "It is too early for a forecast: no model has been judged yet."


def judged(dice: float | None) -> dict[str, object]:
    return {"validation_cases": 0, "dice": dice, "dice_ball": dice}


def test_each_model_is_a_point_at_the_labels_that_it_saw(study: Study) -> None:
    annotate_and_publish(study, [0.5, None, 0.7])
    answer = advice(study.project)
    assert answer["unit"] == "volumes"
    assert answer["learning_curve"] == [
        {"model_version": 1, "in_use": False, "volumes": 2, "slices": 32, "foreground_slices": 2, **judged(0.5)},
        {"model_version": 2, "in_use": False, "volumes": 3, "slices": 48, "foreground_slices": 3, **judged(None)},
        {"model_version": 3, "in_use": True, "volumes": 4, "slices": 64, "foreground_slices": 4, **judged(0.7)},
    ]
    assert answer["sentence"].startswith("It is too early for a forecast: it takes 4 models")
    study.project.ledger.withdraw_model(3)
    assert [point["model_version"] for point in advice(study.project)["learning_curve"]] == [1, 2]


def test_a_power_law_goes_on_to_the_next_training(study: Study) -> None:
    def law(volumes: int) -> float:
        return 0.9 - 0.4 / volumes

    annotate_and_publish(study, [law(count) for count in range(2, 7)])
    answer = advice(study.project)
    assert answer["forecast"]["at"] == 6 + study.project.thresholds.retrain_after == 8
    assert answer["forecast"]["expected"] == pytest.approx(law(8), abs=1e-4)
    assert answer["forecast"]["gain_expected"] == pytest.approx(law(8) - law(6), abs=1e-4)
    assert answer["sentence"].startswith("The next 2 volumes would bring about +0.017 Dice")
    assert answer["sentence"].endswith("go on.")
    assert json.loads(json.dumps(answer)) == answer


@pytest.fixture
def slice_study(blobs: Callable[[int], Any], make_study: Callable[..., Study], tmp_path: Path) -> Study:
    """A study whose rounds ask for slices."""
    recipe = tmp_path / "slices.toml"
    recipe.write_text(TINY.read_text(encoding="utf-8").replace('strategy = "variance"', 'strategy = "entropy_slices"'))
    return make_study(blobs(8), recipe=str(recipe))


def test_a_project_of_slices_counts_slices(slice_study: Study) -> None:
    assert effort_unit(slice_study.project) == "slices"
    annotate_and_publish(slice_study, [0.5, 0.6, 0.65, 0.68])
    assert "slices would bring" in advice(slice_study.project)["sentence"]


def test_a_model_whose_slices_were_not_counted_is_no_point(slice_study: Study) -> None:
    image_id = slice_study.ids("training")[0]
    publish(slice_study, [record_annotation(slice_study.project.ledger, image_id, "f", "0", "ann")], 0.5)
    answer = advice(slice_study.project)
    assert answer["learning_curve"][0]["slices"] == 0
    assert answer["forecast"] is None
