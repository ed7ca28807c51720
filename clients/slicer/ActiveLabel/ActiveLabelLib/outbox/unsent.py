"""A drawing that the server does not have yet, as two files: the label, and a record of what goes with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ActiveLabelLib.outbox.private_files import write_whole

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
        owner: the Slicer that keeps it; empty for one that an older version of this module has kept.
    """

    image: str
    kind: str
    file: Path
    params: Mapping[str, Any]
    refused: str = ""
    owner: str = ""


class DamagedError(Exception):
    """A record or its drawing is not as it was written."""


def write_record(record: Path, entry: Unsent) -> None:
    """Write a record, completely or not at all.

    Raises:
        OSError: the disk is full, for example.
    """
    fields = {
        "image": entry.image,
        "kind": entry.kind,
        "file": entry.file.name,
        "params": dict(entry.params),
        "refused": entry.refused,
    }
    write_whole(record, json.dumps(fields))


def read_record(record: Path) -> Unsent:
    """Read a record and check it and its drawing.

    Raises:
        FileNotFoundError: there is no such record any more.
        DamagedError: it is not as it was written, or its drawing is not.
    """
    text = record.read_bytes()
    try:
        fields = json.loads(text)
        image, kind, params, refused = (fields[name] for name in ("image", "kind", "params", "refused"))
        file = record.with_name(Path(fields["file"]).name)
        right = kind in (DRAFT, FINISHED, CORRECTION) and isinstance(params, dict) and isinstance(refused, str)
        right = right and stem_of_image(image) == stem_of(record)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DamagedError(f"{record.name}: {type(error).__name__}") from error
    if not right:
        raise DamagedError(f"{record.name}: it is no record of a drawing")
    if not file.is_file():
        if not record.exists():
            raise FileNotFoundError(record)
        raise DamagedError(f"{record.name}: the drawing {file.name} is not there")
    if not file.name.endswith(f"-{digest(file)}.nii.gz"):
        raise DamagedError(f"{record.name}: the drawing {file.name} is not as it was written")
    return Unsent(image, kind, file, params, refused, _owner_of(record))


def stem_of(record: Path) -> str:
    """The part of a record's name that stands for the image."""
    return record.stem.partition("-")[0]


def _owner_of(record: Path) -> str:
    return record.stem.partition("-")[2]


def digest(file: Path) -> str:
    """What tells whether a file is as it was written."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def stem_of_image(image: str) -> str:
    """A file name for an image id, of letters that every file system takes."""
    return hashlib.sha256(image.encode()).hexdigest()[:24]
