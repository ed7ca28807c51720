"""Maps of a model: on the image's grid, equal to what the model predicts, computed once."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from small_studies import AFFINE_RAS, TINY_RECIPE, write_image, write_nifti

from activelabel.annotation.archive import open_archive
from activelabel.data.files.image_files import ImageFiles
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.networks import build_network
from activelabel.prediction.predictor import Predictor
from activelabel.project.models.loaded import LoadedModel
from activelabel.project.models.publishing import publish_model
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.server.actions.maps import MapActions
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.tasks.segmentation import SegmentationInfer
from activelabel.server.tasks.uncertainty import UncertaintyInfer, bands


class Site:
    """A project on a folder of two images, whose maps are asked for."""

    def __init__(self, folder: Path, **conf: str) -> None:
        self.studies = folder / "studies"
        self.studies.mkdir()
        for number in range(2):
            write_image(self.studies / f"case_{number}.nii.gz", number)
        settings = {"recipe": str(TINY_RECIPE), "labels": "ball,box", "device": "cpu", **conf}
        self.project: Project = open_project(str(folder), str(self.studies), settings)
        archive = open_archive(self.project)
        self.datastore = LedgerDatastore(
            str(self.studies), self.project.ledger, archive, validation_cases=1, follow_changes=False
        )
        self.project.ledger.sync_images(["case_0", "case_1"], 1)
        self.loaded = LoadedModel(self.project)
        self.maps = MapActions(self.project, self.datastore, self.loaded)

    def publish(self, seed: int) -> int:
        """Publish a model of random weights, which is in use, and return its version."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            weights = build_network(self.project.recipe.network, classes=3).state_dict()
        return publish_model(self.project, weights, {}, []).version

    def files(self, image_id: str) -> ImageFiles:
        return ImageFiles(self.studies / f"{image_id}.nii.gz")


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., Site]:
    return lambda **conf: Site(tmp_path, **conf)


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    made = make_site()
    made.publish(0)
    return made


def voxels(file: Path) -> np.ndarray:
    image = nibabel.load(file)
    assert image.get_data_dtype() == np.float32
    np.testing.assert_allclose(image.affine, AFFINE_RAS)
    return np.asarray(image.dataobj)


def test_the_bands_that_viewers_get_as_segments_are_those_of_the_map(site: Site) -> None:
    found = site.maps.uncertainty("case_0")
    assert (found.quantity, found.model_version) == ("variance", 1)
    graded, _ = bands(torch.from_numpy(voxels(found.file)), "variance")
    shown, _ = UncertaintyInfer(site.project, site.loaded)({"image": site.files("case_0").as_json()})
    np.testing.assert_array_equal(graded.numpy(), np.asarray(nibabel.load(shown).dataobj))


def test_the_most_probable_structures_are_the_mask(site: Site) -> None:
    ball, box = (voxels(site.maps.probability("case_0", name).file) for name in ("ball", "box"))
    background = 1 - ball - box
    assert background.min() > -1e-6
    assert min(ball.min(), box.min()) >= 0
    shown, _ = SegmentationInfer(site.project, site.loaded)({"image": site.files("case_0").as_json()})
    mask = np.asarray(nibabel.load(shown).dataobj)
    probabilities = np.stack([background, ball, box])
    second, first = np.sort(probabilities, axis=0)[1:]
    clear = first - second > 1e-6  # in bfloat16 two may be equal up to what the maps are rounded to
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(probabilities.argmax(axis=0)[clear], mask[clear])


def test_a_named_measure_has_a_map_of_its_own(site: Site) -> None:
    variance, entropy = (voxels(site.maps.uncertainty("case_0", name).file) for name in ("variance", "entropy"))
    assert 0 < entropy.max() <= np.log(3)
    assert not np.allclose(variance, entropy)


def test_a_map_is_computed_once_for_an_image_and_a_model(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    sampled = []
    sample = Predictor.sample
    monkeypatch.setattr(Predictor, "sample", lambda self, *args: sampled.append(1) or sample(self, *args))
    first = site.maps.uncertainty("case_0")
    assert site.maps.uncertainty("case_0") == first
    assert len(sampled) == 1
    site.maps.uncertainty("case_1")
    assert len(sampled) == 2
    site.publish(1)
    other = site.maps.uncertainty("case_0")
    assert (len(sampled), other.model_version) == (3, 2)
    assert not np.allclose(voxels(other.file), voxels(first.file))
    write_nifti(site.studies / "case_0.nii.gz", np.random.default_rng(9).normal(50, 20, (12, 10, 8)).astype(np.float32))
    site.maps.uncertainty("case_0")
    assert len(sampled) == 4


def test_without_a_model_the_line_says_when_there_will_be_one(make_site: Callable[..., Site]) -> None:
    with pytest.raises(NotReadyError, match=r"no model yet: the first takes 2 training cases, you have 0"):
        make_site().maps.uncertainty("case_0")


def test_unknown_structures_measures_and_forms_are_refused(site: Site) -> None:
    with pytest.raises(InvalidInputError, match=r"label 'liver': there is no such structure; use one of ball, box"):
        site.maps.probability("case_0", "liver")
    with pytest.raises(InvalidInputError, match="measure 'doubt': use one of variance"):
        site.maps.uncertainty("case_0", "doubt")
    with pytest.raises(InvalidInputError, match="form 'dicom': the images are files"):
        site.maps.uncertainty("case_0", form="dicom")


def test_an_unreadable_image_is_refused_in_one_line(site: Site) -> None:
    (site.studies / "case_0.nii.gz").write_bytes(b"")
    with pytest.raises(InvalidInputError, match=r"case_0.*empty"):
        site.maps.uncertainty("case_0")
