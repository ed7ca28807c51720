"""Everything that a request could change: files, folders, and the rows of the ledger."""

import hashlib
import sqlite3
import time
from contextlib import closing
from pathlib import Path

LEDGER = "ledger.sqlite"
LOG = "server.log"


def snapshot(root: Path) -> dict[str, str]:
    """Return every file below `root` with its content's hash, every folder, and every row of a ledger.

    The server writes its listing a moment after the listed files, first under a temporary name, and removes the files
    of a request a moment after its answer: this function waits for both.
    """
    end = time.monotonic() + 60
    while time.monotonic() < end and (any(root.rglob("*.part")) or any(root.glob("tmp/activelabel-*/tmp*"))):
        time.sleep(0.05)
    seen = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.name == LEDGER:
            seen |= {f"{name}: {row}": "" for row in ledger_rows(path)}
        elif path.is_dir():
            seen[f"{name}/"] = ""
        elif not path.name.startswith(
            (LEDGER, LOG)
        ):  # without SQLite's log and index beside it, and without the server's log
            seen[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return seen


def ledger_rows(path: Path) -> list[str]:
    """Return every row of every table, as SQL."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [line for line in connection.iterdump() if line.startswith("INSERT")]
