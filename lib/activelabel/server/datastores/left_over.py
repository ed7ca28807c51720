"""Unfinished files that a killed server has left: of a listing of a million images, 175 MB."""

import logging
import threading

from activelabel.annotation.history_reader import ORIGINAL
from activelabel.data.files.eviction import remove_abandoned
from activelabel.project.listing import LISTING
from activelabel.project.project import Project
from activelabel.project.serving import SERVER_FILE
from activelabel.server.datastores.kept_listing import KEPT
from activelabel.store.records.labels import FINAL

logger = logging.getLogger(__name__)


def remove_left_over_in_background(project: Project) -> None:
    """Do what `remove_left_over` does in a thread, since it goes through the names of all images."""
    threading.Thread(target=remove_left_over, args=(project,), name="left-over", daemon=True).start()


def remove_left_over(project: Project) -> None:
    """Remove what a killed server has not finished, for a server that has claimed the project.

    No other server writes its listing then, so one that was begun before the claim is nobody's. Other files, which a
    worker, another project's server or, on PostgreSQL, another server of this one may be writing, go after an hour.
    """
    labels = project.view_folder / "labels"
    folders = [project.folder, project.view_folder, labels / FINAL, labels / ORIGINAL]
    try:
        claimed = project.ledger.file is not None
        # Its time is by the clock of the disk, as that of the unfinished files is.
        before = (project.folder / SERVER_FILE).stat().st_mtime if claimed else None
        for folder in folders:
            if folder.is_dir() and not (labels.is_symlink() and labels in folder.parents) and not folder.is_symlink():
                remove_abandoned(folder, {} if before is None else {LISTING: before, KEPT: before})
    except OSError as error:
        logger.warning("unfinished files of an earlier server cannot be looked for: %s", error)
