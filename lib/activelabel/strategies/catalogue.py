"""All strategies by name: found in the modules of this folder, and checked against the table of traits.

A module offers strategies as `STRATEGIES`, a mapping from names to functions that propose cases. All other properties
of a strategy are in `recipes.strategy_traits`.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import partial

from activelabel import strategies
from activelabel.errors import NotFoundError
from activelabel.project.project import Project
from activelabel.recipes import LEAST_REPEATS, Recipe, needs_repeats
from activelabel.recipes.strategy_traits import TRAITS, Needs, traits_of
from activelabel.strategies.asking import ProjectStrategy, SliceStrategy
from activelabel.strategies.listing import (
    OHIF,
    OWN,
    described,
    in_order,
    ohif_description,
    own_description,
    suiting,
)
from activelabel.strategies.proposal import Proposals
from activelabel.strategies.start import proposals_or_start, start_of
from activelabel.strategies.trust import proposals_by_uncertainty


def found_strategies() -> dict[str, Proposals]:
    """The strategies of the modules of this folder, by name.

    Raises:
        RuntimeError: a strategy has no traits, or comes twice, or an entry of the table of traits has no strategy.
    """
    found: dict[str, Proposals] = {}
    for module in pkgutil.iter_modules(strategies.__path__, f"{strategies.__name__}."):
        offered = getattr(importlib.import_module(module.name), "STRATEGIES", {})
        twice = sorted(found.keys() & offered.keys())
        if twice:
            raise RuntimeError(f"{module.name} offers strategies that another module offers too: {', '.join(twice)}")
        found |= offered
    expected = {name for name, traits in TRAITS.items() if traits.needs is not Needs.REFERENCE_LABELS}
    if found.keys() != expected:
        without_traits, without_strategy = sorted(found.keys() - expected), sorted(expected - found.keys())
        raise RuntimeError(
            f"strategies without an entry in recipes.strategy_traits.TRAITS: {', '.join(without_traits) or 'none'}; "
            f"entries without a strategy in a module of activelabel.strategies: {', '.join(without_strategy) or 'none'}"
        )
    return found


def strategy_names(recipe: Recipe) -> list[str]:
    """The names of the strategies available with a recipe: some need its proxy model."""
    found = found_strategies()
    return [name for name in found if recipe.proxy is not None or traits_of(name).needs is not Needs.PROXY]


def build_strategy(project: Project, name: str) -> ProjectStrategy:
    """One strategy of a project, described by its summary.

    Raises:
        NotFoundError: there is no strategy of that name; the text lists those there are.
    """
    return _built(project, name, traits_of(name).summary, found_strategies())


def build_strategies(project: Project) -> dict[str, ProjectStrategy]:
    """All strategies by name, in the order in which clients list them; the recipe's own has two more names.

    Strategies whose measure needs Monte Carlo repeats are left out if the recipe has too few: they would ask in the
    order of the ids.

    Raises:
        NotFoundError: the recipe names a strategy that does not exist; the text lists those there are.
    """
    own = project.recipe.query.strategy
    known = strategy_names(project.recipe)
    if own not in known:
        raise NotFoundError(f"query.strategy '{own}' does not exist: use one of {', '.join(sorted(known))}")
    repeated = project.recipe.prediction.repeats >= LEAST_REPEATS
    names = [name for name in known if repeated or not needs_repeats(traits_of(name).measure)]
    few, found = suiting(names, own), found_strategies()
    built = {
        OWN: _built(project, own, own_description(project.recipe.name, own), found),
        OHIF: _built(project, own, ohif_description(own), found),
        **{name: _built(project, name, described(name, name in few), found) for name in names},
    }
    return {name: built[name] for name in in_order(names, own)}


def _built(project: Project, name: str, description: str, found: Mapping[str, Proposals]) -> ProjectStrategy:
    """A strategy, which uses uncertainty only while this is trusted: see `strategies.trust`."""
    traits, propose = traits_of(name), _or_start(name, found)
    if traits.by_uncertainty:
        instead = _or_start("foreground_random_slices" if traits.asks_slices else "foreground_random", found)
        propose = partial(proposals_by_uncertainty, by_uncertainty=propose, instead=instead)
    kind = SliceStrategy if traits.asks_slices else ProjectStrategy
    return kind(project, name, propose, description, is_cheap=not project.recipe.goes_by_features(name))


def _or_start(name: str, found: Mapping[str, Proposals]) -> Proposals:
    """A strategy's proposals, or those of the recipe's start while the strategy cannot rank."""
    return partial(proposals_or_start, propose=found[name], start=start_of(traits_of(name)))
