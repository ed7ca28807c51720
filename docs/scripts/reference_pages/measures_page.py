"""Every measure and region, and what a recipe may name besides: networks, losses, augmentations."""

from collections.abc import Callable, Iterator, Mapping

from activelabel.acquisition import aggregation, regions, uncertainty
from activelabel.names import AGGREGATIONS
from activelabel.networks import NETWORKS
from activelabel.recipes import LEAST_REPEATS, needs_repeats
from activelabel.training.augmentation import AUGMENTATIONS
from activelabel.training.losses.by_name import LOSSES
from reference_pages.markdown import code, page, section, table

INTRODUCTION = """
A score is a measure of each voxel, over a region, as a total or a mean. When to use which:
[uncertainty](../uncertainty.md).
""".strip()
_REGION_FUNCTIONS = {"object": "predicted_object"}
"""Of regions whose function has another name."""


def measures_page() -> str:
    """The page."""
    return page(
        "Measures, regions, networks and losses",
        INTRODUCTION,
        section("Measures", table(("measure", "repeats", "what it is"), _measures())),
        section("Regions", table(("region", "which voxels count"), _regions())),
        section("Aggregations", table(("aggregation", "what it is"), _aggregations())),
        section("Networks", "`network.kind` of a recipe.", table(("network", "what it is"), first_lines(NETWORKS))),
        section("Losses", "`training.loss` of a recipe.", table(("loss", "what it is"), _losses())),
        section(
            "Augmentations",
            "`training.augmentation` of a recipe.",
            table(("augmentation", "what it does"), first_lines(AUGMENTATIONS)),
        ),
    )


def first_lines(functions: Mapping[str, Callable[..., object]]) -> Iterator[tuple[str, str]]:
    """Each name with the first sentence of what its function says of itself."""
    for name, function in functions.items():
        yield code(name), first_line(function)


def first_line(documented: object) -> str:
    """The first paragraph of a docstring."""
    return " ".join((documented.__doc__ or "").strip().partition("\n\n")[0].split())


def _measures() -> Iterator[tuple[str, str, str]]:
    for name in uncertainty.MEASURES:
        repeats = f"{LEAST_REPEATS} or more" if needs_repeats(name) else "any"
        yield code(name), repeats, first_line(getattr(uncertainty, name))


def _regions() -> Iterator[tuple[str, str]]:
    for name in regions.REGIONS:
        yield code(name), first_line(getattr(regions, _REGION_FUNCTIONS.get(name, name)))


def _aggregations() -> Iterator[tuple[str, str]]:
    for name in AGGREGATIONS:
        yield code(name), first_line(getattr(aggregation, name))


def _losses() -> Iterator[tuple[str, str]]:
    for name, build in LOSSES.items():
        yield code(name), first_line(type(build()))
