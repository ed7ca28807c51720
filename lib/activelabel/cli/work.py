"""The command `activelabel work`: a worker for a project, or a fleet of them."""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from activelabel.cli.consoles import say
from activelabel.errors import InvalidInputError

if TYPE_CHECKING:
    from activelabel.project.images import DescribedImages
    from activelabel.project.project import Project
    from activelabel.work.opening import Wanted
    from activelabel.work.worker import Kind, Worker


SOME_LEFT = 3
"""The exit code where images are left that this worker could not get."""


def work(
    database_url: Annotated[
        str, typer.Option(help="The ledger: postgresql://… or sqlite:///…, without a password; see the docs for that.")
    ] = "",
    project: Annotated[Path | None, typer.Option(help="The folder of a project with an SQLite ledger instead.")] = None,
    kind: Annotated[str, typer.Option(help="What to do: score, prepare or train.")] = "score",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    studies: Annotated[
        str, typer.Option(help="Where the images are for this machine: a folder or a PACS. Default as for the server.")
    ] = "",
    project_dir: Annotated[
        str, typer.Option(help="Where the project's folder is for this machine. Default as for the server.")
    ] = "",
    server: Annotated[
        str, typer.Option(help="Fetch images and models from this server, if no folder is shared: http://host:8000.")
    ] = "",
    token_file: Annotated[
        str,
        typer.Option(
            help="A file that holds a token of POST /auth/token. Default none: a worker lets itself in by the ledger."
        ),
    ] = "",
    until_done: Annotated[bool, typer.Option("--until-done", help="End when nothing is left to do.")] = False,
    lease_seconds: Annotated[
        float, typer.Option(min=1, max=86400, help="After how long without a heartbeat others take over.")
    ] = 60.0,
    ray: Annotated[bool, typer.Option("--ray", help="Start workers with Ray, as many as there is work for.")] = False,
    ray_address: Annotated[
        str, typer.Option(help="With --ray: a cluster, as HOST:6379 on one of its nodes. Default this machine.")
    ] = "",
    most: Annotated[
        int | None, typer.Option(min=1, help="With --ray: how many workers at most. Default one a core, or a GPU.")
    ] = None,
) -> None:
    """Work for a project on this machine: score images, prepare them, or train.

    Any number of workers may run on any machines: the ledger gives each image to one of them at a time. Ctrl-C or
    SIGTERM ends a worker after the image in hand; a killed one loses nothing but that.

    Exit code 3 with --until-done: images are left that this worker could not get, and others may.
    """
    from activelabel.work.opening import Wanted, ledger_url
    from activelabel.work.tries import ImagesLeftError
    from activelabel.work.worker import check_kind

    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("activelabel").setLevel(logging.INFO)
    if (ray_address or most is not None) and not ray:
        raise InvalidInputError(f"{'--ray-address' if ray_address else '--most'}: goes with --ray")
    url = ledger_url(database_url, project, os.environ)
    wanted = Wanted(url, studies, project_dir, server, token_file, device)
    what = check_kind(kind)
    try:
        if ray or ray_address:
            done = run_fleet(wanted, what, lease_seconds, ray_address, most, until_done)
        else:
            done = work_until_stopped(wanted, what, lease_seconds, until_done, StopRequest(hard=what == "train"))
    except ImagesLeftError as error:
        say(str(error), "red")
        raise typer.Exit(SOME_LEFT) from error
    typer.echo(f"{done} done")


class StopRequest:
    """Whether this process was asked to stop: Ctrl-C or SIGTERM. A second one ends it at once.

    SIGUSR2, by which submitit has Slurm warn a job of its end, asks in the same way, however often it comes.

    With `hard`, the first one does: a training cannot end early, and begins again at its last epoch.
    """

    def __init__(self, hard: bool = False) -> None:
        self._asked = False
        self._hard = hard
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        if hasattr(signal, "SIGUSR2"):
            signal.signal(signal.SIGUSR2, self._on_signal)

    def __call__(self) -> bool:
        """Whether it was asked."""
        return self._asked

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._hard or (self._asked and number in (signal.SIGINT, signal.SIGTERM)):
            raise KeyboardInterrupt
        if not self._asked:
            sys.stderr.write("stopping after what is in hand\n")
        self._asked = True


def work_until_stopped(
    wanted: "Wanted", kind: "Kind", lease_seconds: float, until_done: bool, stopped: Callable[[], bool]
) -> int:
    """Run one worker in this process; return how many pieces it did. What it has put on this machine goes with it."""
    with _own_folder() as own:
        worker = open_worker(wanted, kind, lease_seconds, until_done, Path(own))
        worker.stopped = stopped
        logging.getLogger(__name__).info(
            "worker for %s: %s on %s", worker.project.ledger.shown_url, kind, worker.project.device
        )
        return worker.run()


def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="activelabel-work-", ignore_cleanup_errors=True)


def open_worker(wanted: "Wanted", kind: "Kind", lease_seconds: float, until_done: bool, own: Path) -> "Worker":
    """A worker with its project and its images, from the shared folder, the PACS or the server.

    `own` is an empty folder for what it keeps while it runs.
    """
    from activelabel.login.worker_passes import WorkerPass
    from activelabel.work.images import ServerImages
    from activelabel.work.opening import open_work
    from activelabel.work.token_file import TokenFile
    from activelabel.work.worker import Worker

    if wanted.server and kind == "train":
        raise InvalidInputError("--server: a training needs the project's folder, with its labels: leave --server out")
    if wanted.token_file and not wanted.server:
        raise InvalidInputError("--token-file: goes with --server")
    project = open_work(wanted, own)
    if wanted.server:
        own_pass = WorkerPass(project.ledger)
        token, renew = (TokenFile(wanted.token_file), None) if wanted.token_file else (own_pass, own_pass.renew)
        images = ServerImages(wanted.server, token, project.layout, project.models_folder, renew)
        return Worker(
            project, images, kind, lease_seconds=lease_seconds, until_done=until_done, fetch_model=images.fetch_model
        )
    return Worker(project, _images_of(project), kind, lease_seconds=lease_seconds, until_done=until_done)


def run_fleet(
    wanted: "Wanted", kind: "Kind", lease_seconds: float, address: str, most: int | None, until_done: bool
) -> int:
    """Run workers on a Ray cluster until this is stopped, or nothing is left; return how many pieces they did."""
    from activelabel.work.launching import Fleet, RayWorkers, keep_fleet
    from activelabel.work.opening import open_work
    from activelabel.work.worker import left_to_do

    if wanted.device.startswith("cuda:"):
        raise InvalidInputError(f"--device {wanted.device}: with --ray each worker has a GPU of its own: use cuda")
    fleet = Fleet(most, address=address, gpus=1 if wanted.device == "cuda" else 0)
    with _own_folder() as own:
        project = open_work(replace(wanted, device="cpu"), Path(own))  # this process runs no network
        workers = RayWorkers(fleet, partial(work_until_stopped, wanted, kind, lease_seconds, True))
        stopped = StopRequest()  # after Ray, which takes the signals for itself
        keep_fleet(workers, fleet, lambda: left_to_do(project, kind), stopped, until_done)
    return workers.done


def _images_of(project: "Project") -> "DescribedImages":
    """The images where the worker's machine sees them."""
    from activelabel.project.studies import is_pacs
    from activelabel.work.images import SharedFolder

    if not is_pacs(project.studies):
        return SharedFolder(project)
    from activelabel.server.opening import open_datastore  # the host's DICOMweb client takes a second to import

    datastore: DescribedImages = open_datastore(project, project.studies, follow_changes=False)
    return datastore
