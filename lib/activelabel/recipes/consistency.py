"""Numbers of a recipe that are right each by itself, and wrong together."""

from activelabel.errors import InvalidInputError
from activelabel.recipes.schema import LEAST_REPEATS, Recipe, needs_repeats


def check_recipe(recipe: Recipe) -> None:
    """Whether the parts of a recipe go together, as it was written or with the settings that change it.

    Raises:
        InvalidInputError: something goes by how Monte Carlo repeats differ, and there are too few; or volumes should
            race, and there is nothing that could be spared.
    """
    repeats = recipe.prediction.repeats
    if recipe.prediction.racing and repeats == 0:
        raise InvalidInputError(
            "prediction.racing spares repeats, and prediction.repeats is 0, one pass for each volume: turn racing off, "
            f"or set repeats to {LEAST_REPEATS} or more"
        )
    _check_repeats("query.strategy", recipe.query.strategy, "prediction.repeats", repeats)
    if recipe.semi_supervised is not None and recipe.fine_tunes:
        measure = recipe.semi_supervised.measure
        _check_repeats("semi_supervised.measure", measure, "prediction.repeats", repeats)
    if recipe.proxy is not None:
        _check_repeats("proxy.measure", recipe.proxy.measure, "proxy.repeats", recipe.proxy.repeats)


def _check_repeats(key: str, name: str, repeats_key: str, repeats: int) -> None:
    if needs_repeats(name) and repeats < LEAST_REPEATS:
        raise InvalidInputError(
            f"{key} {name} goes by how Monte Carlo repeats differ, and {repeats_key} is {repeats}: it would be 0 "
            f"everywhere; set {repeats_key} to {LEAST_REPEATS} or more, or use entropy, least_confidence or margin"
        )
