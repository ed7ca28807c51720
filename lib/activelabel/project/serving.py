"""What a server does with its project, and none of its children: it alone serves it, and looks after its ledger."""

import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from activelabel.data.files.writing import CANNOT_BE_WRITTEN, write_atomically
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.project.labels.record_files import write_missing_in_background
from activelabel.project.log_file import keep_log
from activelabel.project.models.older import convert_older_models
from activelabel.project.project import Project, make_folder, plan_project, prepare_project
from activelabel.store.copies import keep_copying

logger = logging.getLogger(__name__)

LOCK_FILE = "server.lock"
SERVER_FILE = "server.json"
"""Which process serves a project, and at which port: what is told to a second one."""
LOOK_EVERY = timedelta(minutes=10)

_held: list[FileLock] = []  # A lock is given back when its object is gone.


def open_served_project(app_dir: str, studies: str, conf: Mapping[str, str], port: int) -> Project:
    """The project of a server: claimed, its ledger whole and copied.

    Raises:
        NotReadyError: another server serves it.
        ActiveLabelError: settings, recipe, label names or ledger are wrong, or the ledger is gone; the line says what.
    """
    project = plan_project(app_dir, studies, conf)
    make_folder(project)
    with explained(project):
        claim(project, port)
        check_ledger_is_there(project, studies)
        project.ledger.check()
        keep_log(project.log_file)
        prepare_project(project)
        convert_older_models(project)
    look_after_ledger(project)
    write_missing_in_background(project.ledger, project.labels_folder)
    return project


@contextmanager
def explained(project: Project) -> Iterator[None]:
    """Turn what a disk that is full, or cannot be written, raises while a server starts into one line.

    Raises:
        InvalidInputError: that line.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in CANNOT_BE_WRITTEN:
            raise
        raise InvalidInputError(
            f"the project folder {project.folder} cannot be written ({error.strerror}): mend that, or name another "
            "with --conf project_dir"
        ) from error


def claim(project: Project, port: int | None = None) -> None:
    """Be the only server of this project until the process ends, if its ledger is a file.

    Two servers of one SQLite ledger would train twice and give each other's leases away. On PostgreSQL several servers
    may share a ledger: see `Ledger.lead`.

    Raises:
        NotReadyError: another process has claimed it; the line names process and port.
        InvalidInputError: nothing can be written in the project's folder.
    """
    if project.ledger.file is None:
        return
    lock = FileLock(project.folder / LOCK_FILE)
    try:
        with explained(project):
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
    except (OSError, ValueError, KeyError, TypeError):  # It is about to write the file, or could not.
        return "another process"


def check_ledger_is_there(project: Project, studies: str) -> None:
    """Refuse to begin a new ledger in a project that had one: its labels and models would be nobody's.

    Raises:
        InvalidInputError: labels or models are in the project's folder, and no ledger.
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
    """Copy the ledger once a day as long as the server runs, if it is a file and copies are wanted."""
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
