"""The names under which processes claim work, and what follows from a name: which process of this machine has died."""

import os
import secrets
import socket
from pathlib import Path

import psutil

from activelabel.store.work.claims import Claims

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_machine() -> str:
    """The name of this machine, and on Linux the boot and the space in which its process ids mean something.

    Machines that were copied from one image have one name, but each start of a system has a number of its own.
    """
    try:
        space = os.readlink("/proc/self/ns/pid")
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot[:8]}-{''.join(filter(str.isdigit, space))}"


def worker_name() -> str:
    """A name for this process's claims that no other process has."""
    return f"{this_machine()}:{os.getpid()}:{secrets.token_hex(3)}"


def release_of_dead(ledger: Claims) -> None:
    """Give back what processes of this machine held that live no more, without waiting until it expires.

    What they held before the machine was started again is left to expire: another one may be a copy of this machine,
    with the same name and id, and its processes may live.
    """
    for worker in {claim.worker for claim in ledger.claims()}:
        machine, _, rest = worker.rpartition(":")[0].rpartition(":")
        if machine == this_machine() and rest.isdigit() and not psutil.pid_exists(int(rest)):
            ledger.release_claims(worker)
