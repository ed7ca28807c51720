"""The proposals before a strategy can rank: those with which the recipe starts."""

from collections.abc import Callable, Iterator

from activelabel.project.project import Project
from activelabel.recipes.strategy_traits import Needs, Traits
from activelabel.strategies.at_random import random_proposals, random_slice_proposals, strided_slice_proposals
from activelabel.strategies.by_proxy import proxy_rank_proposals
from activelabel.strategies.proposal import NotRankedYet, Proposal, Proposals
from activelabel.strategies.spread import coreset_proposals, typiclust_proposals

Start = Callable[[Project, str], Iterator[Proposal]]
"""A function from a project, and the reason why nothing is ranked, to the cases to ask for instead."""


def proposals_or_start(project: Project, propose: Proposals, start: Start) -> Iterator[Proposal]:
    """The strategy's proposals, or those of `start` while the strategy cannot rank yet."""
    try:
        yield from propose(project)
    except NotRankedYet as missing:
        yield from start(project, missing.reason)


def start_of(traits: Traits) -> Start:
    """The start that replaces a strategy of these traits while it cannot rank.

    A strategy that can itself be the recipe's cold start is replaced by random volumes.
    """
    if traits.asks_slices:
        return start_proposals
    return random_proposals if traits.needs in (Needs.FEATURES, Needs.PROXY) else first_volumes


def start_proposals(project: Project, reason: str) -> Iterator[Proposal]:
    """The slices or volumes with which the recipe starts."""
    query = project.recipe.query
    match query.start_strategy:
        case "random_slices":
            return random_slice_proposals(project, reason, query.start)
        case "strided_slices":
            return strided_slice_proposals(project, reason)
        case "random_volumes":
            return first_volumes(project, reason)


def first_volumes(project: Project, reason: str) -> Iterator[Proposal]:
    """Whole volumes by the recipe's cold start; random ones, with `reason`, if it has none."""
    settings = project.recipe.proxy
    match settings.cold_start if settings is not None else "none":
        case "proxy_rank":
            return proposals_or_start(project, proxy_rank_proposals, random_proposals)
        case "typiclust":
            return proposals_or_start(project, typiclust_proposals, random_proposals)
        case "coreset":
            return proposals_or_start(project, coreset_proposals, random_proposals)
        case "none":
            return random_proposals(project, reason)
