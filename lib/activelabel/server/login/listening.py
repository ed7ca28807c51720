"""Reads the address at which the server listens, and refuses one that other machines reach without a login.

The host does not tell the app its address, so it is read from the command line again.
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
    """The address at which the server listens.

    Attributes:
        host: `--host` of `monailabel start_server`. None without it: the server then listens everywhere, and
            the guard answers only this machine, unless there are users.
        closed: whether the server has a certificate, so that the connection is encrypted.
    """

    host: str | None
    closed: bool

    @property
    def is_beyond(self) -> bool:
        """Whether `--host` names an address that other machines can reach."""
        return self.host is not None and not is_loopback(self.host)

    def address(self, port: int) -> str:
        """The address of the server for a client on this machine."""
        host = self.host if self.host and self.host not in EVERYWHERE else "127.0.0.1"
        return f"{'https' if self.closed else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def place_asked_for(arguments: Sequence[str]) -> Place:
    """The place that the arguments of a command line name."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("-i", "--host")
    parser.add_argument("--ssl_certfile")
    options = parser.parse_known_args([*arguments])[0]
    return Place(options.host or None, bool(options.ssl_certfile))


def require_login(project: Project, place: Place, *, has_provider: bool) -> None:
    """Refuse to start if other machines could connect without a login; warn if the connection is not encrypted.

    Raises:
        NotReadyError: other machines could connect, there are neither users nor a login provider, and the setting
            `allow_remote` does not say that a proxy asks for the login.
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
