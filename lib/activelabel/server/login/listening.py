"""On which address the server was told to listen, and that nobody gets in from elsewhere without a login.

The host keeps this to itself and its web server, so it is read from the command line once more.
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from activelabel.errors import NotReadyError
from activelabel.project.project import Project
from activelabel.server.login.loopback import is_loopback

logger = logging.getLogger(__name__)

EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Place:
    """Where the server was told to listen.

    Attributes:
        host: what `--host` of `monailabel start_server` says; None without it: the host then listens everywhere, and
            the guard answers this machine only, unless there are users.
        closed: whether it was given a certificate, so that nobody on the way can read along.
    """

    host: str | None
    closed: bool

    @property
    def is_beyond(self) -> bool:
        """Whether it was told to listen to other machines."""
        return self.host is not None and not is_loopback(self.host)

    def address(self, port: int) -> str:
        """Where somebody at this machine finds the server."""
        host = self.host if self.host and self.host not in EVERYWHERE else "127.0.0.1"
        return f"{'https' if self.closed else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def place_asked_for(arguments: Sequence[str]) -> Place:
    """What a command line says."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("-i", "--host")
    parser.add_argument("--ssl_certfile")
    said = parser.parse_known_args([*arguments])[0]
    return Place(said.host or None, bool(said.ssl_certfile))


def require_login(project: Project, place: Place, *, has_provider: bool) -> None:
    """Refuse to start where others can come in and nobody asks who they are; warn where others can read along.

    Raises:
        NotReadyError: the server would listen beyond this machine, without users and without a login provider, and
            nobody has said that something before it asks for the login.
    """
    if not place.is_beyond or project.settings.allow_remote:
        return
    if not has_provider and not project.ledger.has_users():
        raise NotReadyError(
            f"--host {place.host}: other machines could come in, and nobody would ask who they are: add a user with "
            f"`activelabel user add NAME --role admin --studies {project.studies}`, or name a login provider "
            "(docs/security.md); --host 127.0.0.1 is for this machine only, and --conf allow_remote true where a "
            "reverse proxy asks for the login"
        )
    if not place.closed:
        logger.warning("passwords and images go over an open line: give --ssl_certfile and --ssl_keyfile")
