"""A file to which a long run appends each result, so that the run can be stopped and continued at any time."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from activelabel.errors import InvalidInputError


class Journal:
    """Lines of JSON: the first identifies the computation, each of the others is a result.

    Attributes:
        entries: the results so far, those of earlier runs first.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], anew: bool = False) -> None:
        """Begin the file, or continue it; an incomplete last line, left by a kill, is dropped.

        Args:
            path: the file; its folder must exist.
            identity: the settings that two runs must share to share a file.
            anew: whether to replace a file of another computation.

        Raises:
            InvalidInputError: the file is of another computation, and `anew` is false.
        """
        self._path = path
        first = json.dumps(dict(identity), sort_keys=True)
        lines = _complete_lines(path)
        if lines and lines[0] != first:
            if not anew:
                raise InvalidInputError(
                    f"{path.name} is of a run with other settings ({lines[0]}); remove it to start anew"
                )
            lines = []
        self.entries: list[dict[str, Any]] = [json.loads(line) for line in lines[1:]]
        path.write_text("".join(f"{line}\n" for line in (lines or [first])), encoding="utf-8")

    def add(self, entry: Mapping[str, Any]) -> None:
        """Add a result; when this returns, it survives a kill."""
        self.entries.append(dict(entry))
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.entries[-1]) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Remove the file, once its results are kept elsewhere."""
        self._path.unlink()


def _complete_lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return [line[:-1] for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"]
