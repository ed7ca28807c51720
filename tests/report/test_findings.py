"""Findings and summary of an experiment whose curves are known."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up_experiment import make_experiment

from activelabel.analysis.comparison import compare
from activelabel.errors import InvalidInputError
from activelabel.report.findings import Findings, efforts_to_reach, find, foreground_efficiencies
from activelabel.report.summary import summarise
from activelabel.simulation.results import Results, read_results

LINES = {"random": lambda number: 0.6 + 0.02 * number, "variance": lambda number: 0.6 + 0.03 * number}
LIKE_RANDOM = {"bald": lambda number: 0.6 + 0.02 * number}
OF_SEEDS = 0.00015  # The mean offset of the four seeds.
Curves = dict[str, Callable[[int], float]]


def results_of(folder: Path, curves: Curves, **options: Any) -> Results:
    return read_results([make_experiment(folder / "experiment", curves, cases=4, **options)])


def found(folder: Path, curves: Curves, **options: Any) -> Findings:
    return find(results_of(folder, curves, **options))


def summary_of(findings: Findings) -> str:
    return " ".join(summarise(findings))


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Two straight lines, another like the first, and an arm of all labels that ended after its second round."""
    curves = {**LINES, **LIKE_RANDOM, "full_data": lambda number: 0.72 if number else 0.5}
    folder = tmp_path_factory.mktemp("lines")
    return found(folder, curves, rounds_done={("full_data", seed): 2 for seed in range(4)})


def test_arms_are_ranked_by_the_area_under_their_lines(lines: Findings) -> None:
    assert lines.arms == ("random", "variance", "bald")
    assert lines.main == "volumes"
    assert lines.best == "variance"
    for under in lines.under.values():  # Every volume costs alike, so all efforts say the same.
        assert list(under.ranking.index) == ["variance", "random", "bald"]
        assert under.ranking["aubc"].to_list() == pytest.approx([0.66 + OF_SEEDS, 0.64 + OF_SEEDS, 0.64 + OF_SEEDS])
        assert under.ranking["final"].to_list() == pytest.approx([0.72 + OF_SEEDS, 0.68 + OF_SEEDS, 0.68 + OF_SEEDS])
        assert set(under.ranking["seeds"]) == set(under.ranking["cases"]) == {4}
        assert [(test.arm, test.against) for test in under.tests] == [
            ("variance", "random"), ("variance", "bald"), ("random", "bald"),
        ]  # fmt: skip
        assert [test.mean_difference for test in under.tests] == pytest.approx([0.02, 0.02, 0])
        assert [test.mean_difference for test in under.final_tests] == pytest.approx([0.04, 0.04, 0])
    slices = lines.under["slices"].equal
    assert slices is not None
    assert (slices.low, slices.high) == (20, 100)


def test_slices_count_where_slices_are_asked_for(tmp_path: Path) -> None:
    results = results_of(tmp_path, {"random": LINES["random"]}, seeds=1)
    by_slices = results.queries.assign(kind="slices")
    assert find(replace(results, queries=by_slices)).main == "slices"
    only_validation = by_slices.assign(role="validation")
    assert find(replace(results, queries=pd.concat([results.queries, only_validation]))).main == "volumes"


def test_the_sufficient_effort_is_measured_against_the_arm_of_all_labels(lines: Findings) -> None:
    assert lines.full is not None
    assert lines.full.value == pytest.approx(0.72 + OF_SEEDS)
    assert lines.full.source == "measured by the runs of `full_data`"
    reached = efforts_to_reach(lines, "slices").set_index("arm")
    wanted = 0.95 * (0.72 + OF_SEEDS)  # 0.684, which the other lines do not reach
    assert 0.6 + 0.03 * 2 < wanted < 0.6 + 0.03 * 3  # So it is the fourth model, which 80 slices paid for.
    assert reached.loc["variance", ["effort", "least", "most"]].to_list() == [80, 80, 80]
    assert reached.loc["variance", ["reached", "seeds"]].to_list() == [4, 4]
    assert math.isnan(reached.loc["random", "effort"])
    assert reached.loc["random", ["reached", "seeds"]].to_list() == [0, 4]


def test_without_an_arm_of_all_labels_the_sufficient_effort_is_where_the_best_curve_levels_off(tmp_path: Path) -> None:
    findings = found(tmp_path, {"variance": lambda number: 0.9 - 0.3 / (number + 1)})
    assert findings.full is not None
    assert findings.full.value == pytest.approx(0.9 + OF_SEEDS, abs=1e-6)
    assert findings.full.source == "estimated: where the fitted curve of `variance` levels off"


@pytest.mark.parametrize("rounds", [2, 4])
def test_a_curve_that_has_not_begun_to_level_off_says_nothing_of_all_labels(tmp_path: Path, rounds: int) -> None:
    findings = found(tmp_path, {"variance": lambda number: 0.5 + 0.1 * number}, rounds=rounds)
    assert findings.full is None
    assert efforts_to_reach(findings, "volumes").empty
    assert "How much is enough cannot be said" in summary_of(findings)


def test_foreground_efficiency_is_the_rate_at_which_the_gap_closes(tmp_path: Path) -> None:
    curves = {
        "variance": lambda number: 0.9 - 0.3 * math.exp(-2 * 0.2 * number),  # 200 voxels a round
        "random": lambda number: 0.9 - 0.3 * math.exp(-0.2 * number),
        "full_data": lambda _: 0.9,
    }
    rates = foreground_efficiencies(found(tmp_path, curves)).set_index("arm")
    assert rates["foreground efficiency"].to_dict() == pytest.approx({"variance": 2, "random": 1}, rel=1e-3)
    assert set(rates["n (seeds)"]) == {4}


