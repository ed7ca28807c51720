"""Scores of files equal those by hand, and a stopped run is resumed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from activelabel.acquisition.aggregation import total
from activelabel.data.preprocessing import PreparedImage, prepare_image
from activelabel.data.volumes import Volume, read_volume
from activelabel.errors import InvalidInputError
from activelabel.networks import build_network
from activelabel.prediction.image_files import FileScorer, Scored, Wanted, list_images
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.prediction.score_table import ScoreTable
from activelabel.recipes import NetworkSettings, PreprocessingSettings, RegionSettings

WANTED = Wanted(("variance",), ("everything",), ("total", "mean"), repeats=2, seed=0, slices=True)


@pytest.fixture
def predictor() -> Predictor:
    torch.manual_seed(0)
    network = build_network(NetworkSettings(channels=(4, 8), strides=(2,), residual_units=0, dropout=0.2), classes=2)
    return Predictor(network, (16, 16, 16), 0.25, "cpu", "float32")


def run(
    folder: Path, predictor: Predictor, table: ScoreTable, also: Callable[[Scored], None] | None = None
) -> list[Any]:
    files = list_images(folder)
    scorer = FileScorer(predictor, PreprocessingSettings(), RegionSettings(), WANTED, also)
    return list(scorer.score_all(files, table))


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
    next(
        FileScorer(predictor, PreprocessingSettings(), RegionSettings(), WANTED).score_all(list_images(studies), first)
    )
    part = tmp_path / "scores.csv.part"
    part.write_text(part.read_text(encoding="utf-8") + '{"image": "blob_01.nii.gz", "ro')  # killed while it was writing
    seen: list[Scored] = []
    second = ScoreTable(tmp_path / "scores.csv", {"run": 1})
    assert second.done == {"blob_00.nii.gz"}
    run(studies, predictor, second, seen.append)
    assert [scored.name for scored in seen] == ["blob_01.nii.gz", "blob_02.nii.gz"]
    pd.testing.assert_frame_equal(second.finish(), expected)


RACED = replace(WANTED, aggregations=("total",), repeats=8, slices=False)


def race_for_top(
    studies: Path, predictor: Predictor, out: Path, also: Callable[[Scored], None] | None = None
) -> ScoreTable:
    """Return a race for the best image of the studies, and its unfinished table."""
    table = ScoreTable(out, {})
    scorer = FileScorer(predictor, PreprocessingSettings(), RegionSettings(), RACED, also)
    assert scorer.race_for_top(list_images(studies), 1, table, lambda passes: None) == []
    return table


def test_a_race_gives_finalists_the_scores_of_all_repeats_and_the_others_those_of_few(
    blobs: Callable[[int], Any], predictor: Predictor, tmp_path: Path
) -> None:
    studies = blobs(6).studies
    seen: list[Scored] = []
    rows = race_for_top(studies, predictor, tmp_path / "race.csv", seen.append).finish()
    # 6 get 2 repeats, 3 get 4, the 2 finalists all 8.
    assert sorted(rows.repeats) == [2, 2, 2, 4, 8, 8]
    for row in rows.itertuples():
        assert row.value == pytest.approx(value_after(row.repeats, studies / row.image, predictor), rel=1e-5)
    after_two = {row.image: value_after(2, studies / row.image, predictor) for row in rows.itertuples()}
    assert set(rows[rows.repeats == 2].image) == set(sorted(after_two, key=after_two.__getitem__)[:3])
    assert {scored.name for scored in seen} == set(rows[rows.repeats == 8].image)


def value_after(repeats: int, file: Path, predictor: Predictor) -> float:
    image = prepare_image(read_volume(file), PreprocessingSettings()).tensor
    return total(predictor.sample(image, repeats, 0).variance())


@pytest.mark.parametrize("passes_before_the_kill", [1, 5, 6, 8, 9, 10])
def test_a_stopped_race_goes_on_at_the_volume_where_it_stopped(
    blobs: Callable[[int], Any], predictor: Predictor, tmp_path: Path, passes_before_the_kill: int
) -> None:
    studies = blobs(6).studies
    whole = race_for_top(studies, predictor, tmp_path / "whole.csv")
    lines = (tmp_path / "whole.csv.race").read_text(encoding="utf-8").splitlines(keepends=True)
    assert len(lines) == 1 + 6 + 3 + 2
    left = tmp_path / "race.csv.race"
    left.write_text("".join(lines[: 1 + passes_before_the_kill]) + '{"image": "bl')
    raced = race_for_top(studies, predictor, tmp_path / "race.csv")
    assert [steps_of(line) for line in left.read_text(encoding="utf-8").splitlines()] == [
        steps_of(line) for line in lines
    ]
    pd.testing.assert_frame_equal(raced.finish(), whole.finish(), rtol=1e-5)
    assert not left.exists()


def steps_of(line: str) -> tuple[str, int]:
    entry = json.loads(line)
    return entry.get("image"), entry.get("repeats")


def test_an_unreadable_file_does_not_race_and_is_in_the_table(
    blobs: Callable[[int], Any], predictor: Predictor, tmp_path: Path
) -> None:
    studies = blobs(2).studies
    (studies / "torn.nii.gz").write_bytes(b"")
    table = ScoreTable(tmp_path / "race.csv", {})
    scorer = FileScorer(predictor, PreprocessingSettings(), RegionSettings(), RACED)
    (problem,) = scorer.race_for_top(list_images(studies), 1, table, lambda passes: None)
    rows = table.finish().set_index("image")
    assert rows.problem["torn.nii.gz"] == problem
    assert set(rows.value.dropna().index) == {"blob_00.nii.gz", "blob_01.nii.gz"}


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


def test_a_run_with_other_settings_does_not_resume_this_one(tmp_path: Path) -> None:
    ScoreTable(tmp_path / "scores.csv", {"repeats": 5})
    with pytest.raises(InvalidInputError, match="of a run with other settings"):
        ScoreTable(tmp_path / "scores.csv", {"repeats": 6})


@pytest.mark.parametrize("name", ["scores.txt", "nowhere/scores.csv"])
def test_a_table_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="--out"):
        ScoreTable(tmp_path / name, {})


def test_an_existing_table_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(json.dumps({}))
    with pytest.raises(InvalidInputError, match="there already"):
        ScoreTable(tmp_path / "scores.csv", {})


@pytest.mark.parametrize(("content", "expected"), [(None, "no such folder"), (["notes.txt"], "found none")])
def test_a_folder_without_images_is_refused(tmp_path: Path, content: list[str] | None, expected: str) -> None:
    folder = tmp_path / "images"
    if content is not None:
        folder.mkdir()
        for name in content:
            (folder / name).touch()
    with pytest.raises(InvalidInputError, match=expected):
        list_images(folder)


def test_a_race_prepares_no_image_twice(
    blobs: Callable[[int], Any], predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies, prepared = blobs(6).studies, list[Path]()

    def prepare(volume: Volume, settings: PreprocessingSettings) -> PreparedImage:
        prepared.append(volume.path)
        return prepare_image(volume, settings)

    monkeypatch.setattr("activelabel.prediction.prepared.images.prepare_image", prepare)
    kept = PreparedImages(tmp_path / "kept")
    scorer = FileScorer(predictor, PreprocessingSettings(), RegionSettings(), RACED, kept=kept)
    scorer.race_for_top(list_images(studies), 1, ScoreTable(tmp_path / "race.csv", {}), lambda passes: None)
    assert sorted(prepared) == sorted(studies.glob("*.nii.gz"))
    assert scorer.intensities.keys() == {path.name for path in prepared}
