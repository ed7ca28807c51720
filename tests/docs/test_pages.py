"""What README and docs name exists: pages, routes, settings, recipe keys, and names of the code."""

import ast
import importlib.util
import json
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from documents import DOCUMENTS, ROOT, inline, named, snippets

from activelabel.backports import tomllib
from activelabel.project.settings import Settings
from activelabel.recipes import Recipe
from activelabel.server.login.roles import PUBLIC, matching_entries
from reference_pages.fields import answer_rows
from reference_pages.recipes_page import section_of
from reference_pages.routes_page import answer_models

DOCS = ROOT / "docs"
SITE = ROOT / "mkdocs.yml"
PACKAGES = sorted(path.parent.name for path in (ROOT / "lib" / "activelabel").glob("*/__init__.py"))
FILES = (".py", ".md", ".html", ".csv", ".toml")
"""Endings of names of files, which are none of the code."""
PATH = re.compile(
    r"(?<![\w./-])(?:\.ci|apps|benchmarks|docs|lib|sample-data|tests)/[\w./*-]*"
    r"\.(?:c|csv|html|js|json|md|png|py|sh|svg|toml)\b"
)
"""A file of the project, from its root; `*` and `NAME` stand for any name."""
ROUTE = re.compile(r"^(GET|POST|PUT|DELETE|HEAD) (/[^\s?`]*)")


class SiteLoader(yaml.SafeLoader):
    """Reads the names of Python's functions in the file as texts, and calls none."""


SiteLoader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: str(suffix))


def headings(path: Path) -> set[str]:
    """The anchors of a page, as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower() for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in plain}


@cache
def answer_keys() -> frozenset[str]:
    """The keys of the typed answers of routes, which the reference lists."""
    return frozenset(row[0].strip("`") for _, model in answer_models() for row in answer_rows(model))


@pytest.mark.parametrize("page", DOCUMENTS, ids=named)
def test_each_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"\w+://|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        if anchor:
            assert anchor in headings(found), target
        if page.is_relative_to(DOCS):
            assert found.is_relative_to(DOCS), f"{target}: the site has no page outside of docs"


@pytest.mark.parametrize("page", DOCUMENTS, ids=named)
def test_each_route_that_a_page_names_exists(page: Path) -> None:
    for text in inline(page):
        route = ROUTE.match(text)
        if route is None:
            continue
        method, path = route.groups()
        fits = matching_entries(method, re.sub(r"{[^}]*}", "x", path))
        assert fits or f"{method} {path}" in PUBLIC, text


@pytest.mark.parametrize("page", DOCUMENTS, ids=named)
def test_each_setting_that_a_page_names_exists(page: Path) -> None:
    told = re.findall(r"--conf (\w+)", page.read_text(encoding="utf-8"))
    assert {name for name in told if not name.isupper()} <= Settings.model_fields.keys()


@pytest.mark.parametrize("page", DOCUMENTS, ids=named)
def test_each_name_of_the_code_and_each_recipe_key_that_a_page_names_exists(page: Path) -> None:
    for text in inline(page):
        if re.fullmatch(r"(\w+\.)+\w+", text) and text.split(".")[0] in PACKAGES and Path(text).suffix not in FILES:
            assert is_recipe_key(text) or is_name_of_code(text) or text in answer_keys(), text


@pytest.mark.parametrize("page", DOCUMENTS, ids=named)
def test_each_file_of_the_project_that_a_page_names_exists(page: Path) -> None:
    for path in PATH.findall(page.read_text(encoding="utf-8")):
        assert any(ROOT.glob(path.replace("NAME", "*"))), path


def is_recipe_key(text: str) -> bool:
    section, _, key = text.partition(".")
    field = Recipe.model_fields.get(section)
    model = None if field is None else section_of(field)
    return model is not None and key in model.model_fields


def is_name_of_code(text: str) -> bool:
    """Whether `text` is a module, or a name that a module or a class in it defines."""
    parts, folder = text.split("."), ROOT / "lib" / "activelabel"
    for count in range(len(parts), 0, -1):
        for file in (
            folder.joinpath(*parts[:count]).with_suffix(".py"),
            folder.joinpath(*parts[:count], "__init__.py"),
        ):
            if file.is_file():
                return defines(file, tuple(parts[count:]))
    return False


@cache
def defines(file: Path, names: tuple[str, ...]) -> bool:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    for name in names:
        found = next((node for node in body if getattr(node, "name", None) == name or name in assigned(node)), None)
        if found is None:
            return False
        body = getattr(found, "body", [])
    return True


def assigned(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_each_snippet_of_python_json_and_toml_can_be_read() -> None:
    read = {"python": ast.parse, "json": lambda text: json.loads(" ".join(text.split("\n"))), "toml": tomllib.loads}
    found = snippets(*read)
    assert len(found) > 5
    for snippet in found:
        read[snippet.language](snippet.text)


def test_the_site_has_every_page_and_no_other() -> None:
    def files(entries: object) -> list[str]:
        if isinstance(entries, str):
            return [entries]
        values = entries.values() if isinstance(entries, dict) else entries
        return [file for value in values for file in files(value)]  # type: ignore[union-attr]

    pages = files(yaml.load(SITE.read_text(encoding="utf-8"), SiteLoader)["nav"])
    assert sorted(pages) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_the_site_documents_modules_that_there_are() -> None:
    told = [
        name
        for page in (DOCS / "api").glob("*.md")
        for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.M)
    ]
    assert len(told) > 40
    assert [name for name in told if importlib.util.find_spec(name) is None] == []
