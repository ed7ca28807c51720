"""A whole experiment on labels whose structures overlap, and in which some voxels are ignored."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
from training_study import TINY

from activelabel.data.labels.label_texts import parse_labels, text_of
from activelabel.errors import InvalidInputError
from activelabel.project.opening import open_project
from activelabel.simulation.arms import plan_arms
from activelabel.simulation.cases import find_cases
from activelabel.simulation.experiment import Experiment, open_experiment
from activelabel.simulation.folder_names import run_folder
from activelabel.simulation.local_app import LocalApp
from activelabel.simulation.measuring import measure_test_cases, sound_test_cases
from activelabel.simulation.playing import run_in_process

LABELS = "whole=1+2+5,core=2,ignore=7"


@pytest.fixture
def nested(blobs: Callable[[int], Any]) -> Any:
    """Blobs whose ball has values 1 and 5, half each, with a core of 2 and a few ignored voxels of 7."""
    cases = blobs(6)
    for file in sorted(cases.labels.iterdir()):
        image = nibabel.load(file)
        ball = np.asarray(image.dataobj) > 0
        across = np.arange(ball.shape[0])[:, None, None] * np.ones(ball.shape)
        middle = np.median(across[ball])
        values = np.where(ball, np.where(across < middle, 1, 5), 0).astype(np.uint8)
        values[ball & (np.abs(across - middle) < 1.5)] = 2
        values[0, 0, :4] = 7
        nibabel.save(nibabel.Nifti1Image(values, image.affine), file)
    return cases


def test_an_experiment_on_overlapping_structures_with_the_values_of_its_files(nested: Any, tmp_path: Path) -> None:
    out, labels = tmp_path / "out", parse_labels(LABELS.split(","), "test")
    found = find_cases(nested.studies, nested.labels, test_cases=1, smallest_pool=5)
    cases, problems = sound_test_cases(found, labels)
    assert problems == {}
    arms = plan_arms(str(TINY), ["selective_entropy"], 2, 1, None, 1)
    experiment = Experiment(arms, 1, cases, {"labels": text_of(labels), "device": "cpu"})
    open_experiment(experiment, out)
    run_in_process(experiment, arms[0], 0, out, lambda *_: None, LocalApp)
    folder = run_folder(out, arms[0].name, 0)

    metrics = pd.read_parquet(folder / "metrics.parquet")
    assert metrics.groupby("round")["label"].agg(list).tolist() == [["whole", "core"]] * 2
    assert metrics["dice"].between(0, 1).all()
    scores = pd.read_parquet(folder / "scores.parquet")
    assert np.isfinite(scores["value"]).all()

    project = open_project("", str(folder / "studies"), {"recipe": str(TINY), "project_dir": str(folder / "project")})
    assert text_of(project.labels) == LABELS, "the ledger knows the map"
    kept = project.ledger.annotations()
    assert len(kept) == len(pd.read_parquet(folder / "queries.parquet"))
    for annotation in kept:
        true = np.asarray(nibabel.load(nested.labels / f"{annotation.image_id}.nii.gz").dataobj)
        np.testing.assert_array_equal(np.asarray(nibabel.load(project.labels_folder / annotation.file).dataobj), true)
    model = project.ledger.latest_model()
    assert model is not None
    assert set(model.metrics) == {"dice", "dice_whole", "dice_core"}

    shutil.rmtree(folder / "project" / "runs", ignore_errors=True)
    with pytest.raises(
        InvalidInputError, match=r"labels whole=1\+2\+5,core=2: the labels of this project are kept under"
    ):
        open_project(
            "", str(folder / "studies"),
            {"labels": "whole=1+2+5,core=2", "recipe": str(TINY), "project_dir": str(folder / "project")},
        )  # fmt: skip


def test_what_the_truth_ignores_is_in_no_metric(nested: Any) -> None:
    """A model that draws the core right, and everything else as whole, the ignored voxels too, is right."""
    labels = parse_labels(LABELS.split(","), "test")
    cases = replace(find_cases(nested.studies, nested.labels, 1, 5), label_names=labels)

    def segment(file: Path) -> np.ndarray:
        true = np.asarray(nibabel.load(nested.labels / file.name).dataobj)
        return np.select([true == 2, true > 0], [2, 1], 0).astype(np.uint8)

    rows = {row["label"]: row for row in measure_test_cases(segment, cases, labels)}
    assert {name: (row["dice"], row["hausdorff_distance"]) for name, row in rows.items()} == {
        "whole": (1.0, 0.0),
        "core": (1.0, 0.0),
    }
