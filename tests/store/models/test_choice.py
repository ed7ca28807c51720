"""The model in use, worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activelabel.store.models.choice import best_version, label_judges, ranking, sound_versions
from activelabel.store.records.models import Judges, Measurement

OLD, NEW = Judges("old", 2), Judges("new", 3)


def measured(version: int, dice: float | None, judges: Judges = OLD) -> Measurement:
    return Measurement(version, judges, {"dice": dice})


@pytest.mark.parametrize(
    ("versions", "measurements", "best"),
    [
        (set(), [], None),
        ({1, 2, 3}, [], 3),  # never a validation case: the newest
        ({1, 2}, [measured(1, 0.793), measured(2, 0.057)], 1),
        ({1, 2}, [measured(1, 0.5), measured(2, 0.5)], 2),  # a tie: the newer
        ({1, 2}, [measured(1, 0.793, OLD), measured(2, 0.057, NEW)], 2),  # other cases: no comparison is possible
        ({1, 2}, [measured(1, 0.793, OLD), measured(1, 0.05, NEW), measured(2, 0.057, NEW)], 2),  # measured again
        ({1, 2}, [measured(1, 0.793, OLD), measured(1, 0.06, NEW), measured(2, 0.057, NEW)], 1),
        ({1, 2}, [measured(1, 0.793)], 1),  # the newer one could not be judged
        ({1, 2}, [measured(1, 0.793), measured(2, None)], 1),
        ({1, 2}, [measured(1, None), measured(2, None)], 2),
        ({1, 2}, [measured(2, 0.1)], 2),  # the older one was never judged
        ({1, 3}, [measured(1, 0.6), measured(2, 0.9), measured(3, 0.5)], 1),  # 2 was withdrawn
        ({1, 2, 3}, [measured(1, 0.9), measured(1, 0.2, NEW), measured(2, 0.8), measured(3, 0.3, NEW)], 3),
    ],
)
def test_the_best_by_the_cases_of_the_newest_judged_one(
    versions: set[int], measurements: list[Measurement], best: int | None
) -> None:
    assert best_version(versions, measurements) == best


def test_the_place_is_that_among_the_same_judges() -> None:
    measurements = [measured(1, 0.6), measured(2, 0.9), measured(3, 0.5), measured(4, 0.99, NEW)]
    assert [item.model_version for item in ranking(3, {1, 2, 3, 4}, measurements)] == [2, 1, 3]
    assert [item.model_version for item in ranking(3, {1, 3, 4}, measurements)] == [1, 3]
    assert [item.model_version for item in ranking(4, {1, 2, 3, 4}, measurements)] == [4]
    assert ranking(5, {1, 5}, measurements) == []


@pytest.mark.parametrize(
    ("in_use", "measurements", "sound"),
    [
        (None, [], set()),
        (3, [], {1, 2, 3}),
        (1, [measured(1, 0.8), measured(2, 0.1)], {1}),  # back from a worse model
        (3, [measured(1, 0.8), measured(2, 0.1), measured(3, 0.9)], {1, 3}),  # a person had chosen 2
        (2, [measured(1, 0.8), measured(2, 0.1)], {1, 2}),  # the chosen model is in use again
        (3, [measured(1, 0.8), measured(2, 0.1, NEW), measured(3, 0.9, NEW)], {1, 2, 3}),
    ],
)
def test_sound_models_are_those_that_led_to_the_model_in_use(
    in_use: int | None, measurements: list[Measurement], sound: set[int]
) -> None:
    assert sound_versions(in_use, {1, 2, 3}, measurements) == sound


def test_labels_drawn_anew_are_other_judges() -> None:
    assert label_judges([]) is None
    assert label_judges([3, 1, 3]) == label_judges([1, 3])
    assert label_judges([1, 3]) != label_judges([1, 4])
    assert label_judges([1, 3]).cases == 2  # type: ignore[union-attr]


dice = st.one_of(st.none(), st.floats(0, 1))
histories = st.lists(st.tuples(st.integers(1, 6), dice, st.sampled_from([OLD, NEW])), max_size=12)


@given(st.sets(st.integers(1, 6)), histories)
def test_no_model_in_use_is_worse_than_another_by_the_same_cases(
    versions: set[int], history: list[tuple[int, float | None, Judges]]
) -> None:
    latest = {(version, judges.digest): measured(version, value, judges) for version, value, judges in history}
    measurements = list(latest.values())
    best = best_version(versions, measurements)
    assert (best in versions) if versions else (best is None)
    comparable = ranking(best, versions, measurements) if best is not None else []
    if any(item.dice is not None and item.model_version in versions for item in measurements):
        assert comparable, "a model that was judged is there, and one that was not is in use"
    assert all((item.dice or 0) <= (comparable[0].dice or 0) for item in comparable)
