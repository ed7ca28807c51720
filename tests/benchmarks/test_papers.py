"""The experiments of `benchmarks/papers` with `--full` have the papers' sizes, and enough cases for them."""

from pathlib import Path

import pytest

from activelabel.data.files.image_files import ImageFiles
from activelabel.recipes import load_recipe
from activelabel.recipes.strategy_traits import traits_of
from activelabel.simulation.arms import needed_cases
from activelabel.simulation.cases import Cases
from benchmarks.papers import chlebus2022, ma2024, nath2022, rahimi2022

VOLUMES, SLICES = "volumes", "slices"
# Start, a round of each unit, and rounds: rahimi2022, III; nath2022, 4.2, where four iterations are four models;
# chlebus2022, IV.A and V.A; ma2024, 3.1, with rounds until 35 % of its 7,750 slices (tables 1 and 2).
PAPERS = {
    "rahimi2022": (rahimi2022.experiments, 11, {VOLUMES: 5}, {4}),
    "nath2022": (nath2022.experiments, 5, {VOLUMES: 5}, {0, 3}),
    "chlebus2022": (chlebus2022.experiments, 5, {VOLUMES: 5, SLICES: 200}, {5}),
    "ma2024": (ma2024.experiments, 500, {SLICES: 100}, {22}),
}


@pytest.fixture(autouse=True)
def no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases without files, as many as are asked for: the real images are not everywhere."""

    def cases(_first: int, count: int, test: int) -> Cases:
        names = [f"case_{number:03}" for number in range(count)]
        files = {name: ImageFiles(Path(f"{name}.nii.gz")) for name in names}
        labels = {name: Path(f"{name}.nii.gz") for name in names}
        return Cases(files, labels, tuple(names[test:]), tuple(names[:test]))

    for paper in (rahimi2022, nath2022, chlebus2022, ma2024):
        monkeypatch.setattr(paper, "hippocampus", cases)


@pytest.mark.parametrize("paper", PAPERS)
def test_the_full_experiments_have_the_papers_sizes(paper: str, tmp_path: Path) -> None:
    experiments, start, round_sizes, rounds = PAPERS[paper]
    planned = experiments(True, 3, tmp_path).values()
    arms = [arm for experiment in planned for arm in experiment.arms]
    assert {arm.start for arm in arms} == {start}
    assert {arm.rounds for arm in arms} == rounds
    for arm in arms:
        assert arm.query_size == round_sizes[traits_of(arm.strategy).unit], arm.name
        assert load_recipe(arm.recipe).name == paper
    assert all(needed_cases(arm) <= len(experiment.cases.pool) for experiment in planned for arm in experiment.arms)


def test_of_ma2024_those_that_need_repeats_have_them(tmp_path: Path) -> None:
    (experiment,) = ma2024.experiments(True, 3, tmp_path).values()
    repeats = {arm.name: load_recipe(arm.recipe).prediction.repeats for arm in experiment.arms}
    assert {repeats[name] for name in ("variance_slices", "selective_mutual_information_slices")} == {20}
    assert {repeats[name] for name in ("entropy_slices", "margin_slices", "random_slices")} == {0}
