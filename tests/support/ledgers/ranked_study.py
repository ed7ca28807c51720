"""A project of eight images that models have ranked by every score, with features of each: for tests of strategies."""

from pathlib import Path

import numpy as np
from small_studies import SHAPE, Studies, write_image
from warm_recipe import write_warm_recipe

from activelabel.acquisition.regions import REGIONS
from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MEASURES
from activelabel.project.models.features import features_file, write_features
from activelabel.project.opening import open_project
from activelabel.project.project import Project

IMAGES = "abcdefgh"


def write_images(folder: Path) -> Studies:
    """Write the eight images into a new folder."""
    folder.mkdir()
    for number, image_id in enumerate(IMAGES):
        write_image(folder / f"{image_id}.nii.gz", number)
    return Studies(folder)


def open_ranked(studies: Studies, folder: Path, cold_start: str = "none", **conf: str) -> Project:
    """Open the project, two images of it for validation; the recipe has a proxy task and starts with four cases."""
    recipe = write_warm_recipe(folder, cold_start=f'"{cold_start}"')
    conf = {"labels": "ball", "recipe": recipe, "device": "cpu", "start": "4", **conf}
    project = open_project(str(folder), str(studies.folder), conf)
    project.ledger.sync_images(IMAGES, 2)
    for image_id in IMAGES:
        project.ledger.fix_slices(image_id, 2, SHAPE)
    return project


def publish(project: Project, kind: str = "task") -> None:
    """Publish a model with all kinds of scores and the features of every training image."""
    version = project.ledger.publish_model("m.pt", "0" * 64, "tiny", ["ball"], {}, [], kind=kind).version
    rng = np.random.default_rng(version)
    kinds = [(measure, region) for measure in MEASURES for region in [*REGIONS, "class_1"]]
    training = [image.id for image in project.ledger.images() if image.role == "training"]
    for image_id in training:
        scores = [
            Score(*of, aggregation, float(rng.random()), tuple(rng.random(SHAPE[2]).tolist()))
            for of in [*kinds, ("foreground", "everything")]
            for aggregation in ("total", "mean")
        ]
        project.ledger.record_scores(version, image_id, scores, 5, 0)
    for of_slices, shape in ((False, 4), (True, (SHAPE[2], 4))):
        features = {image_id: rng.normal(size=shape).astype(np.float32) for image_id in training}
        write_features(features_file(project.features_folder, version, of_slices), features)
