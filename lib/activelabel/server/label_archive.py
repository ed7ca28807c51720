"""Every version of every label: checked, kept in a file that never changes, and recorded in the ledger."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from activelabel.data.grids import Grid
from activelabel.data.labels import check_label, write_label
from activelabel.errors import InvalidInputError
from activelabel.server.annotator import annotator_of
from activelabel.store.ledger import Ledger
from activelabel.store.records import Annotation


class LabelArchive:
    """The one way in which a label enters the project, wherever its image is kept.

    Attributes:
        labels: names of the values 1..N of every label that is kept.
    """

    def __init__(self, ledger: Ledger, labels: Sequence[str], folder: Path) -> None:
        """Keep labels below `folder`, and record them in `ledger`."""
        self.labels = tuple(labels)
        self._ledger = ledger
        self._folder = folder

    def keep(
        self, image_id: str, tag: str, file: Path | str, image: Grid, info: Mapping[str, Any], name: str = ""
    ) -> Annotation:
        """Check a label, keep it and record it; when this returns it survives a power cut.

        Args:
            image_id: whose label it is.
            tag: its tag.
            file: the label as it was received.
            image: the grid on which it must lie.
            info: what the client said of it: the names of its segments, and who made it.
            name: what the kept file is called, without its ending; default its tag and the time.

        Raises:
            InvalidInputError: the label cannot be kept; the line says why, and what was there stays.
        """
        checked = check_label(file, image, self.labels, _segment_names(info))
        kept = self._folder / image_id / f"{name or f'{tag}-{time.time_ns()}'}.nii.gz"
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_label(kept, checked.array, checked.affine_ras)
        # A file without a record is harmless. If recording fails it stays: the record may have been made all the same.
        return self._ledger.record_annotation(
            image_id=image_id,
            tag=tag,
            file=str(kept.relative_to(self._folder)),
            sha256=hashlib.sha256(kept.read_bytes()).hexdigest(),
            annotator=annotator_of(info),
        )

    def file(self, annotation: Annotation) -> Path:
        """The kept file of a label version: what training reads."""
        return self._folder / annotation.file


def _segment_names(info: Mapping[str, Any]) -> list[str] | None:
    """Names of a client's segments in the order of the mask values, or None if it sent none.

    Slicer sends `label_info` as a list of `{name, idx}`. Its `idx` also counts segments that it skipped, so only the
    position in the list says which value a segment has.
    """
    entries = info.get("label_info")
    if not entries:
        return None
    try:
        return [str(entry["name"]) for entry in entries]
    except (TypeError, KeyError) as error:
        raise InvalidInputError(
            f'params: expected label_info like [{{"name": "liver", "idx": 1}}], got {entries!r}'
        ) from error
