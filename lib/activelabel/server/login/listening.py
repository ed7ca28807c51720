"""On which address the server was told to listen, and that nobody gets in from elsewhere without a login.

The host keeps this to itself and its web server, so it is read from the command line once more.
"""

import argparse
from collections.abc import Sequence

from activelabel.errors import NotReadyError
from activelabel.server.login.loopback import is_loopback
from activelabel.server.project import Project


def host_asked_for(arguments: Sequence[str]) -> str | None:
    """What `--host` of `monailabel start_server` says; None without it.

    The host then listens everywhere, and the guard answers this machine only, unless there are users.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("-i", "--host")
    return parser.parse_known_args([*arguments])[0].host or None


def require_login(project: Project, host: str | None, *, has_provider: bool) -> None:
    """Refuse to start where others can come in and nobody asks who they are.

    Raises:
        NotReadyError: the server would listen beyond this machine, without users and without a login provider, and
            nobody has said that something before it asks for the login.
    """
    if host is None or is_loopback(host) or has_provider or project.settings.allow_remote:
        return
    if not project.ledger.has_users():
        raise NotReadyError(
            f"--host {host}: other machines could come in, and nobody would ask who they are: add a user with "
            f"`activelabel user add NAME --role admin --studies {project.studies}`, or name a login provider "
            "(docs/security.md); --host 127.0.0.1 is for this machine only, and --conf allow_remote true where a "
            "reverse proxy asks for the login"
        )
