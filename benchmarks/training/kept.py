"""What a long benchmark has measured so far, in a file, so that a second call goes on where the first one stopped."""

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class KeptRows:
    """Rows of a benchmark, written to `file` one by one; None keeps them in memory alone."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._rows: list[Row] = json.loads(file.read_text(encoding="utf-8")) if file and file.is_file() else []

    def find(self, key: Row) -> Row | None:
        """The row that has all of these values, None if there is none yet."""
        return next((row for row in self._rows if key.items() <= row.items()), None)

    def add(self, row: Row) -> None:
        """Write a row; its values are JSON's."""
        self._rows.append(row)
        if self._file is not None:
            self._file.write_text(json.dumps(self._rows, indent=1), encoding="utf-8")
