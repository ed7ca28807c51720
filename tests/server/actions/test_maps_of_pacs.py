"""Maps over a series of a PACS: a DICOM object that the PACS takes, with the numbers of the NIfTI file."""

import datetime
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from monailabel.config import settings as host_settings
from small_studies import TINY_RECIPE

from activelabel.networks import build_network
from activelabel.project.models.loaded import LoadedModel
from activelabel.project.models.publishing import publish_model
from activelabel.project.opening import open_project
from activelabel.server.actions.maps import MapActions
from activelabel.server.datastores import pacs as pacs_datastore
from activelabel.server.opening import open_datastore
from local_pacs.ct_series import ct_series
from local_pacs.orthanc import Orthanc

SHAPE, AFFINE_RAS = (8, 7, 6), np.diag([-1.5, -1.5, 2.0, 1.0])


def test_the_pacs_takes_the_map_and_each_number_has_its_place(
    orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_CACHE_PATH", str(tmp_path / "cache"))
    monkeypatch.setattr(pacs_datastore, "LOOK_SECONDS", 3600.0)
    voxels_hu = np.random.default_rng(0).integers(-50, 150, SHAPE).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels_hu, AFFINE_RAS), tmp_path / "ct.nii.gz")
    sent = ct_series(tmp_path / "ct.nii.gz", "case1", datetime.datetime(2026, 3, 4, 5, 6, 7))
    orthanc.store(sent)
    image = str(sent[0].SeriesInstanceUID)
    conf = {"recipe": str(TINY_RECIPE), "labels": "ball", "device": "cpu", "project_dir": str(tmp_path / "project")}
    project = open_project(str(tmp_path), orthanc.dicom_web, conf)
    store = open_datastore(project, orthanc.dicom_web, follow_changes=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        publish_model(project, build_network(project.recipe.network, classes=2).state_dict(), {}, [])
    maps = MapActions(project, store, LoadedModel(project))

    found, as_nifti = maps.probability(image, "ball"), maps.probability(image, "ball", "nifti")
    made = pydicom.dcmread(found.file)
    orthanc.store([made])
    assert [series["MainDicomTags"]["SeriesInstanceUID"] for series in orthanc.series("OT")] == [made.SeriesInstanceUID]  # type: ignore[index]
    assert (made.StudyInstanceUID, made.ReferencedSeriesSequence[0].SeriesInstanceUID) == (
        sent[0].StudyInstanceUID, image,
    )  # fmt: skip
    values = nibabel.load(as_nifti.file)
    drawn = np.asarray(values.dataobj)
    frames = np.frombuffer(made.FloatPixelData, "<f4").reshape(made.NumberOfFrames, made.Rows, made.Columns)
    to_index = np.linalg.inv(values.affine)
    for frame, groups in zip(frames, made.PerFrameFunctionalGroupsSequence, strict=True):
        x, y, z = (float(part) for part in groups.PlanePositionSequence[0].ImagePositionPatient)
        first = to_index @ [-x, -y, z, 1]
        i, j, k = (round(float(part)) for part in first[:3])
        assert frame[0, 0] == drawn[i, j, k]
    assert sorted(frames.ravel()) == sorted(drawn.ravel())
    project.ledger.close()
