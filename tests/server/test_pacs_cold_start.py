"""A cold start on a real PACS: no image is annotated, and series are fetched when they are needed."""

import datetime
import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monailabel.config import settings as host_settings
from warm_recipe import write_warm_recipe

from activelabel.data.volumes import Volume, read_volume
from activelabel.loop.due import Work, read_situation, work_due
from activelabel.names import ScoreKind
from activelabel.project.models.features import features_file, read_features
from activelabel.project.opening import open_project
from activelabel.server.datastores import pacs as pacs_datastore
from activelabel.server.opening import open_datastore
from activelabel.server.project_tasks import build_trainers
from activelabel.server.tasks.scoring import PROXY, scoring_methods
from activelabel.server.tasks.strategy import host_strategies
from activelabel.strategies.spread import typiclust_rounds
from activelabel.training.pseudo_labels import foreground, pseudo_label, soft_tissue
from local_pacs.ct_series import AIR_HU, ct_series
from local_pacs.orthanc import Orthanc

VARIANCE = ScoreKind("variance", aggregation="mean")
WINDOW_HU, LEVEL_HU = 100.0, 150.0
"""The balls are 150 HU; by their intensities alone these images, without air, would be no CT."""


class Site:
    """The app on a PACS of tiny CT series, without the host around it."""

    def __init__(self, orthanc: Orthanc, folder: Path, recipe: str) -> None:
        self.studies = orthanc.dicom_web
        conf = {
            "recipe": recipe,
            "labels": "ball",
            "device": "cpu",
            "project_dir": str(folder / "project"),
            "seed": "1",
        }
        self.project = open_project("app", self.studies, conf)
        self._datastore = open_datastore(self.project, self.studies, follow_changes=True)
        self.ledger = self.project.ledger

    def ids(self, role: str) -> set[str]:
        return {image.id for image in self.ledger.images() if image.role == role}

    def volume(self, image_id: str) -> Volume:
        return read_volume(self._datastore.get_image_uri(image_id))

    def drawn(self, image_id: str) -> np.ndarray:
        """Return the kept pseudo-label of an image."""
        return np.asarray(nibabel.load(self.project.pseudo_labels_folder / f"{image_id}.nii.gz").dataobj) == 1

    def due(self) -> Work | None:
        return work_due(read_situation(self.project, "variance"), self.project.thresholds)

    def train_proxy(self) -> dict[str, Any]:
        return dict(build_trainers(self.project)[PROXY]({"model": PROXY}, self._datastore))

    def score_by_proxy(self) -> dict[str, Any]:
        return dict(scoring_methods(self.project)[PROXY]({}, self._datastore))

    def ask(self, strategy: str, annotator: str) -> dict[str, Any]:
        return dict(host_strategies(self.project)[strategy]({"client_id": annotator}, self._datastore))

    def ask_for_training(self, strategy: str, count: int) -> list[dict[str, Any]]:
        """Return the training cases of this number of new annotators; validation cases take turns with them."""
        samples: list[dict[str, Any]] = []
        for number in itertools.count():
            if len(samples) == count:
                break
            sample = self.ask(strategy, f"{strategy} {number}")
            samples += [sample] if sample["role"] == "training" else []
        return samples


@pytest.fixture
def send(orthanc: Orthanc, tmp_path: Path) -> Callable[..., str]:
    """Send a volume to the PACS as a patient's series, with other tags if given, and return the series' UID."""

    def store(image: Path, **tags: str) -> str:
        patient = image.name.removesuffix(".nii.gz")
        slices = ct_series(image, patient, datetime.datetime(2026, 5, 6, 7, 8))
        for dataset in slices:
            for name, value in tags.items():
                setattr(dataset, name, value)
        orthanc.store(slices)
        return str(slices[0].SeriesInstanceUID)

    return store


