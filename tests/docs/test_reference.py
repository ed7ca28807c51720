"""The pages of docs/reference are what the code says now, and nothing is left without a description."""

import re
from pathlib import Path

import pytest

from activelabel.acquisition.uncertainty import MEASURES
from activelabel.cli.main import app
from activelabel.project.settings import Settings
from activelabel.recipes import Recipe
from activelabel.recipes.strategy_traits import TRAITS
from activelabel.server.login.roles import LEAST, PUBLIC
from activelabel.server.routes.app_routes import ROUTES
from activelabel.server.routes.route_words import ANSWERS, HOST_ROUTES, PARAMETERS
from make_reference import FOLDER, reference
from reference_pages import commands_page, routes_page
from reference_pages.fields import allowed
from reference_pages.markdown import table
from reference_pages.recipes_page import section_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference()


def first_cells(page: str) -> set[str]:
    return set(re.findall(r"^\| `([^`]+)`", page, re.MULTILINE))


def test_the_committed_pages_are_what_the_code_says_now(pages: dict[str, str]) -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    stale = sorted(name for name in pages.keys() | committed.keys() if pages.get(name) != committed.get(name))
    assert not stale, "run python docs/scripts/make_reference.py"


def test_every_setting_is_there(pages: dict[str, str]) -> None:
    assert first_cells(pages["settings.md"]) == set(Settings.model_fields)


def test_every_key_of_a_recipe_is_there(pages: dict[str, str]) -> None:
    own = {name: section_of(field) for name, field in Recipe.model_fields.items()}
    keys = [*own, *(key for model in own.values() if model is not None for key in model.model_fields)]
    assert len(keys) > 65
    assert set(keys) <= first_cells(pages["recipes.md"]) | set(re.findall(r"^## \[(\w+)\]", pages["recipes.md"], re.M))


def test_every_strategy_and_measure_is_there(pages: dict[str, str]) -> None:
    assert first_cells(pages["strategies.md"]) == set(TRAITS)
    assert set(MEASURES) <= first_cells(pages["measures.md"])


def test_every_command_is_there_with_each_option(pages: dict[str, str]) -> None:
    named = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert {f"activelabel {name}" for name in named} <= {name for name, _ in commands_page.commands()}
    parts = {part.partition("`")[0]: part for part in pages["commands.md"].split("\n## `")}
    for name, command in commands_page.commands():
        for option in commands_page.options(command):
            assert option.opts[0].startswith("-") is (f"`{option.opts[0]}`" in parts[name]), f"{name} {option.opts}"


def test_every_route_is_there_with_what_it_answers(pages: dict[str, str]) -> None:
    routes = {*LEAST, *PUBLIC}
    heads = {name for name in ANSWERS if name.startswith("HEAD ")}
    assert set(ANSWERS) == routes | heads
    assert routes | heads <= first_cells(pages["routes.md"])
    assert {name for name in routes if routes_page.route_of(name) is None} - {
        "DELETE /datastore/label of others"
    } == set(HOST_ROUTES)


def test_every_parameter_of_a_route_is_described_and_no_other() -> None:
    of_the_host = {"all", "check_if_running"}
    taken = {
        field.name for route in ROUTES if hasattr(route, "dependant") for field, _ in routes_page.parameters_of(route)
    }
    assert taken | of_the_host == set(PARAMETERS)


def test_an_entry_without_a_description_is_an_error() -> None:
    assert table(("key", "description"), [("`a`", "b | c")]).endswith("| `a` | b \\| c |")
    for row in (("`a`", " "), ("", "b"), ("`a`",)):
        with pytest.raises(ValueError, match="expected 2 cells"):
            table(("key", "description"), [row])


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer", "minimum": 1, "exclusiveMaximum": 2**31}, "whole number ≥ 1, < 2147483648"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number"),
        ({"enum": ["a", "b"]}, "`a`, `b`"),
        ({"type": "array", "items": {"type": "string"}}, "list of text"),
        ({"type": "array", "prefixItems": [{"type": "number"}] * 3}, "3 × number"),
        ({"type": "array", "prefixItems": [{"type": "number"}, {"type": "integer"}]}, "[number, whole number]"),
        ({}, ""),
    ],
)
def test_what_a_schema_allows_is_said_in_a_few_words(schema: dict[str, object], text: str) -> None:
    assert allowed(schema) == text


def test_no_page_names_a_folder_of_this_machine(pages: dict[str, str]) -> None:
    assert not [name for name, text in pages.items() if str(Path.home()) + "/" in text or str(ROOT) in text]
