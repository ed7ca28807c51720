"""What tells a project from all others: a client sends what waits to its own project alone."""

import logging
import re
import secrets
from pathlib import Path

from activelabel.data.files.writing import write_atomically
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)

FACT = "identity"
FILE = "identity"
"""The file in the project's folder that holds it too, for a ledger that is made anew or put back as it was before."""
_BYTES = 8
"""Enough that no two projects draw the same number."""
_WRITTEN = re.compile(rf"[0-9a-f]{{{2 * _BYTES}}}")


def fixed_identity(ledger: Ledger, folder: Path, *, is_rebuilt: bool = False) -> str:
    """The identity of the project with this ledger and folder: it is drawn when the project is first opened, for good.

    It is in the ledger, so a ledger that was moved or restored is the same project at whatever address, and an import
    of an exported project is another one. A ledger without it takes that of the folder, which exists, if it is from
    before projects had one, or `is_rebuilt` from what lies there; a new ledger in an old folder is another project.
    """
    kept = _kept(folder / FILE)
    known = ledger.fact(FACT)
    if known is None:
        of_folder = kept if is_rebuilt or ledger.any_registered() else None
        reason = "drawn when the project was first opened"
        known = ledger.fix_fact(FACT, of_folder or secrets.token_hex(_BYTES), reason)
    if kept != known.value:
        _keep(folder / FILE, known.value)
    return known.value


def _keep(file: Path, identity: str) -> None:
    """Write the file, which only a ledger that is made anew needs: where it cannot be written, the ledger has it."""
    try:
        write_atomically(file, f"{identity}\n".encode())
    except OSError as error:
        logger.warning("%s cannot be written (%s): a ledger that is made anew will be another project", file, error)


def _kept(file: Path) -> str | None:
    """The identity in the file of a project's folder; None without a file, and of one that says none."""
    try:
        text = file.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("%s cannot be read: %s", file, error)
        return None
    return text if _WRITTEN.fullmatch(text) else None