@pytest.fixture
def make_site(orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Site]:
    monkeypatch.setattr(pacs_datastore, "LOOK_SECONDS", 3600.0)  # the datastore looks once, when it is opened
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_CACHE_PATH", str(tmp_path / "cache"))
    recipe = write_warm_recipe(tmp_path, "mean_variance", window_hu=WINDOW_HU, level_hu=LEVEL_HU)
    return lambda: Site(orthanc, tmp_path, recipe)


def test_from_an_empty_ledger_to_the_first_queries(
    blobs: Callable[[int], Any], send: Callable[..., str], make_site: Callable[[], Site]
) -> None:
    uids = {send(image) for image in sorted(blobs(8).studies.iterdir())}
    site = make_site()
    assert (len(site.ids("training")), site.ids("training") | site.ids("validation")) == (6, uids)
    early = site.ask("mean_variance", "eve")
    assert early["reason"] == "no proxy model yet: drawn at random"

    assert site.due() is Work.TRAIN_PROXY
    stats = site.train_proxy()
    assert stats["pseudo_labels"] == {"done": 8, "images": 8, "without": {}}
    assert stats["model"]["version"] == 1
    for uid in uids:
        voxels = site.volume(uid).array
        assert np.array_equal(site.drawn(uid), soft_tissue(voxels, WINDOW_HU, LEVEL_HU))
        assert not np.array_equal(site.drawn(uid), foreground(voxels))

    assert site.due() is Work.SCORE_PROXY
    assert site.score_by_proxy() == {"model_version": 1, "scored": 6, "without_pseudo_label": []}
    assert site.due() is None

    scores = site.ledger.volume_scores(1, VARIANCE)
    assert scores.keys() == site.ids("training")
    left = sorted(scores.keys() - {early["id"]}, key=lambda uid: -scores[uid])
    ranked = site.ask_for_training("mean_variance", 2)
    assert [(sample["id"], sample["score"]) for sample in ranked] == [(uid, scores[uid]) for uid in left[:2]]
    assert ranked[0]["reason"].endswith("by proxy model 1, the largest of the cases left")

    features = read_features(features_file(site.project.features_folder, 1))
    assert features.keys() == scores.keys()
    clusters = typiclust_rounds(features, (), first=2, size=2, seed=1)
    typical = site.ask_for_training("typiclust", 2)
    assert [sample["id"] for sample in typical] == [uid for uid in clusters if uid in left[2:]][:2]
    assert typical[0]["reason"] == "the most typical of its cluster, by the features of proxy model 1"


def test_the_tag_of_each_series_says_by_which_rule_its_pseudo_label_is_drawn(
    blobs: Callable[[int], Any],
    send: Callable[..., str],
    make_site: Callable[[], Site],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One series is an MR with voxels as dark as air in a CT; one has an unknown modality and is asked for last."""
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_SEARCH_FILTER", {})
    images = sorted(blobs(6).studies.iterdir())
    magnetic = nibabel.load(images[4])
    voxels = magnetic.get_fdata(dtype=np.float32)
    voxels[0] = AIR_HU
    nibabel.save(nibabel.Nifti1Image(voxels, magnetic.affine), images[4])
    mr, unknown = send(images[4], Modality="MR"), send(images[1], Modality="ECG")  # neither is set aside for validation
    uids = {send(image) for image in [images[0], *images[2:4], images[5]]}
    site = make_site()

    with caplog.at_level(logging.WARNING):
        stats = site.train_proxy()

    assert list(stats["pseudo_labels"]["without"]) == [unknown]
    assert "DICOM tag Modality is 'ECG', expected CT or one of" in stats["pseudo_labels"]["without"][unknown]
    assert np.array_equal(site.drawn(mr), foreground(site.volume(mr).array))
    for uid in uids:
        assert np.array_equal(site.drawn(uid), pseudo_label(site.volume(uid), "CT", WINDOW_HU, LEVEL_HU))
    assert caplog.text.count(f"{unknown} is left out of the proxy training") == 1
    assert site.score_by_proxy()["without_pseudo_label"] == [unknown]
    assert list(site.ledger.ranking(1, VARIANCE, limit=9))[-1] == unknown
