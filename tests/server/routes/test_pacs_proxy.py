"""A viewer asks the PACS through this server: who is to draw without the first reading does not see it."""

import asyncio
import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
from monailabel.config import settings as host_settings
from small_studies import TINY_RECIPE
from starlette.requests import Request

from activelabel.errors import ForbiddenError
from activelabel.login.identity import Identity, Role, asking
from activelabel.project.opening import open_project
from activelabel.server.actions.blind import BlindReadings
from activelabel.server.actions.cases import CaseActions
from activelabel.server.datastores import pacs as pacs_datastore
from activelabel.server.datastores.pacs import PacsDatastore
from activelabel.server.opening import open_datastore
from activelabel.server.routes import pacs_proxy
from activelabel.server.tasks.strategy import host_strategies
from local_pacs.ct_series import ct_series
from local_pacs.orthanc import Orthanc

SHAPE, AFFINE_RAS = (8, 7, 6), np.diag([-1.5, -1.5, 2.0, 1.0])
ANN, BOB = Identity("ann", Role.ANNOTATOR), Identity("bob", Role.ANNOTATOR)
REV = Identity("rev", Role.REVIEWER)


class Ward:
    """A PACS with one CT that is read twice, and a project on it."""

    def __init__(self, orthanc: Orthanc, folder: Path) -> None:
        voxels_hu = np.random.default_rng(0).integers(-50, 150, SHAPE).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels_hu, AFFINE_RAS), folder / "ct.nii.gz")
        sent = ct_series(folder / "ct.nii.gz", "case1", datetime.datetime(2026, 3, 4, 5, 6, 7))
        orthanc.store(sent)
        self.folder, self.orthanc = folder, orthanc
        self.study, self.image = str(sent[0].StudyInstanceUID), str(sent[0].SeriesInstanceUID)
        conf = {"recipe": str(TINY_RECIPE), "labels": "ball", "device": "cpu", "readers": "2", "readers_share": "1"}
        self.project = open_project(
            str(folder), orthanc.dicom_web, {**conf, "finished_by": "saving", "project_dir": str(folder / "project")}
        )
        store = open_datastore(self.project, orthanc.dicom_web, follow_changes=True)
        assert isinstance(store, PacsDatastore)
        self.store = store
        self.blind = BlindReadings(self.project)
        self.cases = CaseActions(self.project, store, host_strategies(self.project), lambda: None)

    def draw(self, who: str, first_row: int) -> None:
        """Ask for the case, and send a box of rows of it."""
        assert self.cases.next_sample({"client_id": who, "strategy": "random"})["id"] == self.image
        label = np.zeros(SHAPE, np.uint8)
        label[2:6, first_row:5, 1:4] = 1
        file = self.folder / "drawn.nii.gz"
        nibabel.save(nibabel.Nifti1Image(label, AFFINE_RAS), file)
        self.store.keep_label(self.image, str(file), "final", {"client_id": who})

    def ask(self, who: Identity | None, path: str, accept: str = "application/dicom+json") -> Any:
        """Send a viewer's request, and return the JSON of the answer."""
        scope = {
            "type": "http", "method": "GET", "path": f"/proxy/dicom/{path}", "query_string": b"",
            "headers": [(b"accept", accept.encode())],
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        asks = asking.set(who)
        try:
            answer = asyncio.run(pacs_proxy.pass_to_pacs(Request(scope, receive), path))
        finally:
            asking.reset(asks)
        return json.loads(answer.body) if answer.body else []

    def modalities(self, who: Identity | None) -> list[str]:
        return sorted(one["00080060"]["Value"][0] for one in self.ask(who, f"studies/{self.study}/series"))

    def segmentation(self) -> str:
        (series,) = self.orthanc.series("SEG")
        return str(series["MainDicomTags"]["SeriesInstanceUID"])  # type: ignore[index]


@pytest.fixture
def ward(orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    monkeypatch.setattr(pacs_datastore, "LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_CACHE_PATH", str(tmp_path / "cache"))
    made = Ward(orthanc, tmp_path)
    monkeypatch.setattr(pacs_proxy, "application", lambda: SimpleNamespace(datastore=made.store, blind=made.blind))
    yield made
    made.project.ledger.close()


def test_the_first_reading_is_hidden_from_the_second_reader_until_they_have_drawn(ward: Ward) -> None:
    ward.draw("ann", 1)
    assert ward.modalities(ANN) == ward.modalities(REV) == ward.modalities(None) == ["CT", "SEG"]
    assert ward.modalities(BOB) == ["CT"]
    seg = f"studies/{ward.study}/series/{ward.segmentation()}"
    for hidden in (f"{seg}/metadata", f"{seg}/instances", seg):
        with pytest.raises(ForbiddenError, match="draw the case without what others have drawn"):
            ward.ask(BOB, hidden)
        assert ward.ask(ANN, f"{seg}/metadata")
    for disguised in (f"{seg} /metadata", f"{seg}%20/metadata"):  # Orthanc takes blanks away
        with pytest.raises(ForbiddenError, match="is no UID"):
            ward.ask(BOB, disguised)
    whole = ward.ask(BOB, f"studies/{ward.study}/metadata")
    assert {one["00080060"]["Value"][0] for one in whole} == {"CT"}
    assert len(ward.ask(BOB, f"studies/{ward.study}/series/{ward.image}/metadata")) == SHAPE[2]
    listed = ward.ask(BOB, f"studies/{ward.study}/instances")
    assert len(listed) == SHAPE[2]
    assert len(ward.ask(ANN, f"studies/{ward.study}/instances")) == SHAPE[2] + 1

    ward.draw("bob", 2)
    assert "SEG" in ward.modalities(BOB)


def test_without_second_readings_the_proxy_looks_at_nothing(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.draw("ann", 1)
    looked: list[str] = []
    search: Callable[..., Any] = ward.store.pacs._search
    monkeypatch.setattr(ward.store.pacs, "_search", lambda filters: looked.append("") or search(filters))
    object.__setattr__(ward.project.settings, "readers", 1)
    assert ward.modalities(BOB) == ["CT", "SEG"]
    assert not looked
