"""Scores of files: the same as by hand, and a stopped run goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from activelabel.errors import InvalidInputError
from activelabel.networks import build_network
from activelabel.prediction.image_files import Scored, ScoreTable, Wanted, list_images, score_files
from activelabel.prediction.predictor import Predictor
from activelabel.recipes import NetworkSettings, PreprocessingSettings, RegionSettings

WANTED = Wanted(("variance",), ("everything",), repeats=2, seed=0, slices=True)


@pytest.fixture
def predictor() -> Predictor:
    torch.manual_seed(0)
    network = build_network(NetworkSettings(channels=(4, 8), strides=(2,), residual_units=0, dropout=0.2), classes=2)
    return Predictor(network, (16, 16, 16), 0.25, "cpu", "float32")


def run(
    folder: Path, predictor: Predictor, table: ScoreTable, also: Callable[[Scored], None] | None = None
) -> list[Any]:
    files = list_images(folder)
    return list(score_files(files, predictor, PreprocessingSettings(), RegionSettings(), WANTED, table, also))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_table_holds_a_volumes_and_its_slices_scores(
    blobs: Callable[[int], Any], predictor: Predictor, tmp_path: Path, ending: str
) -> None:
    seen: list[Scored] = []
    table = ScoreTable(tmp_path / f"scores.{ending}", {"run": 1})
    assert run(blobs(2).studies, predictor, table, seen.append) == [None, None]
    table.finish()
    read = pd.read_csv if ending == "csv" else pd.read_parquet
    rows = read(tmp_path / f"scores.{ending}")
    totals = rows[rows.aggregation == "total"]
    for scored in seen:
        of_image = totals[totals.image == scored.name]
        map = scored.statistics.variance()
        volume = of_image[of_image.slice_index.isna()].value.item()
        assert volume == pytest.approx(float(map.double().sum()))
        by_slice = of_image[of_image.slice_index.notna()].sort_values("slice_index").value
        assert len(by_slice) == 16  # across the axis of 2 mm
        assert by_slice.sum() == pytest.approx(volume)
    assert not list(tmp_path.glob("*.part"))


def test_a_stopped_run_goes_on_without_scoring_twice(
    blobs: Callable[[int], Any], predictor: Predictor, tmp_path: Path
) -> None:
    studies = blobs(3).studies
    whole = ScoreTable(tmp_path / "whole.csv", {"run": 1})
    run(studies, predictor, whole)
    expected = whole.finish()

    first = ScoreTable(tmp_path / "scores.csv", {"run": 1})
    stopped = score_files(list_images(studies), predictor, PreprocessingSettings(), RegionSettings(), WANTED, first)
    next(stopped)
    part = tmp_path / "scores.csv.part"
    part.write_text(part.read_text() + '{"image": "blob_01.nii.gz", "ro')  # killed while it was writing
    seen: list[Scored] = []
    second = ScoreTable(tmp_path / "scores.csv", {"run": 1})
    assert second.done == {"blob_00.nii.gz"}
    run(studies, predictor, second, seen.append)
    assert [scored.name for scored in seen] == ["blob_01.nii.gz", "blob_02.nii.gz"]
    pd.testing.assert_frame_equal(second.finish(), expected)


def test_a_file_that_cannot_be_read_is_in_the_table_with_its_problem(
    blobs: Callable[[int], Any], predictor: Predictor, tmp_path: Path
) -> None:
    studies = blobs(1).studies
    (studies / "torn.nii.gz").write_bytes(b"")
    table = ScoreTable(tmp_path / "scores.csv", {})
    problems = run(studies, predictor, table)
    assert problems[0] is None
    assert "torn.nii.gz" in problems[1]
    rows = table.finish()
    assert rows[rows.image == "torn.nii.gz"].problem.item() == problems[1]


def test_another_run_does_not_go_on_with_this_one(tmp_path: Path) -> None:
    ScoreTable(tmp_path / "scores.csv", {"repeats": 5})
    with pytest.raises(InvalidInputError, match="of a run with other settings"):
        ScoreTable(tmp_path / "scores.csv", {"repeats": 6})


@pytest.mark.parametrize("name", ["scores.txt", "nowhere/scores.csv"])
def test_a_table_that_cannot_be_written_is_said_before_the_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="--out"):
        ScoreTable(tmp_path / name, {})


def test_a_table_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(json.dumps({}))
    with pytest.raises(InvalidInputError, match="there already"):
        ScoreTable(tmp_path / "scores.csv", {})


@pytest.mark.parametrize(("content", "said"), [(None, "no such folder"), (["notes.txt"], "found none")])
def test_a_folder_without_images_is_said(tmp_path: Path, content: list[str] | None, said: str) -> None:
    folder = tmp_path / "images"
    if content is not None:
        folder.mkdir()
        for name in content:
            (folder / name).touch()
    with pytest.raises(InvalidInputError, match=said):
        list_images(folder)
