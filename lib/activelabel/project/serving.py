"""The tasks of a server process, not of its children: claiming the project, and looking after its ledger."""

import errno
import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from activelabel.data.files.writing import CANNOT_BE_WRITTEN, NO_ROOM, write_atomically
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.project.labels.record_files import write_missing_in_background
from activelabel.project.labels.unsynced import write_unsynced
from activelabel.project.log_file import keep_log
from activelabel.project.models.older import convert_older_models
from activelabel.project.opening import make_folder, plan_project, prepare_project
from activelabel.project.place import write_place
from activelabel.project.project import Project
from activelabel.project.studies import is_below
from activelabel.store.copies import keep_copying

logger = logging.getLogger(__name__)

LOCK_FILE = "server.lock"
SERVER_FILE = "server.json"
"""The file with the process that serves a project and its port, for the message to a second server."""
LOOK_EVERY = timedelta(minutes=10)

_held: list[FileLock] = []  # Deleting a lock object would release the lock.


def open_served_project(app_dir: str, studies: str, conf: Mapping[str, str], port: int) -> Project:
    """The project of a server: claimed, its ledger whole and copied.

    Raises:
        NotReadyError: another server serves the project.
        ActiveLabelError: settings, recipe, label names or ledger are wrong, or the ledger is gone.
    """
    project = plan_project(app_dir, studies, conf)
    make_folder(project)
    with disk_errors_explained(project):
        claim(project, port)
        check_ledger_is_there(project, studies)
        project.ledger.check()
        keep_log(project.log_file)
        prepare_project(project)
        project.ledger.order_at_random()  # a worker or a command may have been told another seed, and changes none
        convert_older_models(project)
        write_unsynced(project.ledger, project.labels_folder)
        write_place(project, conf)
    look_after_ledger(project)
    write_missing_in_background(project.ledger, project.labels_folder)
    return project


@contextmanager
def disk_errors_explained(project: Project) -> Iterator[None]:
    """Turn an error of a full or read-only disk at a server's start into one line.

    Raises:
        InvalidInputError: the disk is full or cannot be written.
    """
    try:
        yield
    except OSError as error:
        of_images = is_below(error, Path(project.studies)) and not is_below(error, project.folder)
        if error.errno not in CANNOT_BE_WRITTEN or (of_images and not _is_of_writing(error, project)):
            raise
        if of_images:
            raise InvalidInputError(
                f"{error.filename or project.studies} cannot be written ({error.strerror}): mend that, or name a "
                "folder for the project that is not beside the images with --conf project_dir"
            ) from error
        raise InvalidInputError(
            f"the project folder {project.folder} cannot be written ({error.strerror}): mend that, or name another "
            "with --conf project_dir"
        ) from error


def _is_of_writing(error: OSError, project: Project) -> bool:
    """Whether it was a write beside the images that failed: no image is read there, or no reading fails so."""
    return error.errno in (*NO_ROOM, errno.EROFS) or is_below(error, project.view_folder / "labels")


def claim(project: Project, port: int | None = None) -> None:
    """Make this process the only server of the project until it ends, if the ledger is a file.

    Two servers of one SQLite ledger would train twice and give each other's leases away. On PostgreSQL several servers
    may share a ledger: see `Ledger.lead`.

    Raises:
        NotReadyError: another process has claimed the project; the message names process and port.
        InvalidInputError: the project's folder cannot be written.
    """
    if project.ledger.file is None:
        return
    lock = FileLock(project.folder / LOCK_FILE)
    try:
        with disk_errors_explained(project):
            lock.acquire(timeout=0)
            if port is not None:
                write_atomically(project.folder / SERVER_FILE, json.dumps({"pid": os.getpid(), "port": port}).encode())
    except Timeout as error:
        raise NotReadyError(
            f"the project in {project.folder} is in use by {_holder(project.folder)}: stop that server, or name "
            "another folder with --conf project_dir"
        ) from error
    _held.append(lock)


def _holder(folder: Path) -> str:
    try:
        server = json.loads((folder / SERVER_FILE).read_text(encoding="utf-8"))
        return f"process {int(server['pid'])}, which serves it at port {int(server['port'])}"
    except (OSError, ValueError, KeyError, TypeError):  # The other process has not written the file yet, or could not.
        return "another process"


def check_ledger_is_there(project: Project, studies: str) -> None:
    """Raise an error if the project had a ledger that is gone: a new ledger would not know its labels and models.

    Raises:
        InvalidInputError: the project's folder has labels or models, and no ledger.
    """
    ledger = project.ledger.file
    if ledger is None or ledger.exists():
        return
    left = [folder.name for folder in (project.labels_folder, project.models_folder) if _holds_files(folder)]
    if left:
        raise InvalidInputError(
            f"the ledger {ledger} is gone, while {' and '.join(left)} of the project are in {project.folder}: put a "
            f"copy back with `activelabel restore --studies {studies}`, or begin another project with --conf "
            "project_dir"
        )


def _holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_file() for path in folder.rglob("*"))


def look_after_ledger(project: Project) -> None:
    """Copy the ledger once a day while the server runs, if it is a file and copies are wanted."""
    ledger, keep = project.ledger.file, project.settings.ledger_copies
    if ledger is None or not keep:
        return

    def report(result: Path | Exception) -> None:
        if isinstance(result, Exception):
            logger.warning("the ledger could not be copied (%s): free some room beside %s", result, ledger)
        else:
            logger.info("copied the ledger to %s", result)

    def run() -> None:
        pause = threading.Event()
        while True:
            keep_copying(ledger, keep, report)
            pause.wait(LOOK_EVERY.total_seconds())

    threading.Thread(target=run, name="ledger-copies", daemon=True).start()
