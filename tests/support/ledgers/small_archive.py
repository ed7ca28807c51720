"""An archive of labels of one image of a few slices, each filled with one value."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from small_studies import write_nifti

from activelabel.annotation.archive import LabelArchive
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.grids import Grid
from activelabel.server.client_info import read_label_info
from activelabel.store.case_states import FinishedBy
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import Annotation

LABELS = ("ball", "box")
SLICES = 5
GRID = Grid((3, SLICES, 4), np.diag([1.0, 2.5, 1.0, 1.0]))  # acquired in coronal slices
AXIS = 1
MANY = tuple(f"structure {number}" for number in range(1, 200))


def label(*values: int) -> NDArray[np.uint8]:
    """A label whose slices are filled with one value each."""
    return np.zeros(GRID.shape, np.uint8) + np.array(values, np.uint8)[None, :, None]


class Archive:
    """An archive of one image, and what it holds in short."""

    def __init__(
        self,
        folder: Path,
        asks_slices: bool = True,
        labels: Sequence[str] = LABELS,
        finished_by: FinishedBy = FinishedBy.SAVING,
    ) -> None:
        self.folder = folder
        self.ledger = Ledger(sqlite_url(folder / "ledger.sqlite"))
        self.ledger.sync_images(["a", "b"], 0)
        reader = HistoryReader(self.ledger, labels, folder / "labels", folder / "predictions", asks_slices)
        self.archive = LabelArchive(self.ledger, reader, "acquisition", finished_by)

    def ask(self, annotator: str, slices: Sequence[int] | None) -> None:
        lease = self.ledger.grant_lease(annotator, "a", 30, "uncertainty_slices", slices=slices)
        assert lease is not None
        assert lease.slices == (None if slices is None else tuple(slices))

    def send(self, annotator: str, *values: int, **info: Any) -> Annotation:
        file = write_nifti(self.folder / "sent.nii.gz", label(*values), GRID.affine_ras)
        tag, answers_any = info.pop("tag", "final"), info.pop("answers_any", False)
        said = {"client_id": annotator, **info}
        return self.archive.keep("a", tag, file, GRID, read_label_info(said), answers_any=answers_any)

    def delete(self) -> None:
        """As the datastore takes a label back: what opens with the image goes with it, unless the label is whole."""
        if self.archive.is_shown_as_original("a"):
            self.ledger.delete_annotation("a", "original")
        self.ledger.delete_annotation("a", "final")

    def show(self, version: int, *values: int) -> None:
        """What the server keeps when a model shows a mask."""
        folder = self.folder / "predictions" / "a"
        folder.mkdir(parents=True, exist_ok=True)
        write_nifti(folder / f"{version}.nii.gz", label(*values), GRID.affine_ras)

    def values(self, tag: str = "final") -> list[int]:
        """One value a slice of the current label."""
        annotation = self.ledger.current_annotation("a", tag)
        assert annotation is not None
        array = np.asarray(nibabel.load(self.archive.file(annotation)).dataobj)
        assert (array == array[:1, :, :1]).all()
        return [int(value) for value in array[0, :, 0]]

    def slices(self) -> tuple[int, ...] | None:
        annotation = self.ledger.current_annotation("a")
        assert annotation is not None
        return annotation.slices
