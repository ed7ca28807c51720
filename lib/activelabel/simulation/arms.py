"""The ways to ask that an experiment compares: strategies under a recipe, and how much each asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activelabel.errors import InvalidInputError
from activelabel.recipes import load_recipe
from activelabel.recipes.strategy_traits import traits_of

FULL_DATA = "full_data"
"""The name of the arm that learns from everything at once: what others are measured by, and not compared with."""


@dataclass(frozen=True)
class Arm:
    """One of the ways to ask that are compared: a strategy under a recipe, and how much it asks for in a round.

    `name` is that of its folder. `start` counts what the recipe starts with, `query_size` what the strategy asks for.
    `start_strategy` asks for the start set, by default the recipe's cold start, or what it starts with.
    """

    name: str
    strategy: str
    recipe: str
    start: int
    query_size: int
    rounds: int
    start_strategy: str | None = None


def plan_arms(
    recipe: str,
    strategies: Sequence[str],
    start: int | None,
    query_size: int | None,
    slices: int | None,
    rounds: int,
    start_strategy: str | None = None,
) -> tuple[Arm, ...]:
    """An arm a strategy, under one recipe.

    Args:
        recipe: its name or path.
        strategies: their names.
        start: the size of the start set, default the recipe's.
        query_size: volumes a round, default the recipe's number of them.
        slices: slices a round for strategies that ask for slices, default `query_size`, else the recipe's number.
        rounds: after the start set.
        start_strategy: who asks for the start set, default the recipe's choice.

    Raises:
        NotFoundError: there is no such recipe.
        InvalidInputError: a strategy comes twice, or there is none of that name, or the start set would be slices where
            the recipe starts with volumes, or the other way round; or how many volumes a round has is not said.
    """
    # A report reads experiments without what strategies need.
    from activelabel.simulation.oracle_strategies import ORACLE_STRATEGIES
    from activelabel.strategies.catalogue import strategy_names

    chosen = load_recipe(recipe)
    known = {*strategy_names(chosen), *ORACLE_STRATEGIES}
    for option, name in [*(("--strategy", name) for name in strategies), ("--start-strategy", start_strategy)]:
        if name is not None and name not in known:
            raise InvalidInputError(f"{option} {name}: use one of {', '.join(sorted(known))}")
    query = chosen.query
    doubled = sorted({name for name in strategies if list(strategies).count(name) > 1})
    if doubled:
        raise InvalidInputError(f"--strategy {doubled[0]}: it is given twice")
    if start_strategy is not None and traits_of(start_strategy).asks_slices != query.starts_with_slices:
        counted = "slices" if query.starts_with_slices else "volumes"
        raise InvalidInputError(
            f"--start-strategy {start_strategy}: the recipe {chosen.name} starts with {counted}, and counts them: use "
            f"a strategy of {counted}, or change query.start_strategy in the recipe"
        )
    slices = slices or query_size

    def size(name: str) -> int:
        try:
            return query.asked_by(name, slices if traits_of(name).asks_slices else query_size).size
        except ValueError as error:
            raise InvalidInputError(
                f"--strategy {error}: say with --query-size how many volumes a round has"
            ) from error

    return tuple(
        Arm(
            name,
            name,
            recipe,
            start=start or query.start,
            query_size=size(name),
            rounds=rounds,
            start_strategy=start_strategy,
        )
        for name in strategies
    )


def full_data_arm(recipe: str) -> Arm:
    """One model of all there is to learn from, to which the others are compared.

    Its start set is larger than any pool: the server trains, too, when nothing is left to ask for.
    """
    everything = 10**6
    return Arm(FULL_DATA, "random_volumes", recipe, everything, 1, rounds=0, start_strategy="random_volumes")


def recipe_content(arm: Arm) -> dict[str, Any]:
    """What is in the recipe of an arm, wherever it lies."""
    return load_recipe(arm.recipe).model_dump(mode="json")


def needed_cases(arm: Arm) -> int:
    """How many cases there must be at least for a run to come to its end."""
    recipe = load_recipe(arm.recipe)
    begin = 1 if recipe.query.starts_with_slices else arm.start
    asked = 1 if traits_of(arm.strategy).asks_slices else arm.rounds * arm.query_size
    return recipe.training.validation_cases + begin + asked
