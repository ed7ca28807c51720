"""The table of strategies: the consequences of an entry, and its agreement with names and measures."""

import pytest

from activelabel.acquisition.uncertainty import MEASURES
from activelabel.errors import InvalidInputError, NotFoundError
from activelabel.names import AGGREGATIONS, MEASURE_NAMES, REGION_NAMES, ScoreKind
from activelabel.recipes.strategy_traits import TRAITS, Needs, Traits, needs_repeats, raced_kind, traits_of

BY_NO_UNCERTAINTY = {
    *("random_volumes", "foreground_random", "foreground_random_oracle", "coreset", "typiclust", "proxy_rank"),
    *("random_slices", "strided_slices", "foreground_random_slices", "foreground_random_oracle_slices"),
    *("coreset_slices", "typiclust_slices"),
}


@pytest.mark.parametrize("name", TRAITS)
def test_an_entry_goes_with_the_name_of_its_strategy(name: str) -> None:
    """Names are for people, and must agree with the table."""
    traits = TRAITS[name]
    assert traits.asks_slices == name.endswith("_slices")
    assert traits.summary.split()[0] in (("Slices", "Every", "A") if traits.asks_slices else ("Volumes",))
    assert not traits.summary.endswith(".")
    assert traits.summary.isprintable()
    assert traits.by_uncertainty == (name not in BY_NO_UNCERTAINTY)
    named = [measure for measure in MEASURE_NAMES if measure in name.replace("bald", "mutual_information")]
    assert traits.measure in (named or ["entropy", None])
    if traits.raced_by is not None:
        assert traits.unit == "volumes"
        assert traits.raced_by.measure == traits.measure
        assert traits.raced_by.region in REGION_NAMES
        assert traits.raced_by.aggregation in AGGREGATIONS


def test_every_measure_is_a_strategy_in_five_ways() -> None:
    for measure in MEASURES:
        names = (
            measure,
            f"selective_{measure}",
            f"object_{measure}",
            f"{measure}_slices",
            f"selective_{measure}_slices",
        )
        assert [TRAITS[name].measure for name in names] == [measure] * 5


def test_strategies_need_repeats_if_their_measure_compares_repeats() -> None:
    assert [measure for measure in MEASURES if needs_repeats(measure)] == ["variance", "mutual_information"]
    assert not needs_repeats(None)


def test_strategies_that_need_features_a_proxy_model_or_reference_labels() -> None:
    def needing(needs: Needs) -> set[str]:
        return {name for name, traits in TRAITS.items() if traits.needs is needs}

    assert needing(Needs.FEATURES) == {"coreset", "typiclust", "coreset_slices", "typiclust_slices"}
    assert needing(Needs.PROXY) == {"proxy_rank"}
    assert needing(Needs.REFERENCE_LABELS) == {"foreground_random_oracle", "foreground_random_oracle_slices"}


def test_volumes_race_by_the_score_that_the_strategy_ranks_by() -> None:
    assert raced_kind("margin") == ScoreKind("margin", "everything", "total")
    assert raced_kind("mean_entropy") == ScoreKind("entropy", "everything", "mean")
    assert raced_kind("uncertainty_volumes") == ScoreKind("entropy", "dilated_foreground", "mean")
    for name in ("selective_margin", "margin_slices", "random_volumes", "blend", "power_entropy"):
        with pytest.raises(InvalidInputError, match=f"racing: .* the strategy {name} does not go by one score of vol"):
            raced_kind(name)


def test_an_unknown_strategy_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        NotFoundError, match=r"^strategy 'entropie' does not exist: use one of blend, .*variance_slices$"
    ):
        traits_of("entropie")
    with pytest.raises(NotFoundError) as refused:
        traits_of("")
    assert "oracle" not in str(refused.value), "no project can have these"


def test_an_entry_needs_only_a_unit_and_a_summary() -> None:
    traits = Traits("volumes", "Volumes in the order of the alphabet", needs=Needs.NOTHING)
    assert (traits.asks_slices, traits.by_uncertainty, traits.raced_by) == (False, False, None)
