"""What is asked for before a strategy can rank: what the recipe starts with."""

from collections.abc import Callable, Iterator

from activelabel.project.project import Project
from activelabel.recipes.strategy_traits import Needs, Traits
from activelabel.strategies.at_random import random_proposals, random_slice_proposals, strided_slice_proposals
from activelabel.strategies.by_proxy import proxy_rank_proposals
from activelabel.strategies.proposal import NotRankedYet, Proposal, Proposals
from activelabel.strategies.spread import coreset_proposals, typiclust_proposals

Start = Callable[[Project, str], Iterator[Proposal]]
"""From a project, and the reason why nothing is ranked, to the cases to ask for instead."""


def proposals_or_start(project: Project, propose: Proposals, start: Start) -> Iterator[Proposal]:
    """What a strategy proposes, or what `start` does while the strategy cannot rank yet."""
    try:
        yield from propose(project)
    except NotRankedYet as missing:
        yield from start(project, missing.reason)


def start_of(traits: Traits) -> Start:
    """What takes the place of a strategy of these traits while it cannot rank.

    A strategy that the recipe's cold start may go by itself starts at random.
    """
    if traits.asks_slices:
        return start_proposals
    return random_proposals if traits.needs in (Needs.FEATURES, Needs.PROXY) else first_volumes


def start_proposals(project: Project, reason: str) -> Iterator[Proposal]:
    """The slices, or the volumes, that the recipe starts with."""
    query = project.recipe.query
    match query.start_strategy:
        case "random_slices":
            return random_slice_proposals(project, reason, query.start)
        case "strided_slices":
            return strided_slice_proposals(project, reason)
        case "random_volumes":
            return first_volumes(project, reason)


def first_volumes(project: Project, reason: str) -> Iterator[Proposal]:
    """Whole volumes by the recipe's cold start; at random for `reason` where it has none."""
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
