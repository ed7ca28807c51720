"""The files of the archive: each version of a label, written once, with a record of the ledger's rows beside it.

A label is acknowledged once it survives a power cut. Nobody waits until the disk has the file, its name and that of its
folder: the ledger, for which one waits anyway, takes the content too, and keeps it until the disk has all that. What a
power cut has taken the next start writes anew (`project.labels.unsynced`).
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from activelabel.annotation.coverage import SentLabel
from activelabel.annotation.digest_files import keep_digests
from activelabel.backports import ON_WINDOWS
from activelabel.data.files.behind import sync_behind
from activelabel.data.files.state import stamp_of
from activelabel.data.files.writing import UnfinishedFile, make_lasting_folder, sync_folder
from activelabel.data.label_checking import label_file_of
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.labels.label_map import LabelMap
from activelabel.data.labels.label_texts import stored_labels
from activelabel.data.labels.partial_labels import PartialLabel
from activelabel.data.slice_digests import differing, slice_digests
from activelabel.project.labels.record_files import keep_with_records, write_records
from activelabel.store.cases.case_records import RecordsByFile
from activelabel.store.cases.new_annotation import KeptFile, NewAnnotation, Unsynced
from activelabel.store.ledger import Ledger

MOST_IN_LEDGER = 2**20
"""The bytes of the largest file whose content the ledger takes. A CT's with an organ drawn has some 100,000."""
Recorded = TypeVar("Recorded")


class LabelFiles:
    """Writes labels below the folder `kept`, and records from `ledger` beside them."""

    def __init__(self, ledger: Ledger, kept: Path) -> None:
        self._ledger = ledger
        self._kept = kept
        self._synced: deque[str] = deque()

    def keep(
        self,
        sent: SentLabel,
        array: LabelArray,
        name: str,
        record: Callable[[KeptFile], tuple[Recorded, RecordsByFile]],
    ) -> Recorded:
        """Write a label, record it in the ledger by `record`, write the record files, and return what was recorded.

        The ledger is written when all else is done: others who write it would wait too. A file without a row is
        harmless. If `record` fails, the file stays, because the row may exist all the same.

        Args:
            sent: the label that was sent, for its image and grid.
            array: the voxels to keep.
            name: the name of the file without its ending.
            record: records the file that was written, and returns the records of the image's labels as of then.
        """
        self._ledger.look_anew()  # nobody needs the connection while the disk is waited for
        file = self._write(sent, array, name)
        try:
            recorded = keep_with_records(self._ledger, self._kept, sent.image_id, lambda: record(file))
        except BaseException:
            self._synced.extend(() if file.unsynced is None else file.unsynced.synced)
            raise
        if file.unsynced is not None:
            sync_behind(self._kept / file.path, partial(self._note_synced, file.path))
        return recorded

    def write_records(self, image_id: str) -> None:
        """Write the current records of an image's labels beside their files."""
        write_records(self._ledger, self._kept, image_id)

    def _write(self, sent: SentLabel, array: LabelArray, name: str) -> KeptFile:
        """Write a label. If the ledger is not to take its content, it survives a power cut then.

        Its slices are compared while it goes to the disk.
        """
        file = self._kept / sent.image_id / f"{name}.nii.gz"
        content = label_file_of(array, sent.image.affine_ras)
        in_ledger = len(content) <= MOST_IN_LEDGER and not ON_WINDOWS
        make_lasting_folder(self._kept)
        file.parent.mkdir(exist_ok=True)
        if not in_ledger:  # also if the folder was there: whoever has made it may not have waited for the disk
            sync_folder(self._kept)
        unfinished = UnfinishedFile(file, content)
        on_disk = _put_without_wait(unfinished) if in_ledger else unfinished.finish_beside()
        drawing = sent.drawing if array is sent.array else slice_digests(array, sent.axis)
        sha256 = hashlib.sha256(content).hexdigest()
        otherwise = {index: sent.drawing[index] for index in sorted(differing(sent.drawing, drawing))}
        on_disk()
        keep_digests(file, stamp_of(file), sent.image, sent.axis, drawing)
        unsynced = Unsynced(content, tuple(self._synced_since())) if in_ledger else None
        path = f"{sent.image_id}/{file.name}"
        return KeptFile(path, sha256, unfinished.stamp_at_its_place(), otherwise, unsynced)

    def _synced_since(self) -> Iterator[str]:
        """The files that the disk has since somebody asked."""
        with suppress(IndexError):  # another label takes them, too
            while True:
                yield self._synced.popleft()

    def _note_synced(self, file: str) -> None:
        """Have the name of a file's folder last too; then the ledger may forget its content."""
        sync_folder(self._kept)
        self._synced.append(file)


def _put_without_wait(unfinished: UnfinishedFile) -> Callable[[], None]:
    unfinished.finish(lasting=False, whole=False)
    return lambda: None


def new_name(kind: str) -> str:
    """The name of a new version, from its kind and the time."""
    return f"{kind}-{time.time_ns()}"


def annotation_of(sent: SentLabel, tag: str, label: PartialLabel, file: KeptFile, labels: LabelMap) -> NewAnnotation:
    """What the ledger is told of a label that is kept as `file` under a tag; each tag adds its own."""
    return NewAnnotation(
        sent.image_id,
        file.path,
        file.sha256,
        sent.annotator,
        tag=tag,
        slices=label.slices,
        foreground_slices=label.foreground_slices(labels),
        label_names=stored_labels(labels),
        file_stamp=file.stamp,
        sent_otherwise=file.sent_otherwise,
        sliced=sent.sliced,
        unsynced=file.unsynced,
    )
