"""The sentences that clients show about the models."""

from datetime import datetime, timezone

import pytest

from activelabel.project.models.standing import Standing
from activelabel.store.records.models import Judges, Measurement, ModelUse, ModelVersion

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
CASES, OTHERS = Judges("cases", 3), Judges("others", 1)


def model(version: int, withdrawn: bool = False) -> ModelVersion:
    return ModelVersion(
        version,
        "task",
        f"{version}.pt",
        "ab",
        NOW,
        "quick",
        ("liver",),
        {"dice": 0.5},
        (),
        (),
        NOW if withdrawn else None,
    )


def standing(in_use: int | None, *dices: float | None, by: str | None = None, judges: Judges = CASES) -> Standing:
    """Return the standing of models 1, 2, … with these Dice values; None means not judged."""
    measured = [
        Measurement(version, judges, {"dice": dice}) for version, dice in enumerate(dices, start=1) if dice is not None
    ]
    use = None if in_use is None else ModelUse(in_use, by, NOW)
    return Standing([model(version) for version in range(1, len(dices) + 1)], use, measured)


SECOND, WAY = "Model 2 was published and is not in use", "`activelabel models --use 2` puts the newest in use."


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (standing(None), "No model yet."),
        (
            standing(1, 0.8),
            "Model 1 is in use: Dice 0.800 on 3 validation cases, the only model judged by them.",
        ),
        (
            standing(1, 0.8, judges=OTHERS),
            "Model 1 is in use: Dice 0.800 on 1 validation case, the only model judged by them.",
        ),
        (
            standing(2, 0.7, 0.8),
            "Model 2 is in use: Dice 0.800 on 3 validation cases, the best of 2 models judged by them.",
        ),
        (standing(1, None), "Model 1 is in use: the newest; no validation case says how good it is."),
        (standing(2, 0.8, 0.7, by="ann"), "Model 2 is in use: ann chose it; Dice 0.700 on 3 validation cases."),
        (
            standing(1, 0.793, 0.057),
            f"{SECOND}: Dice 0.057 on 3 validation cases, place 2 of 2. Model 1 stays in use: Dice 0.793 on the same "
            f"cases. {WAY}",
        ),
        (
            standing(1, 0.793, 0.8, by="ann"),
            f"{SECOND}: Dice 0.800 on 3 validation cases, place 1 of 2. Model 1, which ann chose, stays in use: Dice "
            f"0.793 on the same cases. {WAY}",
        ),
        (
            standing(1, 0.793, None),
            f"{SECOND}: no validation case says how good it is. Model 1 stays in use: Dice 0.793 on 3 validation "
            f"cases. {WAY}",
        ),
    ],
)
def test_the_sentence_on_the_standing_of_models(models: Standing, expected: str) -> None:
    assert str(models) == expected


def test_dice_values_of_other_validation_cases_are_not_compared() -> None:
    measured = [Measurement(1, OTHERS, {"dice": 0.9}), Measurement(2, CASES, {"dice": 0.2})]
    chosen = Standing([model(1), model(2)], ModelUse(1, "ann", NOW), measured)
    assert "Model 1, which ann chose, stays in use: Dice 0.900 on 1 validation case." in str(chosen)


def test_the_json_of_a_standing_has_the_rank_and_the_chooser() -> None:
    models = standing(1, 0.8, 0.7, by="ann")
    assert models.in_full(models.in_use) == {
        "version": 1, "metrics": {"dice": 0.8}, "trained_on": 0, "validation_cases": 3, "place": 1, "compared": 2,
        "in_use": True, "chosen_by": "ann", "file": "1.pt", "sha256": "ab",
    }  # fmt: skip
    assert "chosen_by" not in (models.in_full(models.newest) or {})
    assert standing(None).in_full(None) is None


def test_a_withdrawn_model_is_no_newest_and_has_no_place() -> None:
    measured = [Measurement(version, CASES, {"dice": dice}) for version, dice in ((1, 0.5), (2, 0.9))]
    models = Standing([model(1), model(2, withdrawn=True)], ModelUse(1, None, NOW), measured)
    assert models.newest == model(1)
    assert models.place_of(1) == (1, 1)
    assert models.place_of(2) is None
