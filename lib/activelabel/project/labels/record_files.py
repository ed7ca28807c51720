"""A small file beside each kept version of a label: who, when, query, slices, seconds, tags, SHA-256 and label names.

The ledger decides. The records are only for rebuilding a lost ledger of which no copy is left: see
`project.rebuilding`.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from activelabel.data.files.behind import write_behind
from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.errors import UnavailableError
from activelabel.store.cases.case_records import LabelRecord, RecordsByFile
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)

ENDING = ".json"
FORMAT = "activelabel label 1"
PATIENCE_SECONDS = 60.0
"""How long a label waits for another one of its image: as long as that may wait for the ledger, and to be written."""
_locks: WeakValueDictionary[tuple[Path, str], threading.Lock] = WeakValueDictionary()
"""The lock of each image of which a thread changes the ledger and writes records, or waits to."""
_finding_lock = threading.Lock()
Kept = TypeVar("Kept")


def record_file(label: Path) -> Path:
    """The path of the record of a label file."""
    return label.with_name(f"{label.name.removesuffix(LABEL_ENDING)}{ENDING}")


def write_records(ledger: Ledger, kept: Path, image_id: str) -> None:
    """Write the changed records of an image's labels beside their files in `kept`.

    Raises:
        OSError: the folder is full or cannot be written.
    """
    keep_with_records(ledger, kept, image_id, lambda: (None, ledger.label_records(image_id)))


def keep_with_records(
    ledger: Ledger, kept: Path, image_id: str, keep: Callable[[], tuple[Kept, RecordsByFile]]
) -> Kept:
    """Change the ledger by `keep`, and write the changed ones of the records of an image that it returns.

    The ledger decides, so nothing waits until the disk has the records: what a power cut has damaged, or put back to
    an earlier state, is written anew at the next start.

    Raises:
        OSError: as `write_records`.
        UnavailableError: another label of the image has been waiting for the ledger or the disk for too long.
    """
    ledger.look_anew()
    with _one_writer(kept, image_id):
        result, records = keep()
        for file, record in records.items():
            _write_changed(kept, file, record)
        return result


def _write_changed(kept: Path, file: str, record: LabelRecord) -> bool:
    """Write the record of a file unless it is there already; return whether it was written."""
    target, content = record_file(kept / file), _content(file, record)
    if not target.parent.is_dir() or (target.is_file() and target.read_bytes() == content):
        return False
    write_behind(target, content)
    return True


@contextmanager
def _one_writer(kept: Path, image_id: str) -> Iterator[None]:
    """Let one thread at a time change the ledger and write the records of an image.

    So no older state of a record replaces a newer one. Different images have different files, and need not wait for
    each other: the ledger makes its writers take turns.
    """
    with _finding_lock:
        lock = _locks.setdefault((kept, image_id), threading.Lock())
    if not lock.acquire(timeout=PATIENCE_SECONDS):
        raise UnavailableError(
            f"image '{image_id}': another label of it has been waiting for the ledger or the disk for "
            f"{PATIENCE_SECONDS:.0f} s: send yours again soon; the server's log says why"
        )
    try:
        yield
    finally:
        lock.release()


def write_missing_records(ledger: Ledger, kept: Path, *, each_alone: bool = False) -> int:
    """Write anew each record beside a label that does not say what the ledger says.

    It may be missing, from an earlier version or after a kill, and a power cut may leave a damaged or an earlier one.
    With `each_alone`, one that cannot be written is logged, and the others are written.

    Returns:
        The number of images concerned.

    Raises:
        OSError: the folder is full or cannot be written.
    """
    images = sorted(set(ledger.label_files().values()))
    return sum(_mend_records(ledger, kept, image_id, each_alone) for image_id in images)


def _mend_records(ledger: Ledger, kept: Path, image_id: str, each_alone: bool) -> bool:
    """Write an image's records that differ from the ledger; return whether there were any."""
    written = False
    with _one_writer(kept, image_id):
        for file, record in ledger.label_records(image_id).items():
            try:
                written |= (kept / file).is_file() and _write_changed(kept, file, record)
            except OSError as error:
                if not each_alone:
                    raise
                logger.warning(
                    "%s cannot be written, and is tried at the next start: %s", record_file(kept / file), error
                )
    return written


def write_missing_in_background(ledger: Ledger, kept: Path) -> None:
    """Call `write_missing_records` in a thread at a server's start; log a failure, which the next start retries."""

    def run() -> None:
        try:
            count = write_missing_records(ledger, kept, each_alone=True)
        except Exception:
            logger.exception("not every label has a record of its own beside it: it is tried again at the next start")
        else:
            if count:
                logger.info("wrote anew the records beside the labels of %d images", count)

    threading.Thread(target=run, name="label-records", daemon=True).start()


def read_record(label: Path) -> LabelRecord | None:
    """The record of a label's file; None if there is none.

    Raises:
        ValueError: the record is damaged, or belongs to another program.
    """
    try:
        content: Any = json.loads(record_file(label).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"expected '{FORMAT}'")
    return content


def _content(file: str, record: LabelRecord) -> bytes:
    rows = (*record["annotations"], *record["drafts"])
    content = {
        "format": FORMAT,
        "file": file,
        "sha256": rows[0]["sha256"],
        "annotator": rows[0]["annotator"],
        "tags": sorted({row["tag"] for row in record["annotations"]}),
        **record,
    }
    # One line for each key, in a fraction of the time that `indent` takes.
    lines = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items())
    return "{{\n{}\n}}\n".format(",\n".join(lines)).encode()
