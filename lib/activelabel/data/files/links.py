"""Links in a studies folder: what lies outside of it is read only where a setting allows that."""

import os
from pathlib import Path

LINKS_OUT = (
    "a link that leads out of the studies folder: put the file itself there, or allow such links with --conf "
    "links_out_of_studies true"
)


def leads_out(path: Path | str, folder: Path | str) -> bool:
    """Whether what is found at `path` lies outside of `folder`, wherever that itself lies; nothing need be there."""
    inside = os.path.realpath(folder)
    return os.path.commonpath((os.path.realpath(path), inside)) != inside
