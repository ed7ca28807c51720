"""The parts of `run.py`: each in a process of its own, with a share of the time, so that none takes another along.

An error on a GPU may leave its whole process without one, and a compiler cannot be interrupted: a process can end.
"""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any, Literal

from benchmarks.gpu.timing import Conditions, Row

Part = Callable[[Conditions], Iterator[Row]]
PRELOADED = ("torch", "monai.losses", "monai.networks.nets", "activelabel.prediction.predictor")
"""What the processes have in common is imported once. None of it may use the GPU, which a fork cannot share."""

GRACE_SECONDS = 8.0
"""How long a part may take to end by itself after its time is over."""


@dataclass
class Found:
    """What came of a part.

    Attributes:
        status: "under way"; "done"; "cut short": something was left out, mostly for lack of time; "failed".
        share_s: the seconds that it had.
        seconds: the seconds that it took.
        rows: the measurements.
        left_out: what was not measured, with the reason.
        error: why it failed.
    """

    status: str = "done"
    share_s: float = 0.0
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    error: str = ""


def contexts() -> Iterator[Any]:
    """Ways to start a process: a quick one, and one that shares nothing."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        quick = multiprocessing.get_context("forkserver")
        quick.set_forkserver_preload(list(PRELOADED))
        yield quick
    yield multiprocessing.get_context("spawn")


def run_part(context: Any, part: Part, conditions: Conditions, show: Callable[[Found], None]) -> Found:
    """Run a part until the deadline of its conditions, and stop it a little later.

    After each row `show` gets what there is so far, with the status "under way".
    """
    begun = time.monotonic()
    found = Found(share_s=round(conditions.left, 1))
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(part, conditions, sender), daemon=True)
    process.start()
    sender.close()
    end: Literal["said", "lost", "late"] = "late"
    try:
        end = _receive(receiver, found, conditions.deadline + GRACE_SECONDS, show)
    finally:  # also when this process is told to end
        process.join(0 if end == "late" else GRACE_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
    if end == "late":
        found.left_out.append("the rest: it was stopped, because its time was over")
    elif end == "lost":
        found.error = f"the process ended with code {process.exitcode}"
    found.status = "failed" if found.error else "cut short" if found.left_out else "done"
    found.seconds = round(time.monotonic() - begun, 1)
    return found


def _receive(
    receiver: Connection, found: Found, until: float, show: Callable[[Found], None]
) -> Literal["said", "lost", "late"]:
    """Take what a part sends, and return whether it told its end, ended without a word, or was not done in time."""
    while receiver.poll(max(until - time.monotonic(), 0)):
        try:
            kind, value = receiver.recv()
        except EOFError:
            return "lost"
        if kind == "row":
            found.rows.append(value)
            found.status = "under way"
            show(found)
        elif kind == "left out":
            found.left_out.append(value)
        else:
            found.error = value
            return "said"
    return "late"


def _work(part: Part, conditions: Conditions, sender: Connection) -> None:
    """The process of a part."""

    def leave_out(name: str, why: str) -> None:
        sender.send(("left out", f"{name}: {why}"))

    try:
        for row in part(replace(conditions, leave_out=leave_out)):
            sender.send(("row", row))
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the result of this part
        traceback.print_exc()
        sender.send(("end", f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}"))
    else:
        sender.send(("end", ""))
