"""All strategies, by name: how each proposes what is asked for next, and one line on it."""

from collections.abc import Iterator
from functools import partial

from activelabel.errors import NotFoundError
from activelabel.project.project import Project, ScoreKind
from activelabel.recipes import LEAST_REPEATS, Recipe, needs_repeats
from activelabel.recipes.schema import asks_slices
from activelabel.recipes.strategy_traits import MEAN_MEASURES, OBJECT_MEASURES, UNCERTAINTY_VOLUMES
from activelabel.strategies.asking import ProjectStrategy, SliceStrategy
from activelabel.strategies.at_random import Proposal, Proposals, random_proposals
from activelabel.strategies.blend import blend_proposals, blend_slice_proposals
from activelabel.strategies.by_proxy import proxy_rank_proposals
from activelabel.strategies.by_score import highest_proposals, selective_proposals
from activelabel.strategies.foreground import foreground_random_proposals, foreground_random_slice_proposals
from activelabel.strategies.listing import (
    OHIF,
    OWN,
    described,
    in_order,
    ohif_description,
    own_description,
    suiting,
)
from activelabel.strategies.noisy import (
    clasp_proposals,
    clasp_slice_proposals,
    power_proposals,
    power_slice_proposals,
)
from activelabel.strategies.slice_rounds import (
    highest_slice_proposals,
    peak_proposals,
    random_slices_of_round,
    selective_slice_proposals,
    strided_slice_proposals,
)
from activelabel.strategies.spread import coreset_proposals, typiclust_proposals
from activelabel.strategies.spread_slices import coreset_slice_proposals, typiclust_slice_proposals
from activelabel.strategies.trust import proposals_by_doubt

MEASURED_BY = {
    "variance": "predictions vary most between Monte Carlo repeats (rahimi2022, eq. 1; MC dropout in ma2024)",
    "entropy": "mean prediction has the largest entropy (chlebus2022, eq. 2)",
    "mutual_information": "Monte Carlo repeats disagree most, noise in the image left out (BALD)",
    "least_confidence": "most probable class is least probable",
    "margin": "two most probable classes are closest",
}


VOLUMES: dict[str, tuple[Proposals, str]] = {
    "random_volumes": (
        lambda project: random_proposals(project, "drawn at random from the pool"),
        "Volumes at random: what every other strategy has to beat",
    ),
    "foreground_random": (
        foreground_random_proposals,
        "Volumes at random, two thirds in proportion to their predicted foreground: a strong simple baseline",
    ),
    "uncertainty_volumes": (
        lambda project: highest_proposals(project, *UNCERTAINTY_VOLUMES),
        "Volumes with the largest mean entropy in and around the predicted foreground (chlebus2022, UVS)",
    ),
    "power_bald": (
        lambda project: power_proposals(project, "mutual_information"),
        "Volumes drawn in proportion to their mutual information (Kirsch et al. 2021, PowerBALD)",
    ),
    "power_entropy": (
        lambda project: power_proposals(project, "entropy"),
        "Volumes drawn in proportion to their entropy (power noise of Kirsch et al. 2021)",
    ),
    "clasp_pe": (
        clasp_proposals,
        "Volumes with the largest entropy, two thirds of them class by class, with noise that fades (ClaSP PE)",
    ),
    "blend": (
        blend_proposals,
        "Volumes drawn in proportion to the doubt in predicted structures, all classes alike (ours)",
    ),
    "coreset": (coreset_proposals, "Volumes that cover what the model sees in the pool (core-set)"),
    "typiclust": (typiclust_proposals, "Volumes that are typical of what the model sees in the pool (TypiClust)"),
}
"""Those that ask for volumes, without those that there are for each measure."""
SLICES: dict[str, tuple[Proposals, str]] = {
    "random_slices": (
        random_slices_of_round,
        "Slices at random from all volumes (chlebus2022, RSS)",
    ),
    "strided_slices": (
        lambda project: strided_slice_proposals(project, "drawn at random"),
        "Every n-th slice of volumes at random: what a reader draws who lets her tool interpolate",
    ),
    "foreground_random_slices": (
        foreground_random_slice_proposals,
        "Slices at random, two thirds of those with predicted foreground: a strong simple baseline",
    ),
    "uncertainty_slices": (
        peak_proposals,
        "Slices at the largest peaks of mean entropy, of all volumes (chlebus2022, USS)",
    ),
    "power_bald_slices": (
        lambda project: power_slice_proposals(project, "mutual_information"),
        "Slices drawn in proportion to their mutual information (Kirsch et al. 2021, PowerBALD)",
    ),
    "power_entropy_slices": (
        lambda project: power_slice_proposals(project, "entropy"),
        "Slices drawn in proportion to their entropy (power noise of Kirsch et al. 2021)",
    ),
    "clasp_pe_slices": (
        clasp_slice_proposals,
        "Slices with the largest entropy, two thirds of them class by class, with noise that fades (ClaSP PE)",
    ),
    "blend_slices": (
        blend_slice_proposals,
        "A few slices through the structures predicted in volumes drawn in proportion to the doubt in them (ours)",
    ),
    "coreset_slices": (coreset_slice_proposals, "Slices that cover what the model sees in the pool (core-set)"),
    "typiclust_slices": (
        typiclust_slice_proposals,
        "Slices that are typical of what the model sees in the pool (TypiClust)",
    ),
}
"""Those that ask for slices, without those that there are for each measure."""
NOT_BY_DOUBT = {
    *("random_volumes", "foreground_random", "coreset", "typiclust", "proxy_rank"),
    *("random_slices", "strided_slices", "foreground_random_slices", "coreset_slices", "typiclust_slices"),
}
"""Those to which it makes no difference what the model in use doubts."""
PROXY: dict[str, tuple[Proposals, str]] = {
    "proxy_rank": (
        proxy_rank_proposals,
        "Volumes of which the proxy model is least certain (nath2022, proxy ranking)",
    )
}


