"""What Python 3.10 lacks and Python 3.11 brings, and what Windows lacks, for the modules that need it."""

import os
import sys

if sys.version_info >= (3, 11):
    from enum import StrEnum

    import tomllib
else:
    from enum import Enum

    import tomli as tomllib

    class StrEnum(str, Enum):
        """An enum whose members are texts, and are printed as these."""

        __str__ = str.__str__


ON_WINDOWS = os.name == "nt"


def parent_lives(parent: int) -> bool:
    """Whether this process still has the parent with that id.

    On POSIX an orphan gets another parent; on Windows it keeps the number of the one that has ended.
    """
    if os.getppid() != parent:
        return False
    if not ON_WINDOWS:
        return True
    import psutil  # here, so that commands that only say their --help do not wait for it

    return psutil.pid_exists(parent)


__all__ = ["ON_WINDOWS", "StrEnum", "parent_lives", "tomllib"]
