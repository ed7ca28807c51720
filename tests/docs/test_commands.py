"""The commands of README and docs parse, and those that cost little are run."""

import argparse
import re
import runpy
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer.main
from documents import ROOT, Command, commands
from monailabel.main import Main
from typer.testing import CliRunner

from activelabel.cli.main import app
from activelabel.cli.options import joined_settings
from activelabel.project.settings import parse_settings, setting_pairs

PLACEHOLDER = re.compile(r"^[A-Z]+(\.[a-z]+)?$")


class Parsed(Exception):
    """A command was parsed; now it would run."""


def ids(command: Command) -> str:
    return str(command)


@pytest.mark.parametrize("command", commands("activelabel"), ids=ids)
def test_a_command_of_ours_parses(command: Command) -> None:
    found: Any = typer.main.get_command(app)
    words = list(command.words[1:])
    while words and words[0] in getattr(found, "commands", {}):
        found = found.commands[words.pop(0)]
    known = {name for option in found.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known
    if command.whole:
        context = found.make_context(" ".join(command.words), list(joined_settings(words)))
        parse_settings(setting_pairs(context.params.get("conf") or []))
    else:
        name = words[0] if words and hasattr(found, "commands") else "--help"
        assert name.startswith("-") or PLACEHOLDER.match(name), "there is no such command"


@pytest.mark.parametrize("command", commands("monailabel"), ids=ids)
def test_a_start_of_the_server_parses_with_its_settings(command: Command) -> None:
    assert command.words[1] == "start_server"
    if command.whole:
        args = Main().args_parser().parse_args(command.words[1:])
        assert (ROOT / args.app / "main.py").is_file()
        parse_settings(dict(args.conf or []))


@pytest.mark.parametrize("command", commands("python"), ids=ids)
def test_a_script_parses_its_options(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    as_module = command.words[1] == "-m"
    name, words = (command.words[2], command.words[3:]) if as_module else (command.words[1], command.words[2:])
    script = ROOT / (name.replace(".", "/") + ".py" if as_module else name)
    if as_module and not name.startswith("benchmarks."):
        assert find_spec(name)
        return
    if PLACEHOLDER.match(script.stem):
        assert list(script.parent.glob("*.py"))
        return
    assert script.is_file()
    if "argparse" not in script.read_text(encoding="utf-8") and "claims" not in script.read_text(encoding="utf-8"):
        assert not words
        return
    parse = argparse.ArgumentParser.parse_args

    def parse_only(parser: argparse.ArgumentParser, *args: Any, **more: Any) -> NoReturn:
        if command.whole:
            parse(parser, *args, **more)
        else:
            assert {word for word in words if word.startswith("--")} <= parser._option_string_actions.keys()
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    monkeypatch.setattr(sys, "argv", [str(script), *words])
    monkeypatch.setattr(sys, "path", [str(ROOT if as_module else script.parent), *sys.path])
    with pytest.raises(Parsed):
        runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize("command", commands("make"), ids=ids)
def test_a_target_of_make_exists(command: Command) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in command.words[1:]:
        variable = word.partition("=")[0]
        pattern = rf"^{variable} \?=" if "=" in word else rf"^{re.escape(word)}:"
        assert re.search(pattern, makefile, re.MULTILINE), f"the Makefile has no {word}"


CHEAP = ("doctor", "models", "check", "report", "restore", "user")
"""Commands that take seconds on a small project."""


def test_commands_of_the_readme_run_on_a_small_project(blobs: Callable[[int], Any], tmp_path: Path) -> None:
    studies = blobs(3).studies
    (studies / "dataset.json").write_text('{"labels": {"background": "0", "ball": "1"}}')
    run = CliRunner()

    def invoke(words: tuple[str, ...], typed: str = "") -> str:
        result = run.invoke(app, [word.replace("/data/livers", str(studies)) for word in words], input=typed)
        assert result.exit_code == 0, result.output
        return result.output

    told = [
        item.words[1:]
        for item in commands("activelabel")
        if item.document == "README.md" and "/data/livers" in item.words
    ]
    first = next(words for words in told if words[:2] == ("user", "add"))
    assert "may log in" in invoke(first, "correct horse battery\n")
    for words in sorted({words for words in told if words[0] in CHEAP and words != first}):
        listing = (
            ("--list",)
            if words[0] == "restore"
            else ("--out", str(tmp_path / "report.html"))
            if words[0] == "report"
            else ()
        )
        invoke((*words, *listing))
    assert (tmp_path / "report.html").is_file()
