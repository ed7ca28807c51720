"""Drawings that the server does not have yet: each lies in a file of this machine until the server has taken it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DRAFT, FINISHED, CORRECTION = "draft", "finished", "correction"
"""What a drawing is: a draft, a label that is finished, or a reviewer's correction, which is never sent by itself."""


@dataclass(frozen=True)
class Unsent:
    """A drawing that waits.

    Attributes:
        image: the id of its image.
        kind: DRAFT, FINISHED or CORRECTION.
        file: the label's file.
        params: what goes with it.
        refused: the server's line, if it has refused it; it is then not sent again by itself.
    """

    image: str
    kind: str
    file: Path
    params: Mapping[str, Any]
    refused: str = ""


class Outbox:
    """A folder with at most one drawing for each image: the newest."""

    def __init__(self, folder: Path, address: str, name: str) -> None:
        """Keep the drawings of `name` for the server at `address` below `folder`."""
        whose = hashlib.sha256(f"{address}\n{name}".encode()).hexdigest()[:16]
        self.folder = folder / whose

    def place(self, image: str) -> Path:
        """A new file for the drawing of an image, to be written and then given to `put`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"new-{_stem(image)}.nii.gz"

    def put(self, image: str, kind: str, params: Mapping[str, Any]) -> Unsent:
        """Keep what was written to `place(image)`, in the stead of an older drawing of the image."""
        stem = _stem(image)
        content = self.place(image).read_bytes()
        # Each drawing has a name of its own: after a crash in between, the older one is still whole.
        file = self.folder / f"{stem}-{hashlib.sha256(content).hexdigest()[:16]}.nii.gz"
        self.place(image).replace(file)
        entry = Unsent(image, kind, file, dict(params))
        self._write(entry)
        for older in self.folder.glob(f"{stem}-*.nii.gz"):
            if older != file:
                older.unlink()
        return entry

    def refuse(self, entry: Unsent, line: str) -> None:
        """Note that the server has refused a drawing, which stays."""
        self._write(Unsent(entry.image, entry.kind, entry.file, entry.params, line))

    def remove(self, entry: Unsent) -> None:
        """Forget a drawing that the server has, unless a newer one of the image waits."""
        if self.of(entry.image) == entry:
            self._record(entry.image).unlink()
            entry.file.unlink(missing_ok=True)

    def of(self, image: str) -> Unsent | None:
        """The drawing of an image; None if there is none."""
        record = self._record(image)
        return _read(record) if record.is_file() else None

    def keep_marks(self, image: str, marks: Sequence[int]) -> None:
        """Remember which slices of an image are marked as done; without any, forget the image."""
        file = self.folder / f"{_stem(image)}.marks"
        if marks:
            file.write_text(json.dumps(list(marks)), encoding="utf-8")
        else:
            file.unlink(missing_ok=True)

    def marks_of(self, image: str) -> tuple[int, ...]:
        """The slices of an image that were marked as done on this machine."""
        file = self.folder / f"{_stem(image)}.marks"
        return tuple(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else ()

    def all(self) -> list[Unsent]:
        """All drawings, the oldest first."""
        records = self.folder.glob("*.json") if self.folder.is_dir() else ()
        return [_read(record) for record in sorted(records, key=lambda record: record.stat().st_mtime_ns)]

    def _record(self, image: str) -> Path:
        return self.folder / f"{_stem(image)}.json"

    def _write(self, entry: Unsent) -> None:
        record = self._record(entry.image)
        fields = {
            "image": entry.image,
            "kind": entry.kind,
            "file": entry.file.name,
            "params": dict(entry.params),
            "refused": entry.refused,
        }
        written = record.with_suffix(".part")
        with written.open("w", encoding="utf-8") as file:
            json.dump(fields, file)
            file.flush()
            os.fsync(file.fileno())
        written.replace(record)


def _read(record: Path) -> Unsent:
    fields = json.loads(record.read_text(encoding="utf-8"))
    file = record.with_name(Path(fields["file"]).name)
    return Unsent(fields["image"], fields["kind"], file, fields["params"], fields["refused"])


def _stem(image: str) -> str:
    """A file name for an image id, of letters that every file system takes."""
    return hashlib.sha256(image.encode()).hexdigest()[:24]
