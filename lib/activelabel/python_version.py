"""Refuse a Python for which the pins were not made, in one line and before anything is imported that would fail on it.

`make` runs this file as a script with whatever Python 3 there is, so it keeps to what old ones can read.
"""

import sys

LOWEST, HIGHEST = (3, 10), (3, 12)


def unfit(version: "tuple[object, ...]") -> str:
    """The line that says why a Python of that version, such as (3, 12, 1), cannot be used; empty if it can."""
    if LOWEST <= version[:2] <= HIGHEST:
        return ""
    found = ".".join(str(part) for part in version[:3])
    return (
        f"activelabel needs Python 3.10 to 3.12 and this is {found}: use python3.11 (make PYTHON=/path/to/python3.11)"
    )


def require_fit_python() -> None:
    """End with exit code 2 and that line where this Python cannot be used."""
    problem = unfit(tuple(sys.version_info))
    if problem:
        sys.stderr.write(problem + "\n")
        sys.exit(2)


if __name__ == "__main__":
    require_fit_python()
