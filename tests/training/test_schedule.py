"""The number of steps of a training, by hand."""

import pytest
from pydantic import ValidationError

from activelabel.recipes import TrainingSettings, load_recipe
from activelabel.training.schedule import scheduled, steps_of_effort

PAIRS = ((10.0, 100), (30.0, 200))


@pytest.mark.parametrize(
    ("effort", "steps"), [(0, 0), (5, 50), (10, 100), (15, 125), (20, 150), (30, 200), (31, 200), (1000, 200)]
)
def test_steps_lie_on_lines_from_nothing_through_the_pairs_and_stay_after_the_last(effort: float, steps: float) -> None:
    assert steps_of_effort(effort, PAIRS) == pytest.approx(steps)


def settings(**more: object) -> TrainingSettings:
    numbers = {"epochs": 4, "batch_size": 1, "patch_size": (4, 4, 4), "learning_rate": 1e-3}
    return TrainingSettings.model_validate({**numbers, **more})


def test_the_steps_are_spread_over_the_epochs_with_at_least_one_each() -> None:
    growing = settings(steps_by_effort=PAIRS)
    assert [scheduled(growing, effort).steps_per_epoch for effort in (20, 5.1, 0)] == [38, 13, 1]  # 37.5, 12.75, 0
    assert scheduled(growing, 20).epochs == 4


def test_without_pairs_the_number_of_steps_is_unchanged() -> None:
    fixed = settings(steps_per_epoch=7)
    assert scheduled(fixed, 1000) == fixed


@pytest.mark.parametrize(
    "pairs", [[], [[0, 5]], [[5, 0]], [[5, 5], [5, 6]], [[5, 5], [6, 5]], [[5, 5], [4, 6]], [[-1, 5]], [[5]]]
)
def test_pairs_that_do_not_rise_are_refused(pairs: list[list[int]]) -> None:
    with pytest.raises(ValidationError):
        settings(steps_by_effort=pairs)


@pytest.mark.parametrize(("liver_slices", "steps"), [(501, 12000), (0, 0), (26400, 825000)])
def test_chlebus2022_trains_as_long_as_its_table_3_where_volumes_are_annotated(liver_slices: int, steps: int) -> None:
    training = scheduled(load_recipe("chlebus2022").training, liver_slices / 3)
    assert training.epochs * (training.steps_per_epoch or 0) == pytest.approx(max(steps, 30), abs=15)
    assert training.validate_every_steps == 1000


@pytest.mark.parametrize(
    ("strategy", "added", "fewest", "most"),
    [
        ("USS", 1292 - 501, 98000, 98000),
        ("RSS", 1501 - 501, 98000, 139000),
        ("UVS", (3382 - 501) / 3, 98000, 139000),
        ("RVS", (3292 - 501) / 3, 98000, 139000),
    ],
)
def test_chlebus2022_has_98_to_139_thousand_steps_after_its_fifth_round(
    strategy: str, added: float, fewest: int, most: int
) -> None:
    """Tables 2 and 3: liver slices after five rounds, including those of the 5 volumes of the start."""
    training = scheduled(load_recipe("chlebus2022").training, 501 / 3 + added)
    assert fewest - 30 <= 30 * (training.steps_per_epoch or 0) <= most + 30
