"""Make small synthetic abdominal CT volumes with labels: `python sample-data/make_abdomen.py`.

Twenty-four patients, thin and obese, with and without contrast agent, some ill, on 96 x 96 x 48 voxels. Images go to
`abdomen/`, labels to `abdomen-labels/`: serve the first, let an annotator (or a simulated one) draw the second. The
same seed makes the same files, byte for byte; what is already there is not made again.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from abdomen_phantom.files import Folders, read_stamp, stamp, write_case, write_lists
from abdomen_phantom.patient import DECK_SIZE, Patient, deal_patients

WRONG_USE = 2
INTERRUPTED = 130


class MisuseError(Exception):
    """What the user asked for cannot be done; the text is one line that says why and what to do."""


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is 0, 2 after wrong use, 130 after an interruption."""
    options = _parser().parse_args(arguments)
    folders = Folders.below(options.out)
    try:
        patients = deal_patients(options.seed, options.cases)
        if options.picture is not None:
            _check_picture_path(options.picture)
        missing = find_missing(patients, options.seed, folders, force=options.force)
        make(missing, options.seed, folders)
        write_lists(_all_made(options.seed, folders), folders)
        if options.picture is not None:
            from abdomen_phantom.picture import choose, draw  # matplotlib takes a second to import

            draw(choose(patients), folders, options.picture)
    except (MisuseError, OSError) as error:
        print(f"make_abdomen.py: {error}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        print("make_abdomen.py: interrupted; run it again to make the rest", file=sys.stderr)
        return INTERRUPTED
    already = len(patients) - len(missing)
    print(f"{len(missing)} cases made, {already} already there: {folders.images}, {folders.labels}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _OneLineParser(prog="make_abdomen.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=_whole_number(0), default=0, help="what the cases are made from (default: 0)")
    parser.add_argument("--cases", type=_whole_number(1), default=DECK_SIZE, help=f"how many (default: {DECK_SIZE})")
    parser.add_argument("--force", action="store_true", help="make all cases again, whatever is there")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="also draw four of the cases into this PNG file")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, metavar="FOLDER", help="where (default: beside this script)"
    )
    return parser


def _whole_number(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return int(text)

    return parse


def _check_picture_path(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise MisuseError(f"--picture: expected a name that ends in .png, got {path}")
    if not path.parent.is_dir():
        raise MisuseError(f"--picture: there is no folder {path.parent}; make it first")


def find_missing(patients: list[Patient], seed: int, folders: Folders, force: bool = False) -> list[Patient]:
    """The patients who have no image or no label yet, or a broken one; everyone with `force`.

    Raises:
        MisuseError: a file of that name was made from something else, and `force` is not given.
    """
    if force:
        return patients
    for patient in patients:
        for path in folders.files_of(patient):
            found = read_stamp(path)
            if found and found != stamp(patient, seed):
                raise MisuseError(
                    f"{path} was made otherwise: expected {stamp(patient, seed)!r}, got {found!r}; "
                    "give --force to replace all cases, or another --out"
                )
    return [patient for patient in patients if not _is_made(patient, seed, folders)]


def _is_made(patient: Patient, seed: int, folders: Folders) -> bool:
    return all(read_stamp(path) == stamp(patient, seed) for path in folders.files_of(patient))


def _all_made(seed: int, folders: Folders) -> list[Patient]:
    """Everyone whose files are there, those of an earlier run with more cases included."""
    known = deal_patients(seed, len(list(folders.images.glob("*.nii.gz"))))
    return [patient for patient in known if _is_made(patient, seed, folders)]


def make(patients: list[Patient], seed: int, folders: Folders) -> None:
    """Make the cases, two at a time, with a progress bar. A case is there whole or not at all."""
    folders.images.mkdir(parents=True, exist_ok=True)
    folders.labels.mkdir(parents=True, exist_ok=True)
    if not patients:
        return
    workers = min(2, os.cpu_count() or 1)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, transient=True, console=Console(stderr=True)) as progress,
        ProcessPoolExecutor(workers, get_context("spawn")) as pool,
    ):
        task = progress.add_task("scanning", total=len(patients))
        try:
            with _interrupts_held():  # the workers inherit that, and so finish the case in hand
                futures = [pool.submit(write_case, patient, seed, folders) for patient in patients]
            for future in as_completed(futures):
                future.result()
                progress.advance(task)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def _interrupts_held() -> Iterator[None]:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


if __name__ == "__main__":
    sys.exit(main())
