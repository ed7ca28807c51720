"""The arms that an experiment compares: each a strategy under a recipe, with the sizes of its queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from activelabel.errors import InvalidInputError
from activelabel.recipes import load_recipe
from activelabel.recipes.strategy_traits import traits_of
from activelabel.simulation.folder_names import FULL_DATA


@dataclass(frozen=True)
class Arm:
    """An arm of an experiment: a strategy under a recipe, and how much it asks for.

    `name` names its folder. `start` is the size of the start set and `query_size` that of a round, in volumes or
    slices. `start_strategy` chooses the start set, by default the recipe's cold start or else its start strategy.
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
    """One arm for each strategy, all under one recipe.

    Args:
        recipe: the name or path of the recipe.
        strategies: their names.
        start: the size of the start set, default the recipe's.
        query_size: volumes a round, default the recipe's number of them.
        slices: slices a round for strategies that ask for slices, default `query_size`, else the recipe's number.
        rounds: after the start set.
        start_strategy: the strategy that chooses the start set, default the recipe's.

    Raises:
        NotFoundError: there is no such recipe.
        InvalidInputError: a strategy is unknown or comes twice; the start set would be slices where the recipe starts
            with volumes, or the other way round; or nothing gives the number of volumes in a round.
    """
    # Imported here, so that a report reads experiments without the imports of strategies.
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
    """The arm of one model that is trained on all cases of the pool: the upper bound for the others.

    Its start set is larger than any pool: the server also trains when no case is left to ask for.
    """
    everything = 10**6
    return Arm(FULL_DATA, "random_volumes", recipe, everything, 1, rounds=0, start_strategy="random_volumes")


def recipe_content(arm: Arm) -> dict[str, Any]:
    """The content of an arm's recipe, wherever its file lies."""
    return load_recipe(arm.recipe).model_dump(mode="json")


def needed_cases(arm: Arm) -> int:
    """The least number of cases with which a run can play all its rounds."""
    recipe = load_recipe(arm.recipe)
    begin = 1 if recipe.query.starts_with_slices else arm.start
    asked = 1 if traits_of(arm.strategy).asks_slices else arm.rounds * arm.query_size
    return recipe.training.validation_cases + begin + asked
