"""Slices, end to end: the host's own client is asked for a few slices at a time, and sends only those."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from recipe_files import HALF_AS_WIDE, changed_recipe
from running_server import RunningServer
from small_studies import write_nifti

from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

pytestmark = pytest.mark.e2e

MODELS = 3
START = 1
FEWER_STEPS = {"training": {"epochs": 2, "steps_per_epoch": 20, "validate_every": 1}}
"""40 instead of 300: enough to see that more slices teach more, as no model has learnt all that it could."""
COARSE_HIPPOCAMPUS = {
    "preprocessing": {"spacing_mm": [2.0, 2.0, 1.0]},
    "training": {"patch_size": [24, 32, 48]},
    "prediction": {"window_size": [24, 32, 48]},
}
COARSE_PHANTOMS = {
    "preprocessing": {"spacing_mm": [7.5, 7.5, 6.0]},
    "training": {"patch_size": [32, 32, 48]},
    "prediction": {"window_size": [48, 48, 48]},
}
"""Within the slices only: each slice that is drawn is one that the network sees."""


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("strategy", ["uncertainty_slices", "selective_entropy_slices"])
def test_rounds_on_real_hippocampus(
    make_server: Callable[..., RunningServer], hippocampus: Any, tmp_path: Path, strategy: str
) -> None:
    recipe = changed_recipe("quick_slices", tmp_path, COARSE_HIPPOCAMPUS, HALF_AS_WIDE, FEWER_STEPS)
    conf = {"recipe": recipe, "labels": "anterior,posterior", "query_size": 8}
    reader = Reader(make_server, hippocampus(8), strategy, tmp_path, **conf)
    dice = reader.go_through_rounds()
    assert dice[-1] > dice[0], dice
    assert reader.came_again


@pytest.mark.timeout(1200)
def test_rounds_on_sample_data(make_server: Callable[..., RunningServer], phantoms: Any, tmp_path: Path) -> None:
    """Only one strategy runs here, to save time: the other one gains on these images too (docs/results.md)."""
    recipe = changed_recipe("quick_slices", tmp_path, COARSE_PHANTOMS, HALF_AS_WIDE, FEWER_STEPS)
    reader = Reader(make_server, phantoms, "uncertainty_slices", tmp_path, recipe=recipe, query_size=12)
    dice = reader.go_through_rounds()
    assert dice[-1] > dice[0], dice


class Reader:
    """An annotator who draws only the slices that they are asked for, with checks of what the server then knows."""

    def __init__(
        self, make_server: Callable[..., RunningServer], cases: Any, strategy: str, folder: Path, **conf: object
    ) -> None:
        self.cases = cases
        self.strategy = strategy
        self.folder = folder
        self.query_size = int(str(conf["query_size"]))
        self.server = make_server(cases.studies, start=START, seed=1, **conf)
        self.ledger = Ledger(sqlite_url(Path(cases.studies) / "activelabel" / "ledger.sqlite"))
        self.drawn: dict[str, set[int]] = {}
        self.whole: set[str] = set()
        self.came_again = False

    def go_through_rounds(self) -> list[float]:
        """Draw a first volume, then rounds of slices, and return the validation Dice of each model."""
        self.server.start()
        dice = []
        roles: list[str] = []
        while roles.count("training") < START:  # the server's own count is 0 again once it has trained
            sample = self.server.next_sample(self.strategy)
            roles.append(sample["role"])
            self.answer(sample)
        for version in range(1, MODELS + 1):
            self.server.wait_for_model(version)
            dice.append(self.validation_dice())
            if version < MODELS:
                self.draw_a_round(version)
        assert self.server.stop() == 0
        return dice

    def validation_dice(self) -> float:
        """Return the mean Dice of the model's predictions over structures and validation cases."""
        values = []
        for image_id in (image.id for image in self.ledger.images() if image.role == "validation"):
            file, _ = self.server.client.infer("segmentation", image_id, {})
            shown, reference = (
                np.asarray(nibabel.load(path).dataobj) for path in (file, self.cases.label_of(image_id))
            )
            for value in np.unique(reference)[1:]:
                a, b = shown == value, reference == value
                values.append(2 * (a & b).sum() / (a.sum() + b.sum()))
        return float(np.mean(values))

    def draw_a_round(self, version: int) -> None:
        """Answer queries until a round's number of slices is drawn."""
        before = sum(map(len, self.drawn.values()))
        while sum(map(len, self.drawn.values())) < before + self.query_size:
            sample = self.server.next_sample(self.strategy)
            if sample["query"]["kind"] == "slices":
                assert sample["model_version"] == self.server.progress()["model_in_use"] <= version
            self.answer(sample)
            self.check_counts()

    def answer(self, sample: dict[str, Any]) -> None:
        """Open the case, draw the slices that were asked for, send them."""
        image_id = sample["id"]
        reference = np.asarray(nibabel.load(self.cases.label_of(image_id)).dataobj).astype(np.uint8)
        if sample["query"]["kind"] == "volume":
            self.whole.add(image_id)
            self.send(image_id, reference)
            return
        axis, slices = sample["query"]["axis"], sample["query"]["slices"]
        assert sample["PatientID"].startswith(f"{image_id} | ")
        numbers = ", ".join(str(index + 1) for index in slices)
        assert f"(slice{'s' * (len(slices) > 1)} {numbers} of {reference.shape[axis]}, " in sample["PatientID"]
        earlier = self.drawn.setdefault(image_id, set())
        assert earlier.isdisjoint(slices)
        self.came_again = self.came_again or bool(earlier)
        if earlier:
            np.testing.assert_array_equal(self.opens_with(image_id), only(reference, axis, earlier))
        self.send(image_id, only(reference, axis, slices))
        earlier.update(slices)
        kept = self.ledger.current_annotation(image_id)
        assert kept is not None
        assert kept.slices == tuple(sorted(earlier))
        file = Path(self.cases.studies) / "activelabel" / "labels" / kept.file
        np.testing.assert_array_equal(np.asarray(nibabel.load(file).dataobj), only(reference, axis, earlier))

    def send(self, image_id: str, voxels: NDArray[np.uint8]) -> None:
        affine = nibabel.load(Path(self.cases.studies) / f"{image_id}.nii.gz").affine
        self.server.save_label(image_id, write_nifti(self.folder / "sent.nii.gz", voxels, affine))

    def opens_with(self, image_id: str) -> NDArray[np.uint8]:
        """Return the label tagged `original`, which Slicer loads with the image."""
        answered = requests.get(
            f"{self.server.address}/datastore/label", params={"label": image_id, "tag": "original"}, timeout=60
        )
        file = self.folder / "original.nii.gz"
        file.write_bytes(answered.content)
        return np.asarray(nibabel.load(file).dataobj).astype(np.uint8)

    def check_counts(self) -> None:
        progress = self.server.progress()
        wholly = sum(self.ledger.image(image_id).slice_count or 0 for image_id in self.whole)
        assert progress["annotated_slices"] == wholly + sum(map(len, self.drawn.values()))
        assert (progress["annotated"], progress["partly_annotated"]) == (len(self.whole), len(self.drawn))


def only(reference: NDArray[np.uint8], axis: int, slices: Any) -> NDArray[np.uint8]:
    """Return the reference label on these slices, and background on the others."""
    label = np.zeros_like(reference)
    index = (slice(None),) * axis + (sorted(slices),)
    label[index] = reference[index]
    return label
