"""`activelabel user`: the first user begins the project's ledger, and no password is shown."""

import io
import sys
from pathlib import Path

import pytest

from activelabel.cli.main import main
from activelabel.login.passwords import verify_password
from activelabel.project.existing import existing_ledger
from activelabel.project.opening import open_project

PASSWORD = "correct horse battery"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    def run(*arguments: str, typed: str = f"{PASSWORD}\n") -> tuple[int, str]:
        studies = () if "--studies" in arguments else ("--studies", str(tmp_path))
        monkeypatch.setattr(sys, "argv", ["activelabel", "user", *arguments, *studies])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capfd.readouterr()
        assert typed.strip() == "" or typed.strip() not in printed.out + printed.err
        return int(ended.value.code or 0), printed.out + printed.err

    return run


def test_users_from_the_first_to_the_last(run, tmp_path: Path) -> None:
    code, printed = run("add", "ann")
    assert (code, printed.splitlines()[0]) == (0, "ann may log in as annotator")
    assert "they are the first" in printed
    ledger = existing_ledger("app", str(tmp_path), {})
    assert verify_password(PASSWORD, ledger.user("ann").password_hash)
    assert run("add", "mel", "--role", "manager") == (0, "mel may log in as manager\n")
    assert [line.split()[:2] for line in run("list")[1].splitlines()] == [["ann", "annotator"], ["mel", "manager"]]
    assert run("role", "ann", "admin") == (0, "ann is admin now\n")
    assert run("password", "ann", typed="another one to know\n")[0] == 0
    assert verify_password("another one to know", ledger.user("ann").password_hash)
    assert run("logout", "mel") == (0, "mel is logged out: 0 sessions ended\n")
    assert run("remove", "mel")[0] == 0
    code, printed = run("remove", "ann")
    assert "there is no user left" in printed
    assert "There is no user" in run("list")[1]


@pytest.mark.parametrize(
    ("arguments", "typed", "line"),
    [
        (["add", "ann", "--role", "boss"], PASSWORD, "role boss: expected annotator, reviewer, manager or admin"),
        (["add", "a:b"], PASSWORD, "without a colon"),
        (["add", "ann"], "short\n", "password: expected 10 to 256 characters, got 5"),
        (["add", "ann"], "", "got 0"),
        (["add", "ann", "--studies", "/nowhere/at/all"], PASSWORD, "expected a folder with images, got none"),
        (["list", "--studies", "/nowhere/at/all"], "", "--studies /nowhere/at/all: there is no such folder: mount it"),
    ],
)
def test_wrong_input_to_user_is_one_line(run, arguments: list[str], typed: str, line: str) -> None:
    code, printed = run(*arguments, typed=typed)
    assert code == 2
    assert line in " ".join(printed.split())


def test_an_unknown_user_is_named_before_a_password_is_asked_for(run) -> None:
    run("add", "ann")
    code, printed = run("password", "bob", typed="")
    assert (code, printed) == (2, "user 'bob': there is none; there are: ann\n")


def test_a_project_that_lost_its_ledger_is_not_begun_anew_by_a_user(run, tmp_path: Path) -> None:
    project = open_project("app", str(tmp_path), {"labels": "liver"})
    project.ledger.close()
    project.labels_folder.mkdir()
    (project.labels_folder / "x").write_bytes(b"x")
    project.ledger.file.unlink()
    code, printed = run("add", "ann")
    assert code == 2
    assert "activelabel restore" in printed


def test_a_server_starts_on_a_ledger_that_a_user_began(run, tmp_path: Path) -> None:
    run("add", "ann")
    assert open_project("app", str(tmp_path), {"labels": "liver"}).ledger.has_users()
