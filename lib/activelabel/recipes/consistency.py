"""Checks for numbers of a recipe that are valid alone and wrong together."""

from activelabel.errors import InvalidInputError
from activelabel.recipes.schema import LEAST_REPEATS, Recipe
from activelabel.recipes.strategy_traits import needs_repeats, traits_of


def check_recipe(recipe: Recipe) -> None:
    """Check that the parts of a recipe fit together, with or without the settings that change it.

    Raises:
        NotFoundError: the strategy does not exist.
        InvalidInputError: a measure needs more Monte Carlo repeats; volumes race without repeats that a race could
            save; training samples slices, and the other sections do not fit that; trainings begin from scratch, and the
            recipe says how they continue a model; a round has two numbers; or there
            are channels without a name, or not as many as intensities.
    """
    _check_sampling(recipe)
    _check_continuing(recipe)
    _check_channels(recipe)
    other = "volumes" if not recipe.query.asks_slices else "slices"
    if getattr(recipe.query, other) is not None:
        raise InvalidInputError(
            f"query.{other} is what a round of other strategies has, and query.strategy {recipe.query.strategy} asks "
            f"for {other} itself: leave it out, and write the number as query.size"
        )
    repeats = recipe.prediction.repeats
    if recipe.prediction.racing and repeats == 0:
        raise InvalidInputError(
            "prediction.racing spares repeats, and prediction.repeats is 0, one pass for each volume: turn racing off, "
            f"or set repeats to {LEAST_REPEATS} or more"
        )
    query, semi_supervised, proxy = recipe.query, recipe.semi_supervised, recipe.proxy
    _check_repeats("query.strategy", query.strategy, traits_of(query.strategy).measure, "prediction.repeats", repeats)
    if semi_supervised is not None and recipe.fine_tunes:
        measure = semi_supervised.measure
        _check_repeats("semi_supervised.measure", measure, measure, "prediction.repeats", repeats)
    if proxy is not None:
        _check_repeats("proxy.measure", proxy.measure, proxy.measure, "proxy.repeats", proxy.repeats)


def _check_sampling(recipe: Recipe) -> None:
    training = recipe.training
    if training.sampling == "volumes":
        return
    if not recipe.preprocessing.slices_last:
        raise InvalidInputError("training.sampling slices needs slices as the last axis: set preprocessing.slices_last")
    if training.foreground_share is not None:
        raise InvalidInputError("training.foreground_share is of patches of volumes: leave it out, or sample volumes")
    if recipe.fine_tunes:
        raise InvalidInputError("training.sampling slices has no second stage: leave out [semi_supervised]")


def _check_continuing(recipe: Recipe) -> None:
    training = recipe.training
    keys = ("continued_share", "continued_learning_rate", "replay_share", "shrink")
    changed = [key for key in keys if getattr(training, key) != type(training).model_fields[key].default]
    if changed and not training.from_previous:
        raise InvalidInputError(
            f"training.{changed[0]} is of trainings that begin with the model in use, and training.from_previous is "
            "false: set it to true, or leave this out"
        )


def _check_channels(recipe: Recipe) -> None:
    names, intensity = recipe.channels, recipe.preprocessing.intensity
    if any(not name.strip() or "," in name for name in names) or len({name.casefold() for name in names}) < len(names):
        raise InvalidInputError(
            f"channels has {', '.join(map(repr, names))}: expected names that differ and have no comma, such as "
            '["FLAIR", "T1"]'
        )
    if isinstance(intensity, tuple) and names and len(intensity) != len(names):
        raise InvalidInputError(
            f"preprocessing.intensity has {len(intensity)} entries for {len(names)} channels ({', '.join(names)}): "
            "expected one for all, or one for each"
        )


def _check_repeats(key: str, name: str, measure: str | None, repeats_key: str, repeats: int) -> None:
    """Raise an error if `measure`, which `name` uses, is 0 everywhere with so few repeats."""
    if needs_repeats(measure) and repeats < LEAST_REPEATS:
        raise InvalidInputError(
            f"{key} {name} goes by how Monte Carlo repeats differ, and {repeats_key} is {repeats}: it would be 0 "
            f"everywhere; set {repeats_key} to {LEAST_REPEATS} or more, or use entropy, least_confidence or margin"
        )
