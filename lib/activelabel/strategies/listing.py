"""The order in which strategies are offered, and the description of each in `GET /info/`.

Slicer's module takes the first of the list, and OHIF always asks for `random`: both are the recipe's own strategy.
"""

from collections.abc import Collection

from activelabel.recipes.strategy_traits import TRAITS, traits_of

OWN = "recipe"
"""The name of the recipe's own strategy: the first of the list, which Slicer uses unless its user chooses another."""
OHIF = "random"
"""The only name that OHIF requests, whatever its menu shows: also the recipe's own strategy."""


def in_order(names: Collection[str], own: str) -> list[str]:
    """The names in the order of the list: `recipe`, those that suit the project, the others, and `random` at the end.

    `own`, the recipe's strategy, suits the project, and so do those of the same unit that are offered first. The others
    are sorted, those of the same unit before the rest.
    """
    few = suiting(names, own)
    unit = traits_of(own).unit
    others = sorted(set(names) - set(few), key=lambda name: (traits_of(name).unit != unit, name))
    return [OWN, *few, *others, OHIF]


def suiting(names: Collection[str], own: str) -> list[str]:
    """The few of `names` that suit a project whose recipe has the strategy `own`; `own` is the first."""
    unit = traits_of(own).unit
    few = [name for name, traits in TRAITS.items() if traits.offered_first and traits.unit == unit]
    return [name for name in dict.fromkeys((own, *few)) if name in names]


def described(name: str, suits: bool) -> str:
    """The description of a strategy: its queries, its needs, and whether it is for experts."""
    traits = traits_of(name)
    return f"{traits.summary}. {'Needs' if suits else 'For experts; needs'} {traits.needs.value}."


def own_description(recipe: str, own: str) -> str:
    """The description of `recipe`."""
    return f"The recipe's own strategy: {own}, as the recipe {recipe} or --conf strategy says."


def ohif_description(own: str) -> str:
    """The description of `random`."""
    return (
        f"Not random: the recipe's own strategy, {own}, as '{OWN}', under the only name for which OHIF asks. "
        "True random is random_volumes, or random_slices."
    )
