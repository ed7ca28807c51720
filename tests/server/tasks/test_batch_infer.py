"""Batch inference over a folder in which some images cannot be read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from small_studies import BROKEN, write_image

from activelabel.data.files.image_files import ImageFiles
from activelabel.server.tasks.batch_infer import ReadableBatchInfer
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger


class Studies:
    """The part of a datastore that the host's batch inference uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list_images(self) -> list[str]:
        return sorted(path.name.split(".")[0] for path in self.folder.glob("*.nii.gz"))

    def get_image_uri(self, image_id: str) -> str:
        return str(self.folder / f"{image_id}.nii.gz")

    def image_files(self, image_id: str) -> ImageFiles:
        return ImageFiles(self.folder / f"{image_id}.nii.gz")


def test_batch_inference_sets_unreadable_images_aside_and_goes_on(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    studies.mkdir()
    for name in ("a", "z"):  # one before and one after the broken images
        write_image(studies / f"{name}.nii.gz")
    for kind, write in BROKEN.items():
        write(studies / f"{kind}.nii.gz")
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    ledger.sync_images(Studies(studies).list_images(), validation_cases=0)
    seen = []

    def infer(request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        seen.append(request["image"])
        return {"label": request["image"]}

    request = {"model": "segmentation", "device": "cpu", "multi_gpu": False, "max_workers": 1}
    results = ReadableBatchInfer(ledger)(request, Studies(studies), infer)
    assert seen == ["a", "z"]
    assert results == {"a": {"label": "a"}, "z": {"label": "z"}, **{kind: {} for kind in BROKEN}}
    assert {image.id for image in ledger.images() if image.unreadable_reason} == set(BROKEN)
