"""Each recipe of a paper against a table of the paper's numbers; all other numbers are marked as ours."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from paper_numbers import PAPERS, USS, Stated, table_3

from activelabel import recipes
from activelabel.recipes import load_recipe

FOLDER = Path(recipes.__file__).parent
NAMES = {"name", "title", "source"}
OF_THE_DATA = {"channels", "shown_channel"}
OURS = re.compile(r"ours: \S+")


def values_of(paper: str) -> dict[str, Any]:
    """Return every number of a loaded recipe by `section.key`, without None and without sections left out."""
    return dict(flat(load_recipe(paper).model_dump()))


def flat(content: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from flat(value, f"{key}.")
        elif value is not None and f"{section}{key}" not in NAMES | OF_THE_DATA:
            yield f"{section}{key}", value


def comments_of(paper: str) -> dict[str, str]:
    """Return the comment on the line of each key of the file."""
    comments, section = {}, ""
    for line in (FOLDER / f"{paper}.toml").read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"\[(\w+)\]", line):
            section = f"{heading[1]}."
        elif pair := re.match(r"(\w+) = [^#]*(?:# *(.*))?$", line):
            comments[f"{section}{pair[1]}"] = pair[2] or ""
    return {key: comment for key, comment in comments.items() if key not in NAMES}


def stated_keys(paper: str) -> set[str]:
    return {key for stated in PAPERS[paper] for key in stated.keys}


STATED = [pytest.param(paper, row, id=f"{paper}-{row.keys[0]}") for paper, rows in PAPERS.items() for row in rows]


@pytest.mark.parametrize(("paper", "row"), STATED)
def test_a_recipe_has_the_papers_number_and_says_where_it_stands(paper: str, row: Stated) -> None:
    values, comments = values_of(paper), comments_of(paper)
    assert row.reading(*(values[key] for key in row.keys)) == row.value
    for key in row.keys:
        assert comments[key].startswith(f"{row.where}:"), f"{key}: {comments[key]}"


@pytest.mark.parametrize("paper", PAPERS)
def test_numbers_that_the_paper_does_not_give_are_marked_as_ours(paper: str) -> None:
    of_paper = stated_keys(paper)
    unmarked = {key for key, comment in comments_of(paper).items() if key not in of_paper and not OURS.match(comment)}
    assert unmarked == set()


@pytest.mark.parametrize("paper", PAPERS)
def test_no_number_is_a_silent_default(paper: str) -> None:
    assert comments_of(paper).keys() == values_of(paper).keys()


@pytest.mark.parametrize("paper", ["nath2022", "chlebus2022"])
def test_networks_of_nath2022_and_chlebus2022_have_five_levels(paper: str) -> None:
    """nath2022, 3: "5-level encoder-decoder"; chlebus2022, II.A: "works on five resolution levels"."""
    assert len(values_of(paper)["network.channels"]) == 5


def test_the_start_of_table_3_is_12_thousand_and_round_5_lies_between_98_and_139() -> None:
    pairs = table_3()
    assert (pairs[0], pairs[5]) == ((167.0, 12000), (958.0, 98000))
    assert [after - before for before, after in zip(USS["slices"], USS["slices"][1:], strict=False)] == [200] * 5


def test_the_recipes_head_lists_the_sizes_that_differ_for_the_spleen() -> None:
    """ma2024, 3.1, has two data sets; the recipe's head lists the changes for the second."""
    head = (FOLDER / "ma2024.toml").read_text(encoding="utf-8").split("\nname = ")[0]
    for change in ("--conf start 150", "--conf query_size 50", "batch_size = 16"):
        assert change in head
