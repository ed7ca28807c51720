"""`--conf KEY VALUE` and `--conf KEY=VALUE` mean the same, in every command that takes settings."""

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from activelabel.cli.main import app
from activelabel.cli.options import joined_settings
from activelabel.project.settings import setting_pairs


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("doctor --conf recipe quick --studies s", "doctor --conf recipe=quick --studies s"),
        ("doctor --conf recipe=quick --studies s", "doctor --conf recipe=quick --studies s"),
        ("user add ann --conf min_doubt -0.5", "user add ann --conf min_doubt=-0.5"),
        ("a --conf database_url sqlite:///x?a=b", "a --conf database_url=sqlite:///x?a=b"),
        ("a --conf a 1 --conf b=2 --conf c 3", "a --conf a=1 --conf b=2 --conf c=3"),
        ("a --conf recipe --conf a 1", "a --conf recipe --conf a=1"),
        ("a --conf recipe --studies s", "a --conf recipe --studies s"),
        ("a --conf recipe", "a --conf recipe"),
        ("a --conf", "a --conf"),
        ("a --conf=seed=1 b", "a --conf=seed=1 b"),
        ("a -- --conf a 1", "a -- --conf a 1"),
    ],
)
def test_the_two_words_of_a_setting_become_one(typed: str, read: str) -> None:
    assert list(joined_settings(typed.split())) == read.split()


def test_a_setting_may_be_empty() -> None:
    assert setting_pairs([*joined_settings(["--conf", "labels", ""])][1:]) == {"labels": ""}


def commands_with_settings() -> list[list[str]]:
    """Return every command that has `--conf`, by its words."""
    found: list[list[str]] = []

    def look(command: object, words: list[str]) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            look(inner, [*words, name])
        if any("--conf" in parameter.opts for parameter in getattr(command, "params", [])):
            found.append(words)

    look(get_command(app), [])
    return found


def test_every_command_that_opens_a_project_takes_settings() -> None:
    users = [["user", word] for word in ("add", "list", "remove", "password", "role", "logout")]
    words = ("check", "doctor", "export", "import", "models", "report", "restore", "simulate", "start")
    named = [[word] for word in words]
    models = [["model", word] for word in ("export", "import")]
    assert sorted(commands_with_settings()) == sorted([*named, *models, *users])


NEEDED = {
    "simulate": "--images i --labels l --out o --strategy random_volumes",
    "remove": "ann --studies .", "password": "ann --studies .", "role": "ann admin --studies .",
    "export": "--studies . --out o", "import": "--from . --studies .", "model import": "weights.pt --studies .",
    "logout": "ann --studies .",
    "add": "ann --studies .",
}  # fmt: skip


@pytest.mark.parametrize("words", commands_with_settings(), ids=" ".join)
def test_both_forms_reach_the_settings_of_each_command(words: list[str], tmp_path: object) -> None:
    """Each command refuses the same wrong setting in the same words in both forms."""
    needed = NEEDED.get(" ".join(words), NEEDED.get(words[-1], "--studies .")).split()
    answers = [
        CliRunner().invoke(app, [*words, *needed, "--conf", *setting])
        for setting in (["colour", "red"], ["colour=red"])
    ]
    messages = [str(answer.exception) + answer.output for answer in answers]
    assert "colour" in messages[0]
    assert messages[0] == messages[1]
