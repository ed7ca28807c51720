"""Links in a studies folder: a target outside of it is read only if a setting allows that."""

import os
from pathlib import Path
from typing import Protocol

from activelabel.errors import InvalidInputError


class Entry(Protocol):
    """An entry of a folder, as `os.scandir` gives them."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def path(self) -> str:
        """Its path."""

    def is_dir(self) -> bool:
        """Whether it is a folder, or a link to one."""

    def is_file(self) -> bool:
        """Whether it is a file, or a link to one."""

    def is_symlink(self) -> bool:
        """Whether it is a link."""


LINKS_OUT = (
    "a link that leads out of the studies folder: put the file itself there, or allow such links with --conf "
    "links_out_of_studies true"
)


def leads_out(path: Path | str, folder: Path | str) -> bool:
    """Whether `path`, with links resolved, lies outside of `folder`, also resolved; it need not exist."""
    inside = os.path.realpath(folder)
    return os.path.commonpath((os.path.realpath(path), inside)) != inside


def make_link(link: Path, target: Path) -> None:
    """Link to a file. Where the system lets this user make no symbolic link, as Windows does, the link is a hard one.

    Raises:
        InvalidInputError: neither can be made.
    """
    try:
        link.symlink_to(target)
    except OSError:
        try:
            link.hardlink_to(target)
        except OSError as error:
            raise InvalidInputError(
                f"{link}: no link to {target} can be made ({error.strerror}): name a folder on the disk of the images"
            ) from error


def is_link_out(entry: Entry, within: Path | None) -> bool:
    """Whether an entry is a link that leads out of `within`; None allows all."""
    return within is not None and entry.is_symlink() and leads_out(entry.path, within)