def test_queries_for_a_model_still_to_come_move_no_point(tmp_path: Path) -> None:
    results = results_of(tmp_path, {"variance": LINES["variance"]}, seeds=2, rounds_done={("variance", 1): 2})
    begun = results.queries.query("seed == 1 and round == 1").assign(round=2, annotated_slices=500)
    ahead = find(replace(results, queries=pd.concat([results.queries, begun])))
    assert list(ahead.under["slices"].curves["variance"].effort) == [20, 40, 60, 80, 100]
    assert "or had nothing left to ask for: variance, seed 1: 2 of 5 rounds." in summary_of(ahead)


def test_rounds_that_cost_no_foreground_are_no_points_of_a_power_law(tmp_path: Path) -> None:
    results = results_of(tmp_path, {"variance": lambda number: 0.9 - 0.3 / (number + 1)}, seeds=1)
    voxels = results.queries["foreground_voxels"].where(results.queries["round"] > 0, 0)
    under = find(replace(results, queries=results.queries.assign(foreground_voxels=voxels))).under
    assert under["foreground_voxels"].forecasts["variance"].n == 4
    assert under["slices"].forecasts["variance"].n == 5


def test_the_arm_of_all_labels_alone_is_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="expected strategies to compare, got runs of full_data alone"):
        found(tmp_path, {"full_data": lambda _: 0.9}, seeds=1)


def test_the_summary_names_the_winner_and_how_sure_that_is(lines: Findings) -> None:
    text = summary_of(lines)
    assert "`random`, `variance` and `bald` were simulated 4 times, each from another start." in text
    assert "the same 4 test cases by how well its segmentation of liver and tumour overlaps" in text
    assert (
        "`variance` came first: between 2 and 10 volumes opened, the range that all cover, its mean Dice on the way "
        "(AUBC) was 0.660, against 0.640 for `random`, the next best, and 0.640 for `bald`, the last." in text
    )
    assert (
        "That is more than chance explains against `random` (+0.020, +0.020 to +0.020; p < 0.001) and `bald` (+0.020, "
        "+0.020 to +0.020; p < 0.001)." in text
    )
    assert "Each test has n = 4 seeds, a seed being the mean over its test cases" in text
    assert "Holm's correction for 3 tests" in text


def test_the_summary_says_how_much_is_enough(lines: Findings) -> None:
    assert (
        "95 % of the Dice that all labels would bring (0.720, measured by the runs of `full_data`) was reached by "
        "`variance` after about 8 volumes opened, and not by `random` and `bald`." in summary_of(lines)
    )


def test_the_summary_forecasts_the_winner(lines: Findings) -> None:
    assert "`variance`: The next 2 volumes would bring about +0.0" in summary_of(lines)


def test_the_summary_says_what_cannot_be_told_apart(tmp_path: Path) -> None:
    text = summary_of(found(tmp_path, {"random": LINES["random"], **LIKE_RANDOM}, rounds=1))
    assert "That is no more than chance explains: it cannot be told from `bald` (+0.000, " in text
    assert "p = 1.000)" in text


def test_the_summary_says_what_cannot_be_tested(lines: Findings) -> None:
    under = lines.under[lines.main]
    gains = {"variance": 0.02, "random": 0.0, "bald": 0.01}
    constant = pd.DataFrame({arm: [0.6 + gain] * 4 for arm, gain in gains.items()})
    text = summary_of(replace(lines, under={**lines.under, lines.main: replace(under, tests=compare(constant))}))
    assert (
        "Nothing can be tested against `random` (+0.020; the same in each seed) and `bald` (+0.010; the same in each "
        "seed)." in text
    )
    assert "nan" not in text
    assert "Holm" not in text


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_summary_says_that_seeds_are_too_few_to_tell(tmp_path: Path, seeds: int) -> None:
    text = summary_of(found(tmp_path, LINES, seeds=seeds))
    assert "`variance` came first" in text
    assert f"Whether that is chance cannot be told from {seeds} seed{'s' if seeds > 1 else ''}: 3 at least" in text
    assert "more than chance" not in text


def test_an_unfinished_arm_is_not_compared(tmp_path: Path) -> None:
    curves = {**LINES, "bald": lambda number: 0.9}
    findings = found(tmp_path, curves, rounds_done={("bald", 3): 2})
    assert findings.results.unfinished == {"bald"}
    assert list(findings.under["slices"].ranking.index) == ["variance", "random"]
    assert findings.best == "variance"
    assert "bald" in findings.under["slices"].curves
    assert "`bald` is not finished, so it is drawn as far as it went, and compared with none." in summary_of(findings)


def test_an_arm_that_had_nothing_left_to_ask_for_is_finished(tmp_path: Path) -> None:
    results_of(tmp_path, LINES, rounds_done={("random", 3): 3})
    (tmp_path / "experiment" / "runs" / "random" / "3" / "nothing_left.txt").touch()
    findings = find(read_results([tmp_path / "experiment"]))
    assert findings.results.unfinished == frozenset()
    assert list(findings.under["slices"].ranking.index) == ["variance", "random"]
    assert findings.results.shorter == ("random, seed 3: 3 of 5 rounds",)


def test_one_arm_is_reported_without_a_winner(tmp_path: Path) -> None:
    findings = found(tmp_path, {"random": LINES["random"]}, seeds=1, rounds=1)
    assert findings.best == "random"
    text = summary_of(findings)
    assert "`random` was simulated once" in text
    assert "no two finished strategies yet" in text
