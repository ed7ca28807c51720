"""What Python 3.11 brings and Python 3.10 lacks, for the modules that need it."""

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


__all__ = ["StrEnum", "tomllib"]