def _of_measures() -> dict[str, tuple[Proposals, str]]:
    """Each measure plain and selective, of volumes and of slices, the means of nath2022, and those over the object."""
    table: dict[str, tuple[Proposals, str]] = {}
    for name, kind in MEAN_MEASURES.items():
        table[name] = (
            partial(_highest, kind=kind),
            f"Volumes with the largest mean {kind[0]} of Monte Carlo repeats (nath2022, 3.4)",
        )
    for name, kind in OBJECT_MEASURES.items():
        table[name] = (
            partial(_highest, kind=kind),
            f"Volumes with the largest mean {kind[0].replace('_', ' ')} around the predicted object, whatever its size",
        )
    for measure, said in MEASURED_BY.items():
        whole, near = (measure, "everything", "total"), "near targets or boundaries (ma2024, eq. 5)"
        table[measure] = (partial(_highest, kind=whole), f"Volumes whose {said}")
        table[f"selective_{measure}"] = (partial(selective_proposals, measure=measure), f"Volumes whose {said}, {near}")
        table[f"{measure}_slices"] = (partial(highest_slice_proposals, measure=measure), f"Slices whose {said}")
        table[f"selective_{measure}_slices"] = (
            partial(selective_slice_proposals, measure=measure),
            f"Slices whose {said}, {near}",
        )
    return table


def _highest(project: Project, kind: ScoreKind) -> Iterator[Proposal]:
    return highest_proposals(project, *kind)


def _strategy(name: str, propose: Proposals, summary: str) -> type[ProjectStrategy]:
    """A strategy class of its own, which trusts doubt only where that is worth something: see `strategies.trust`.

    Whether it asks for slices is in its name.
    """
    kind: type[ProjectStrategy] = SliceStrategy if asks_slices(name) else ProjectStrategy
    if name not in NOT_BY_DOUBT:
        instead = foreground_random_slice_proposals if asks_slices(name) else foreground_random_proposals
        propose = partial(proposals_by_doubt, by_doubt=propose, instead=instead)
    return type(name, (kind,), {"propose": staticmethod(propose), "summary": summary})


STRATEGIES = {name: _strategy(name, *entry) for name, entry in (VOLUMES | SLICES | _of_measures()).items()}
PROXY_STRATEGIES = {name: _strategy(name, *entry) for name, entry in PROXY.items()}
"""Those that go by a proxy model alone: there where the recipe has one."""


def strategy_kinds(recipe: Recipe) -> dict[str, type[ProjectStrategy]]:
    """The strategies that there are under a recipe, by name."""
    return STRATEGIES if recipe.proxy is None else STRATEGIES | PROXY_STRATEGIES


def build_strategies(project: Project) -> dict[str, ProjectStrategy]:
    """All strategies by name, in the order in which clients list them, and the recipe's own under two names more.

    Those that go by repeats are left out where there are too few: they would ask in the order of the ids.

    Raises:
        NotFoundError: the recipe names one that does not exist; the text lists those there are.
    """
    own = project.recipe.query.strategy
    kinds = strategy_kinds(project.recipe)
    if own not in kinds:
        raise NotFoundError(f"query.strategy '{own}' does not exist: use one of {', '.join(sorted(kinds))}")
    repeated = project.recipe.prediction.repeats >= LEAST_REPEATS
    kinds = {name: kind for name, kind in kinds.items() if repeated or not needs_repeats(name)}
    few = suiting(kinds, own)
    built = {
        OWN: kinds[own](project, own, own_description(project.recipe.name, own)),
        OHIF: kinds[own](project, own, ohif_description(own)),
    }
    for name, kind in kinds.items():
        built[name] = kind(project, name, described(name, kind.summary, name in few))
    return {name: built[name] for name in in_order(kinds, own)}
