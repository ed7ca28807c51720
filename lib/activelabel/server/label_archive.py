"""Every version of every label: checked, kept in a file that never changes, and recorded in the ledger."""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from activelabel.data.grids import Grid
from activelabel.data.labels import check_label, write_label
from activelabel.data.partial_labels import PartialLabel, merge
from activelabel.data.slices import SlicePlane
from activelabel.errors import InvalidInputError
from activelabel.server.annotator import annotator_of
from activelabel.server.coverage import ORIGINAL, Coverage, SentLabel
from activelabel.server.project import Project
from activelabel.server.slicing import fixed_axis
from activelabel.store.annotations import LabelChangedError
from activelabel.store.ledger import Ledger
from activelabel.store.records import FINAL, Annotation


class LabelArchive:
    """The one way in which a label enters the project, wherever its image is kept.

    Attributes:
        labels: names of the values 1..N of every label that is kept.
    """

    def __init__(self, ledger: Ledger, coverage: Coverage, slice_plane: SlicePlane) -> None:
        """Keep labels where `coverage` finds them, and record them in `ledger`, slices counted across `slice_plane`."""
        self.labels = tuple(coverage.labels)
        self._ledger = ledger
        self._coverage = coverage
        self._slice_plane = slice_plane

    def keep(
        self,
        image_id: str,
        tag: str,
        file: Path | str,
        image: Grid,
        info: Mapping[str, Any],
        name: str = "",
        *,
        answers_any: bool = False,
    ) -> Annotation:
        """Check a label, keep it and record it; when this returns it survives a power cut.

        A final label of some slices is merged with what was drawn before, and becomes the `original` too, with which
        Slicer opens the image.

        Args:
            image_id: whose label it is.
            tag: its tag.
            file: the label as it was received.
            image: the grid on which it must lie.
            info: what the client said of it: the names of its segments, who made it, `annotated_slices`.
            name: what the kept file is called, without its ending; default its tag and the time.
            answers_any: whether it is the answer to the one query for this image that somebody is working on, if its
                maker was asked for nothing.

        Raises:
            InvalidInputError: the label cannot be kept; the line says why, and what was there stays.
        """
        array = check_label(file, image, self.labels, _segment_names(info)).array
        axis = self.slice_axis(image_id, image)
        sent = SentLabel(image_id, annotator_of(info), array, image, axis, info.get("annotated_slices"), answers_any)
        while True:
            try:
                return self._keep(sent, tag, name)
            except LabelChangedError:  # Somebody saved other slices of it at this very moment: merge with those too.
                continue

    @property
    def project_folder(self) -> Path:
        """The folder of the project, in which the versions of labels are."""
        return self._coverage.kept.parent

    def file(self, annotation: Annotation) -> Path:
        """The kept file of a label version: what training reads."""
        return self._coverage.kept / annotation.file

    def slice_axis(self, image_id: str, image: Grid) -> int:
        """The axis of an image along which the slices of its labels are counted.

        Raises:
            InvalidInputError: the image is another one than that whose slices were annotated.
        """
        return fixed_axis(self._ledger, image_id, image, self._slice_plane)

    def is_shown_as_original(self, image_id: str) -> bool:
        """Whether what opens with an image is one of its final labels, not a prediction."""
        return self._ledger.shows(image_id, ORIGINAL)

    def _keep(self, sent: SentLabel, tag: str, name: str) -> Annotation:
        current = self._ledger.current_annotation(sent.image_id, tag)
        covered = self._coverage.of(sent, current) if tag == FINAL else None
        label = PartialLabel(sent.array, sent.axis, sent.all_slices)
        merged_with = None
        if covered is not None:
            label = merge(self._partial(current, sent), sent.array, sent.axis, covered)
            merged_with = 0 if current is None else current.version
        file = self._coverage.kept / sent.image_id / f"{name or f'{tag}-{time.time_ns()}'}.nii.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_label(file, label.array, sent.image.affine_ras)
        # A file without a record is harmless. If recording fails it stays: the record may have been made all the same.
        return self._ledger.record_annotation(
            image_id=sent.image_id,
            tag=tag,
            file=str(file.relative_to(self._coverage.kept)),
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            annotator=sent.annotator,
            slices=label.slices,
            foreground_slices=label.foreground_slices,
            merged_with=merged_with,
            shown_as=ORIGINAL if tag == FINAL else None,
        )

    def _partial(self, current: Annotation | None, sent: SentLabel) -> PartialLabel | None:
        if current is None:
            return None
        slices = sent.all_slices if current.slices is None else frozenset(current.slices)
        return PartialLabel(self._coverage.read(current, sent.image), sent.axis, slices)


def open_archive(project: Project) -> LabelArchive:
    """The labels of a project."""
    coverage = Coverage(
        project.ledger,
        project.labels,
        project.labels_folder,
        project.predictions_folder,
        project.recipe.query.asks_slices,
    )
    return LabelArchive(project.ledger, coverage, project.slice_plane)


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
