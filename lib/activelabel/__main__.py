"""The command `activelabel`, also as `python -m activelabel`: a Python that does not fit is refused before the rest."""

import os
import sys

from activelabel.python_version import require_fit_python

STOPPED_BY_CTRL_C = 130
"""The exit code of a command that was stopped so, as shells have it: 128, and 2 for SIGINT."""


def main() -> None:
    """Run the command."""
    require_fit_python()
    # OpenMP reads this when torch is loaded. By default its threads spin while they wait, and those of each thread that
    # reads images or makes scores take time from the network: a round took twice its passes on two cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from activelabel.cli.main import main as run  # what it imports may be unreadable for another Python

        run()
    except KeyboardInterrupt:  # while it imports; the command itself handles it from then on
        sys.stderr.write("stopped\n")
        sys.exit(STOPPED_BY_CTRL_C)


if __name__ == "__main__":
    main()
