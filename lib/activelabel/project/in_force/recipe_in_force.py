"""The recipe of a project with the numbers that its settings replace, and a check that this machine can run it."""

import torch

from activelabel.errors import InvalidInputError
from activelabel.project.settings import Settings
from activelabel.recipes import Recipe
from activelabel.recipes.strategy_traits import Needs, traits_of


def check_device(name: str) -> None:
    """Raise an error for a GPU that this machine does not have.

    Raises:
        InvalidInputError: this machine has no such GPU.
    """
    if not name.startswith("cuda"):
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (torch.device(name).index or 0) >= count:
        gpus = f"{count} CUDA GPU{'s' if count > 1 else ''}, numbered from 0" if count else "no CUDA GPU"
        raise InvalidInputError(f"--conf device {name}: this machine has {gpus}; use auto or cpu")


def with_settings(recipe: Recipe, settings: Settings) -> Recipe:
    """The recipe with the numbers that the settings replace.

    Raises:
        InvalidInputError: the strategy in the settings asks for volumes, and the recipe gives only a number of slices;
            or it asks a proxy model, and the recipe has none.
    """
    prediction = {
        key: value for key, value in (("repeats", settings.repeats), ("racing", settings.racing)) if value is not None
    }
    try:
        query = recipe.query.asked_by(settings.strategy or recipe.query.strategy, settings.query_size)
    except ValueError as error:
        raise InvalidInputError(
            f"--conf strategy {error}: say how many volumes a round has with --conf query_size, or as query.volumes of "
            f"the recipe {recipe.name}"
        ) from error
    if recipe.proxy is None and traits_of(query.strategy).needs is Needs.PROXY:
        raise InvalidInputError(
            f"--conf strategy {query.strategy} asks a proxy model, and the recipe {recipe.name} has none: use a recipe "
            "with a section [proxy], such as nath2022, or another strategy"
        )
    if settings.start:
        query = query.model_copy(update={"start": settings.start})
    channels: dict[str, object] = {"channels": settings.channels} if settings.channels else {}
    if settings.shown_channel:
        channels["shown_channel"] = settings.shown_channel
    preprocessing = {"slice_plane": settings.slice_plane} if settings.slice_plane else {}
    return recipe.model_copy(
        update={
            "prediction": recipe.prediction.model_copy(update=prediction),
            "preprocessing": recipe.preprocessing.model_copy(update=preprocessing),
            "query": query,
            **channels,
        }
    )
