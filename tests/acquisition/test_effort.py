"""Effort by hand, and against the paper's Table 2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activelabel.acquisition.effort import AnnotatedQuery, Effort, effort


def test_volumes_and_slices_by_hand() -> None:
    queries = [
        AnnotatedQuery("a", whole_volume=True, slices=30, foreground_slices=12, seconds=100.0),
        AnnotatedQuery("b", whole_volume=False, slices=4, foreground_slices=3, seconds=20.0),
        AnnotatedQuery("b", whole_volume=False, slices=2, foreground_slices=0),
    ]
    # 12/3 for the volume, 1 for each of the three slices with foreground, nothing for empty ones.
    assert effort(queries) == Effort(36, 15, 2, units=7.0, timed_queries=2, seconds_per_query=60.0)


# chlebus2022, Table 2: five volumes to start with; then 200 slices in a round of USS, or five volumes in one of UVS.
INITIAL = [AnnotatedQuery(f"initial {number}", True, 282, 100 + (number == 0)) for number in range(5)]


def test_the_initial_row_of_the_papers_table_2() -> None:
    found = effort(INITIAL)
    assert (found.slices, found.foreground_slices, found.patients) == (1410, 501, 5)
    assert found.units == pytest.approx(167)


def test_the_papers_first_rounds_cost_about_the_same() -> None:
    # 1610/669/72: 200 slices of 67 further patients, 168 of them with liver.
    slices = [AnnotatedQuery(f"slice {number % 67}", False, 1, int(number < 168)) for number in range(200)]
    sampled = effort([*INITIAL, *slices])
    assert (sampled.slices, sampled.foreground_slices, sampled.patients) == (1610, 669, 72)
    assert sampled.units == pytest.approx(167 + 168)
    # 2541/1045/10: 1131 slices of five further patients, 544 of them with liver.
    further = [AnnotatedQuery(f"volume {n}", True, 226 + (n == 0), 108 + 4 * (n == 0)) for n in range(5)]
    volumes = effort([*INITIAL, *further])
    assert (volumes.slices, volumes.foreground_slices, volumes.patients) == (2541, 1045, 10)
    assert volumes.units == pytest.approx(1045 / 3)


def test_an_empty_query_costs_nothing() -> None:
    assert effort([]) == Effort(0, 0, 0, 0.0, 0, None)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 9), st.integers(0, 9))))
def test_effort_adds_up(drawn: list[tuple[str, bool, int, int]]) -> None:
    queries = [AnnotatedQuery(image, whole, full + empty, full) for image, whole, full, empty in drawn]
    alone = [effort([query]) for query in queries]
    together = effort(queries)
    assert together.units == pytest.approx(sum(found.units for found in alone))
    assert together.foreground_slices / 3 <= together.units + 1e-9 <= together.foreground_slices + 2e-9


@pytest.mark.parametrize("query", [AnnotatedQuery("case7", True, 3, 4), AnnotatedQuery("case7", False, 3, 1, -1.0)])
def test_impossible_numbers_are_refused(query: AnnotatedQuery) -> None:
    with pytest.raises(ValueError, match="case7: expected 0 <= foreground slices <= slices"):
        effort([query])
