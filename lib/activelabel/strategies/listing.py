"""In which order the strategies are offered, and what each says of itself in `GET /info/`.

Slicer's module takes the first of the list, and OHIF always asks for `random`: both are the recipe's own strategy.
"""

from collections.abc import Collection

from activelabel.recipes.schema import asks_slices

OWN = "recipe"
"""The name of the recipe's own strategy: the first of all, which Slicer takes unless its user chooses another."""
OHIF = "random"
"""The only name for which OHIF asks, whatever its menu shows: the recipe's own strategy too."""

_SUITING_VOLUMES = ("random_volumes", "foreground_random", "uncertainty_volumes", "blend")
_SUITING_SLICES = ("random_slices", "foreground_random_slices", "uncertainty_slices", "blend_slices")
_SUFFIX = "_slices"

_A_MODEL = "a model that has scored the cases left, and until then asks as the recipe starts"
_NEEDS = {
    "random_volumes": "nothing",
    "random": "nothing",
    "strided": "nothing",
    "foreground_random": "a model, of the task or a proxy, that has scored the foreground, and until then asks as the "
    "recipe starts",
    "coreset": "features, which are kept only where the recipe's own strategy goes by them",
    "typiclust": "features, which are kept only where the recipe's own strategy goes by them",
    "proxy_rank": "a proxy model that has scored the cases left",
}
"""Of those that need something else than `_A_MODEL`, without the `_slices` of their names."""


def in_order(names: Collection[str], own: str) -> list[str]:
    """The names as they are offered: `recipe`, those that suit the project, the others, and `random` at the end.

    Those suit it that ask for what `own`, the recipe's strategy, asks for, volumes or slices: itself, what every other
    one has to beat, and those that are for every project. The others are sorted, of the project's kind first.
    """
    few = suiting(names, own)
    others = sorted(set(names) - set(few), key=lambda name: (asks_slices(name) != asks_slices(own), name))
    return [OWN, *few, *others, OHIF]


def suiting(names: Collection[str], own: str) -> list[str]:
    """The few of `names` that suit a project whose recipe's strategy is `own`, which is the first of them."""
    few = dict.fromkeys((own, *(_SUITING_SLICES if asks_slices(own) else _SUITING_VOLUMES)))
    return [name for name in few if name in names]


def described(name: str, summary: str, suits: bool) -> str:
    """What a strategy says of itself: what it asks for, what it needs, and whether it is for experts."""
    needs = _NEEDS.get(name.removesuffix(_SUFFIX), _A_MODEL)
    return f"{summary}. {'Needs' if suits else 'For experts; needs'} {needs}."


def own_description(recipe: str, own: str) -> str:
    """What `recipe` says of itself."""
    return f"The recipe's own strategy: {own}, as the recipe {recipe} or --conf strategy says."


def ohif_description(own: str) -> str:
    """What `random` says of itself."""
    return (
        f"Not random: the recipe's own strategy, {own}, as '{OWN}', under the only name for which OHIF asks. "
        "True random is random_volumes, or random_slices."
    )
