"""Links in a studies folder: a target outside of it is read only if a setting allows that."""

import os
from pathlib import Path

LINKS_OUT = (
    "a link that leads out of the studies folder: put the file itself there, or allow such links with --conf "
    "links_out_of_studies true"
)


def leads_out(path: Path | str, folder: Path | str) -> bool:
    """Whether `path`, with links resolved, lies outside of `folder`, also resolved; it need not exist."""
    inside = os.path.realpath(folder)
    return os.path.commonpath((os.path.realpath(path), inside)) != inside
