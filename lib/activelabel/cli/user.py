"""The command `activelabel user`: manages users and their roles. A running server follows at once."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from activelabel.cli.options import Conf, Studies
from activelabel.errors import InvalidInputError
from activelabel.names import APP_FOLDER
from activelabel.store.records.people import UserRole

if TYPE_CHECKING:
    from activelabel.store.ledger import Ledger

ROLE_WORDS = "annotator, reviewer, manager or admin"

user = typer.Typer(help="Users who log in with a password: add, list, remove, password, role, logout.",
                   no_args_is_help=True)  # fmt: skip

Name = Annotated[str, typer.Argument(help="The name of the user, for logins and annotations.")]
RoleWord = Annotated[str, typer.Option(help=f"{ROLE_WORDS}: each role includes the permissions of those before.")]


@user.command()
def add(name: Name, studies: Studies, role: RoleWord = "annotator", conf: Conf = None) -> None:
    """Add a user. The command asks for the password, or reads the first line of the standard input.

    As soon as there is a user, everybody has to log in.
    """
    ledger = _ledger(studies, conf, begin=True)
    word = _role(role)
    first = not ledger.has_users()
    ledger.add_user(name, word, _hash_of_new_password())
    typer.echo(f"{name} may log in as {word}")
    if first:
        typer.echo("they are the first: from now on the server of this project asks everybody to log in")


@user.command("list")
def list_users(studies: Studies, conf: Conf = None) -> None:
    """List all users with their roles."""
    users = _ledger(studies, conf).users()
    if not users:
        typer.echo("There is no user: the server answers its own machine, without a login.")
    width = max((len(one.name) for one in users), default=0)
    for one in users:
        typer.echo(f"{one.name.ljust(width)}  {one.role.ljust(9)}  since {one.created_at:%Y-%m-%d}")


@user.command()
def remove(name: Name, studies: Studies, conf: Conf = None) -> None:
    """Remove a user and log them out. The labels keep the user's name."""
    ledger = _ledger(studies, conf)
    ledger.remove_user(name)
    typer.echo(f"{name} may log in no more, and is logged out")
    if not ledger.has_users():
        typer.echo("there is no user left: the next server that starts for this project asks for no login")


@user.command()
def password(name: Name, studies: Studies, conf: Conf = None) -> None:
    """Change a user's password, and log them out. The command asks for it, or reads it from the standard input."""
    ledger = _ledger(studies, conf)
    ledger.require_user(name)
    ledger.set_password_hash(name, _hash_of_new_password())
    typer.echo(f"{name} has another password, and is logged out")


@user.command()
def role(name: Name, to: Annotated[str, typer.Argument(help=ROLE_WORDS)], studies: Studies, conf: Conf = None) -> None:
    """Change a user's role."""
    word = _role(to)
    _ledger(studies, conf).set_user_role(name, word)
    typer.echo(f"{name} is {word} now")


@user.command()
def logout(name: Name, studies: Studies, conf: Conf = None) -> None:
    """Log a user out everywhere, including a user of a login provider."""
    ended = _ledger(studies, conf).end_sessions(name)
    typer.echo(f"{name} is logged out: {ended} session{'' if ended == 1 else 's'} ended")


def _ledger(studies: str, conf: list[str] | None, *, begin: bool = False) -> "Ledger":
    """The ledger of the project; without one an error, or, if `begin`, a new ledger."""
    # Here, so that the command's --help does not wait for torch.
    from activelabel.project.existing import existing_ledger
    from activelabel.project.opening import make_folder, plan_without_labels
    from activelabel.project.serving import check_ledger_is_there
    from activelabel.project.settings import setting_pairs
    from activelabel.project.studies import is_pacs

    pairs = setting_pairs(conf or [])
    if not begin:
        return existing_ledger(str(APP_FOLDER), studies, pairs)
    if not is_pacs(studies) and not Path(studies).is_dir():
        raise InvalidInputError(f"--studies {studies}: expected a folder with images, got none: name the right one")
    project = plan_without_labels(str(APP_FOLDER), studies, pairs)
    make_folder(project)
    check_ledger_is_there(project, studies)
    return project.ledger


def _role(word: str) -> UserRole:
    from activelabel.login.identity import ROLES

    for known in ROLES:
        if word == known:
            return known
    raise InvalidInputError(f"role {word}: expected {ROLE_WORDS}")


def _hash_of_new_password() -> str:
    """Read a new password, not as an option, which the list of processes would show; return its hash."""
    from activelabel.login.passwords import hash_password

    if sys.stdin.isatty():
        entered = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        entered = sys.stdin.readline().rstrip("\r\n")
    return hash_password(str(entered))
