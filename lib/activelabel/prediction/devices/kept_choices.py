"""The file that keeps how each network runs fastest: several processes read it, and each choice is measured by one."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum, auto
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from activelabel.data.files.writing import write_atomically
from activelabel.optional_parts import warn_of

logger = logging.getLogger(__name__)

_MOST_KEPT = 64
"""How many choices a file keeps; a project has one for each kind of model, each work and each device."""
_LONGEST_WAIT_SECONDS = 300.0
"""For another process that measures: four runs of the largest networks on a slow processor take a minute or two."""
_LONGEST_WAIT_OF_A_PERSON_SECONDS = 3.0
_LONGEST_WRITE_SECONDS = 30.0

Way = tuple[str, str]
"""The names of a layout and a precision."""

_of_this_process: dict[Path, dict[str, Way]] = {}
"""What could not be written into a file, by its key."""
_said: set[Path] = set()
"""The files of which was said that they cannot be written."""

_a_person_waits = ContextVar("_a_person_waits", default=False)


class Turn(Enum):
    """Whether this process is the one that measures."""

    OURS = auto()
    OTHERS = auto()
    """Another measures, for longer than a person waits."""
    UNWRITABLE = auto()
    """Nothing can be written beside the file."""


@contextmanager
def while_a_person_waits() -> Iterator[None]:
    """Within the block, another process that measures is waited for no longer than a few seconds."""
    token = _a_person_waits.set(True)
    try:
        yield
    finally:
        _a_person_waits.reset(token)


@contextmanager
def turn_to_measure(file: Path, key: str) -> Iterator[Turn]:
    """Other processes wait meanwhile with the choice of this key: they might choose another way.

    Those that waited for too long, though no person waits, measure as well.
    """
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    seconds = _LONGEST_WAIT_OF_A_PERSON_SECONDS if _a_person_waits.get() else _LONGEST_WAIT_SECONDS
    lock, turn = FileLock(file.with_name(f".{file.name}.{digest}.lock"), timeout=seconds), Turn.OURS
    try:
        lock.acquire()
    except Timeout as error:
        turn = Turn.OTHERS if _a_person_waits.get() else Turn.OURS
        if turn is Turn.OURS:
            warn_of("several processes may measure at once how a network runs fastest", error)
    except (OSError, NotImplementedError) as error:
        turn = Turn.UNWRITABLE
        _say_once(file, error)
    try:
        yield turn
    finally:
        lock.release()


def kept_way(file: Path, key: str) -> Way | None:
    """What the file, or else this process, keeps under a key."""
    found = read_choices(file).get(key)
    if isinstance(found, list) and len(found) == 2:  # of a `Way`
        return found[0], found[1]
    return _of_this_process.get(file, {}).get(key)


def keep_way(file: Path, key: str, way: Way) -> None:
    """Keep a choice as the newest one of the file; where it cannot be written, in this process."""
    try:
        with FileLock(file.with_name(f".{file.name}.lock"), timeout=_LONGEST_WRITE_SECONDS):
            others = {other: value for other, value in read_choices(file).items() if other != key}
            _write(file, {**others, key: list(way)})
    except (OSError, NotImplementedError) as error:
        _say_once(file, error)
        keep_here(file, key, way)


def keep_here(file: Path, key: str, way: Way) -> None:
    """Keep a choice as long as this process runs."""
    _of_this_process.setdefault(file, {})[key] = way


def _say_once(file: Path, error: Exception) -> None:
    if file not in _said:
        _said.add(file)
        warn_of(f"{file} cannot be written: the fastest way to run a network is kept by this process alone", error)


def of_this_torch() -> str:
    """How the keys of this version of torch begin."""
    return f"torch {torch.__version__} "


def read_choices(file: Path) -> dict[str, Any]:
    """What a file keeps; one that is damaged counts as empty."""
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        logger.warning("%s is damaged: the fastest way to run each network is measured again", file)
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: Path, kept: Mapping[str, Any]) -> None:
    """Write the newest choices of this version of torch, which come last."""
    current = [(key, way) for key, way in kept.items() if key.startswith(of_this_torch())][-_MOST_KEPT:]
    write_atomically(file, json.dumps(dict(current), indent=1).encode())
