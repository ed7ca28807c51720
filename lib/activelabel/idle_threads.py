"""How the threads of OpenMP, among which torch divides its work, wait for each other."""

import os

SPINS = "1000"
"""Some 10 µs: as long as between two steps of a network, so that these find the threads awake."""


def let_idle_threads_sleep() -> None:
    """Have threads that wait sleep after a moment, unless the environment says how they wait.

    To be called before torch is loaded, when OpenMP reads it; that of GNU, which torch has on Linux, knows the moment.
    By default they spin for milliseconds, and take time from other threads and processes: a training beside a server
    took three times as long, and a round of small volumes twice its passes on two cores.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
