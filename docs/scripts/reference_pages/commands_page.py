"""Every command with its options."""

from collections.abc import Iterator
from typing import Any

import typer.main
from typer.core import TyperGroup

from activelabel.cli.main import app
from reference_pages.markdown import code, page, section, table

INTRODUCTION = """
`activelabel COMMAND --help` says the same as this page. What a user can mend is one line, and exit code 2.
""".strip()
HEADER = ("option", "default", "description")


def commands_page() -> str:
    """The page."""
    return page("Commands", INTRODUCTION, *(_section(name, command) for name, command in commands()))


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, that of the program first."""
    yield from _below("activelabel", typer.main.get_command(app))


def options(command: Any) -> Iterator[Any]:
    """The arguments and options of a command, without those that every command has."""
    return (item for item in command.params if item.name not in ("help", "install_completion", "show_completion"))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    if isinstance(command, TyperGroup):
        for own, below in command.commands.items():
            yield from _below(f"{name} {own}", below)


def _section(name: str, command: Any) -> str:
    if not (command.help or "").strip():
        raise ValueError(f"{name}: a command has to say what it does")
    rows = [(_names(item), _default(item), item.help or "") for item in options(command)]
    return section(code(name), command.help.strip(), table(HEADER, rows) if rows else "")


def _names(item: Any) -> str:
    if item.opts[0].startswith("-"):
        return ", ".join(map(code, (*item.opts, *item.secondary_opts)))
    return code(item.metavar or item.opts[0].upper())


def _default(item: Any) -> str:
    if item.required:
        return "required"
    if item.default is None or item.default in ((), [], False):
        return "off" if item.default is False else ""
    return code(item.default)
