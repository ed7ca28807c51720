"""The command `activelabel`, also as `python -m activelabel`: a Python that does not fit is refused before the rest."""

import sys

from activelabel.idle_threads import let_idle_threads_sleep
from activelabel.python_version import require_fit_python

STOPPED_BY_CTRL_C = 130
"""The exit code of a command that was stopped so, as shells have it: 128, and 2 for SIGINT."""


def main() -> None:
    """Run the command."""
    require_fit_python()
    let_idle_threads_sleep()
    try:
        from activelabel.cli.main import main as run  # what it imports may be unreadable for another Python

        run()
    except KeyboardInterrupt:  # while it imports; the command itself handles it from then on
        sys.stderr.write("stopped\n")
        sys.exit(STOPPED_BY_CTRL_C)


if __name__ == "__main__":
    main()
