"""Label files that a power cut has taken, or cut short, before the disk had them: the ledger has their contents."""

import logging
from pathlib import Path

from activelabel.data.files.writing import make_lasting_folder, sync_file, sync_folder, write_atomically
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)


def write_unsynced(ledger: Ledger, kept: Path) -> None:
    """Have each label file below `kept` whose content the ledger keeps on the disk; the ledger then forgets it.

    Another server of the ledger may have written some of them a moment ago: that does no harm.

    Raises:
        OSError: the disk is full or cannot be written; the ledger goes on to keep the contents.
    """
    names = write_lost(ledger, kept)
    for name in names:
        sync_file(kept / name)
    for folder in {kept, *((kept / name).parent for name in names)} if names else ():
        sync_folder(folder)
    if names:
        ledger.forget_contents(names)


def write_lost(ledger: Ledger, kept: Path) -> list[str]:
    """Write anew what is not as the ledger keeps its content; return the names of all files whose content it keeps.

    The ledger stays as it is, so that a command that reads labels may do this also while a server runs: whose files are
    there before the ledger has their contents.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    contents = ledger.label_contents()
    for name, content in contents.items():
        file = kept / name
        if not (file.is_file() and file.read_bytes() == content):
            make_lasting_folder(file.parent)
            write_atomically(file, content)
            logger.warning("the label %s was gone, or cut short, as after a power cut, and is written anew", name)
    return [*contents]
