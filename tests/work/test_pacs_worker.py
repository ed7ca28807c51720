"""A worker on another machine than the server's, which fetches the images from a real PACS by itself."""

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monailabel.config import settings as host_settings
from training_study import TINY
from typer.testing import CliRunner

from activelabel.cli.main import app
from activelabel.names import ScoreKind
from activelabel.networks import build_network
from activelabel.project.models.publishing import publish_model
from activelabel.project.opening import open_project
from activelabel.project.place import write_place
from activelabel.project.project import Project
from activelabel.server.datastores import pacs as pacs_datastore
from activelabel.server.opening import open_datastore
from local_pacs.ct_series import ct_series
from local_pacs.orthanc import Orthanc

CONF = {"recipe": str(TINY), "labels": "ball", "device": "cpu", "precision": "float32"}


@pytest.fixture
def served(orthanc: Orthanc, blobs: Callable[[int], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of four series, one for validation, as its server has begun it, with a model of random weights."""
    for image in sorted(blobs(4).studies.iterdir()):
        orthanc.store(ct_series(image, image.name.removesuffix(".nii.gz"), datetime.datetime(2026, 5, 6, 7, 8)))
    monkeypatch.setattr(pacs_datastore, "LOOK_SECONDS", 3600.0)  # it looks once, when it is opened
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_CACHE_PATH", str(tmp_path / "cache of the server"))
    project = open_project("app", orthanc.dicom_web, {**CONF, "project_dir": str(tmp_path / "project")})
    open_datastore(project, project.studies, follow_changes=True).close()
    write_place(project, CONF)
    torch.manual_seed(0)
    publish_model(project, build_network(project.recipe.network, classes=2).state_dict(), {}, [])
    return project


def test_a_worker_scores_the_images_of_a_pacs_which_it_fetches_itself(
    served: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_CACHE_PATH", str(tmp_path / "cache of the worker"))
    wanted = set(served.ledger.pool("training"))
    assert len(wanted) == 3
    ended = CliRunner().invoke(app, ["work", "--project", str(served.folder), "--device", "cpu", "--until-done"])
    assert (ended.exit_code, re.findall(r"^\d+ done$", ended.output, re.MULTILINE)) == (0, ["3 done"]), ended.output
    assert served.ledger.score_repeats(1, ScoreKind("variance")) == dict.fromkeys(wanted, 3)
    assert (served.ledger.claims(), served.ledger.images_set_aside()) == ([], [])
    fetched = {path.name.removesuffix(".nii.gz") for path in (tmp_path / "cache of the worker").rglob("*.nii.gz")}
    assert fetched == wanted
