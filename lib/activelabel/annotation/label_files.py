"""The files of the archive: each version of a label, written once, with a record of the ledger's rows beside it."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from activelabel.annotation.coverage import SentLabel
from activelabel.annotation.digest_files import keep_digests
from activelabel.data.files.state import stamp_of
from activelabel.data.files.writing import UnfinishedFile, make_lasting_folder
from activelabel.data.label_checking import label_file_of
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.labels.label_map import LabelMap
from activelabel.data.labels.label_texts import stored_labels
from activelabel.data.labels.partial_labels import PartialLabel
from activelabel.data.slice_digests import differing, slice_digests
from activelabel.project.labels.record_files import keep_with_records, write_records
from activelabel.store.cases.case_records import RecordsByFile
from activelabel.store.cases.new_annotation import KeptFile, NewAnnotation
from activelabel.store.ledger import Ledger

Recorded = TypeVar("Recorded")


class LabelFiles:
    """Writes labels below the folder `kept`, and records from `ledger` beside them."""

    def __init__(self, ledger: Ledger, kept: Path) -> None:
        self._ledger = ledger
        self._kept = kept

    def keep(
        self,
        sent: SentLabel,
        array: LabelArray,
        name: str,
        record: Callable[[KeptFile], tuple[Recorded, RecordsByFile]],
    ) -> Recorded:
        """Write a label, record it in the ledger by `record`, write the record files, and return what was recorded.

        Only when the label is on the disk is the ledger written: all others who write it would wait for the disk too. A
        file without a row is harmless. If `record` fails, the file stays, because the row may exist all the same.

        Args:
            sent: the label that was sent, for its image and grid.
            array: the voxels to keep.
            name: the name of the file without its ending.
            record: records the file that was written, and returns the records of the image's labels as of then.
        """
        self._ledger.look_anew()  # nobody needs the connection while the disk is waited for
        file = self._write(sent, array, name)
        return keep_with_records(self._ledger, self._kept, sent.image_id, lambda: record(file))

    def write_records(self, image_id: str) -> None:
        """Write the current records of an image's labels beside their files."""
        write_records(self._ledger, self._kept, image_id)

    def _write(self, sent: SentLabel, array: LabelArray, name: str) -> KeptFile:
        """Write a label, which then survives a power cut; its slices are compared while it goes to the disk."""
        file = self._kept / sent.image_id / f"{name}.nii.gz"
        make_lasting_folder(file.parent)
        content = label_file_of(array, sent.image.affine_ras)
        unfinished = UnfinishedFile(file, content)
        on_disk = unfinished.finish_beside()
        drawing = sent.drawing if array is sent.array else slice_digests(array, sent.axis)
        sha256 = hashlib.sha256(content).hexdigest()
        otherwise = {index: sent.drawing[index] for index in sorted(differing(sent.drawing, drawing))}
        on_disk()
        keep_digests(file, stamp_of(file), sent.image, sent.axis, drawing)
        return KeptFile(f"{sent.image_id}/{file.name}", sha256, unfinished.stamp_at_its_place(), otherwise)


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
    )
