"""Every strategy."""

from collections.abc import Iterator

from activelabel.recipes import LEAST_REPEATS, needs_repeats
from activelabel.recipes.strategy_traits import TRAITS
from activelabel.strategies.listing import OHIF, OWN, described
from reference_pages.markdown import code, page, section, table

INTRODUCTION = f"""
A strategy says what is asked for next. `--conf strategy NAME` or `query.strategy` of a recipe names the one that a
project goes by; a client may ask for another. `{OWN}` is the project's own, and so is `{OHIF}`, because OHIF asks for
no other name. What to choose: [strategies](../strategies.md).
""".strip()
HEADER = ("strategy", "by uncertainty", "repeats", "what it asks for and needs")


def strategies_page() -> str:
    """The page."""
    volumes, slices = (table(HEADER, rows(of_slices=of_slices)) for of_slices in (False, True))
    return page("Strategies", INTRODUCTION, section("Of volumes", volumes), section("Of slices", slices))


def rows(*, of_slices: bool) -> Iterator[tuple[str, str, str, str]]:
    """A row for each strategy that asks for slices, or for volumes."""
    for name, traits in sorted(TRAITS.items()):
        if traits.asks_slices == of_slices:
            repeats = f"{LEAST_REPEATS} or more" if needs_repeats(traits.measure) else "any"
            yield code(name), "yes" if traits.by_uncertainty else "no", repeats, described(name, suits=True)
