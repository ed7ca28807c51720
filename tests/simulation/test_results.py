"""Results read back from the folders of experiments, against the data written there."""

from pathlib import Path

import pandas as pd
import pytest
from made_up_experiment import CONTOUR_MM, FOREGROUND_SLICES, SLICES, VOXELS, make_experiment

from activelabel.errors import InvalidInputError
from activelabel.simulation.results import effort_table, mean_dice, read_results

CURVES = {"random": lambda number: 0.6 + 0.02 * number, "variance": lambda number: 0.6 + 0.03 * number}


def queries(*rows: tuple[int, str, int, int]) -> pd.DataFrame:
    """Return the queries of one run: round, image, slices and voxels."""
    frame = pd.DataFrame(rows, columns=["round", "image_id", "annotated_slices", "foreground_voxels"])
    return frame.assign(arm="a", seed=0, role="training", foreground_slices=1, boundary_mm=2.5)


def test_effort_is_the_sum_of_all_rounds_and_counts_an_image_once() -> None:
    table = effort_table(queries((0, "x", 5, 100), (0, "y", 5, 10), (1, "x", 2, 7), (2, "z", 1, 0), (2, "z", 1, 3)))
    assert list(table["round"]) == [0, 1, 2]
    assert list(table["volumes"]) == [2, 2, 3]
    assert list(table["slices"]) == [10, 12, 14]
    assert list(table["foreground_slices"]) == [2, 3, 5]
    assert list(table["foreground_voxels"]) == [110, 117, 120]
    assert list(table["boundary_mm"]) == [5.0, 7.5, 12.5]


def test_runs_do_not_share_their_effort_whatever_the_order_of_the_rows() -> None:
    one = queries((0, "x", 5, 1), (1, "y", 5, 1))
    both = pd.concat([one.assign(seed=1), one]).iloc[::-1]
    table = effort_table(both).set_index(["seed", "round"]).sort_index()
    assert list(table["volumes"]) == [1, 2, 1, 2]


def test_the_labels_for_validation_are_part_of_the_effort() -> None:
    asked = queries((0, "x", 5, 1), (0, "v", 7, 1))
    asked["role"] = ["training", "validation"]
    assert effort_table(asked)["slices"].item() == 12


def test_dice_of_a_case_leaves_out_what_is_in_neither_mask() -> None:
    rows = [("a", 0, 0, "t1", 0.8), ("a", 0, 0, "t1", 0.4), ("a", 0, 0, "t2", 0.5), ("a", 0, 0, "t2", None)]
    found = mean_dice(pd.DataFrame(rows, columns=["arm", "seed", "round", "case", "dice"]))
    assert dict(zip(found["case"], found["dice"], strict=True)) == pytest.approx({"t1": 0.6, "t2": 0.5})


def test_an_experiment_comes_back_as_it_was_written(tmp_path: Path) -> None:
    results = read_results([make_experiment(tmp_path / "one", CURVES, seeds=2, rounds=3)])
    assert results.arms == ("random", "variance")
    assert results.labels == ("liver", "tumour")
    assert results.test_cases == ("test_0", "test_1", "test_2")
    assert results.shorter == ()
    effort = effort_table(results.queries).query("arm == 'variance' and seed == 1")
    assert list(effort["volumes"]) == [2, 4, 6, 8]
    assert list(effort["slices"]) == [2 * SLICES * count for count in (1, 2, 3, 4)]
    assert list(effort["foreground_slices"]) == [2 * FOREGROUND_SLICES * count for count in (1, 2, 3, 4)]
    assert list(effort["foreground_voxels"]) == [2 * VOXELS * count for count in (1, 2, 3, 4)]
    assert list(effort["boundary_mm"]) == [2 * CONTOUR_MM * count for count in (1, 2, 3, 4)]
    dice = mean_dice(results.metrics).groupby(["arm", "seed", "round"])["dice"].mean()
    assert dice["variance", 0, 3] == pytest.approx(0.6901)
    assert dice["random", 1, 2] == pytest.approx(0.6401)


def test_runs_that_were_stopped_count_as_far_as_they_went(tmp_path: Path) -> None:
    folder = make_experiment(tmp_path / "one", CURVES, seeds=2, rounds_done={("random", 1): 2, ("variance", 1): 0})
    results = read_results([folder])
    assert [(run.arm, run.seed, run.rounds) for run in results.runs] == [
        ("random", 0, 5), ("random", 1, 2), ("variance", 0, 5),
    ]  # fmt: skip
    assert results.shorter == ("random, seed 1: 2 of 5 rounds", "variance, seed 1: 0 of 5 rounds")


def test_arms_of_one_name_are_told_apart_by_their_folder(tmp_path: Path) -> None:
    one = make_experiment(tmp_path / "one", CURVES, seeds=1)
    other = make_experiment(tmp_path / "other", {"random": CURVES["random"], "bald": CURVES["variance"]}, seeds=1)
    assert read_results([one, other]).arms == ("random (one)", "variance", "random (other)", "bald")
    same_name = make_experiment(tmp_path / "deeper" / "one", CURVES, seeds=1)
    with pytest.raises(InvalidInputError, match=r"expected folders of different names, as their arm 'random'"):
        read_results([one, same_name])


def test_a_folder_that_is_no_experiment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"expected the folder of an experiment, got one without experiment.js"):
        read_results([tmp_path])
    (tmp_path / "experiment.json").write_text("[]")
    with pytest.raises(InvalidInputError, match=r"expected the description of an experiment"):
        read_results([tmp_path])


def test_an_experiment_without_a_model_is_refused(tmp_path: Path) -> None:
    folder = make_experiment(tmp_path / "one", {"random": CURVES["random"]}, seeds=1, rounds_done={("random", 0): 0})
    with pytest.raises(InvalidInputError, match=r"expected a run with a model"):
        read_results([folder])


def test_other_test_cases_or_structures_cannot_be_compared(tmp_path: Path) -> None:
    one = make_experiment(tmp_path / "one", CURVES, seeds=1)
    with pytest.raises(InvalidInputError, match=r"expected the test cases of .*one, got others"):
        read_results([one, make_experiment(tmp_path / "more", CURVES, seeds=1, cases=4)])
    other = make_experiment(tmp_path / "other", {"bald": CURVES["random"]}, seeds=1)
    file = other / "runs" / "bald" / "0" / "metrics.parquet"
    metrics = pd.read_parquet(file)
    metrics.assign(label=metrics["label"].replace("tumour", "vessel")).to_parquet(file)
    with pytest.raises(InvalidInputError, match=r"expected the structures liver, tumour as in .*, got liver, vessel"):
        read_results([one, other])


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    folder = make_experiment(tmp_path / "one", {"random": CURVES["random"]}, seeds=1)
    (folder / "runs" / "random" / "0" / "queries.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidInputError, match=r"queries.parquet: cannot be read"):
        read_results([folder])
