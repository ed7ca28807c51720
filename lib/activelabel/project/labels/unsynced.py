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
    contents = ledger.label_contents()
    for name, content in contents.items():
        file = kept / name
        if file.is_file() and file.read_bytes() == content:
            sync_file(file)
        else:
            make_lasting_folder(file.parent)
            write_atomically(file, content)
            logger.warning("the label %s was gone, or cut short, as after a power cut, and is written anew", name)
    for folder in {kept, *((kept / name).parent for name in contents)} if contents else ():
        sync_folder(folder)
    if contents:
        ledger.forget_contents(contents)
