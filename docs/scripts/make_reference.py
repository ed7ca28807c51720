"""Writes the pages of docs/reference/ from the descriptions that the code has of its settings, routes and the rest.

python docs/scripts/make_reference.py
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from reference_pages.answers_page import answers_page
from reference_pages.commands_page import commands_page
from reference_pages.markdown import page, table
from reference_pages.measures_page import measures_page
from reference_pages.recipes_page import recipes_page
from reference_pages.routes_page import routes_page
from reference_pages.settings_page import settings_page
from reference_pages.strategies_page import strategies_page

FOLDER = Path(__file__).parents[1] / "reference"
PAGES: dict[str, tuple[Callable[[], str], str]] = {
    "settings.md": (settings_page, "what `--conf` may say"),
    "recipes.md": (recipes_page, "every key of a recipe, and the recipes that come with the package"),
    "strategies.md": (strategies_page, "every strategy: what it asks for, and what it needs"),
    "measures.md": (measures_page, "every measure, region, network, loss and augmentation"),
    "commands.md": (commands_page, "every command with its options"),
    "routes.md": (routes_page, "every route: role, parameters, answer"),
    "answers.md": (answers_page, "every key of `GET /info/`, of a next sample and of a saved label"),
}


def reference() -> dict[str, str]:
    """The text of each page, by the name of its file."""
    rows = ((f"[{name.removesuffix('.md')}]({name})", said) for name, (_, said) in PAGES.items())
    return {
        "index.md": page(
            "Reference", "Made from the code by `python docs/scripts/make_reference.py`.", table(("page", "has"), rows)
        ),
        **{name: write() for name, (write, _) in PAGES.items()},
    }


def main() -> None:
    """Write all pages."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    FOLDER.mkdir(exist_ok=True)
    for name, text in reference().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
