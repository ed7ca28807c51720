"""Bootstrap bands: by closed form, against scipy's bootstrap and a plain loop, and with numbers missing."""

import numpy as np
import pytest
from scipy import stats

from activelabel.analysis.bands import bootstrap_band, class_mean_interval


def test_mean_by_hand_without_missing_numbers() -> None:
    values = np.array([[[1.0, 10.0], [3.0, np.nan]], [[5.0, 20.0], [np.nan, np.nan]]])
    band = bootstrap_band(values)
    np.testing.assert_allclose(band.mean, [3, 15])
    assert (band.seeds, band.cases) == (2, 2)
    # No resample can leave the range of the numbers.
    assert ((band.low >= [1, 10]) & (band.high <= [5, 20])).all()


def test_constant_values_have_no_width() -> None:
    band = bootstrap_band(np.full((3, 4, 2), 0.7))
    np.testing.assert_allclose([band.mean, band.low, band.high], 0.7)


def test_cases_of_one_seed_equal_scipys_percentile_bootstrap() -> None:
    cases = np.random.default_rng(3).normal(0.8, 0.1, 25)
    band = bootstrap_band(cases[None, :, None], level=0.9, resamples=20_000)
    scipys = stats.bootstrap(
        (cases,), np.mean, confidence_level=0.9, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (band.low[0], band.high[0]) == pytest.approx((scipys.low, scipys.high), abs=2e-3)
    assert (band.seeds, band.cases) == (1, 25)


def test_more_seeds_do_not_narrow_the_band_of_variation_that_all_seeds_share() -> None:
    # Hard and easy cases, the same for all seeds: the standard error is that of the cases, sd / sqrt(40).
    cases = np.random.default_rng(0).normal(0.8, 0.1, 40)
    band = bootstrap_band(np.tile(cases[None, :, None], (8, 1, 1)), resamples=20_000)
    assert (band.high - band.low)[0] == pytest.approx(2 * 1.96 * cases.std() / np.sqrt(40), rel=0.03)


def test_more_cases_do_not_narrow_the_band_of_variation_that_all_cases_share() -> None:
    seeds = np.random.default_rng(0).normal(0.8, 0.1, 40)
    band = bootstrap_band(np.tile(seeds[:, None, None], (1, 30, 1)), resamples=20_000)
    assert (band.high - band.low)[0] == pytest.approx(2 * 1.96 * seeds.std() / np.sqrt(40), rel=0.03)


def test_bands_equal_those_of_a_plain_loop() -> None:
    values = np.random.default_rng(5).uniform(0.5, 0.9, (4, 6, 3))
    values[1, 2, 0] = values[:, 5, 1] = np.nan
    generator = np.random.default_rng(9)
    means = []
    for _ in range(6000):
        seeds, cases = generator.integers(4, size=4), generator.integers(6, size=6)
        means.append(np.nanmean(values[seeds][:, cases], axis=(0, 1)))
    band = bootstrap_band(values, level=0.8, resamples=6000)
    np.testing.assert_allclose([band.low, band.high], np.quantile(means, [0.1, 0.9], axis=0), atol=4e-3)
    np.testing.assert_allclose(band.mean, np.nanmean(values, axis=(0, 1)))


def test_the_same_seed_gives_the_same_band() -> None:
    values = np.random.default_rng(5).uniform(0.5, 0.9, (4, 6, 3))
    first, again, other = (bootstrap_band(values, resamples=50, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.low, again.low)
    assert (first.low != other.low).any()


@pytest.mark.filterwarnings("error")
def test_steps_and_cases_without_a_number() -> None:
    values = np.full((2, 3, 2), np.nan)
    values[0, 1, 1] = 0.5
    band = bootstrap_band(values)
    # The only number that is not missing, in every resample that draws it.
    np.testing.assert_array_equal([band.mean, band.low, band.high], [[np.nan, 0.5]] * 3)
    assert (band.seeds, band.cases) == (2, 1)


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        (np.zeros((2, 3)), 0.95, r"got \(2, 3\)"),
        (np.zeros((2, 0, 3)), 0.95, r"got \(2, 0, 3\)"),
        (np.array([[[1.0, np.inf]]]), 0.95, "1 of them infinite"),
        (np.zeros((2, 3, 1)), 1.0, "and 1.0"),
        (np.zeros((2, 3, 1)), 0.0, "and 0.0"),
    ],
)
def test_arrays_without_a_band_are_refused(values: np.ndarray, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_band(values, level)


def test_the_interval_of_a_mean_over_classes_is_that_of_a_plain_loop() -> None:
    values = np.random.default_rng(4).uniform(0.2, 0.9, (9, 3))
    values[:6, 1] = values[2, 0] = np.nan  # a structure that most cases do not have
    generator = np.random.default_rng(9)
    means = []
    for _ in range(6000):
        drawn = values[generator.integers(9, size=9)]
        classes = [column[~np.isnan(column)].mean() for column in drawn.T if not np.isnan(column).all()]
        means.append(np.mean(classes))
    interval = class_mean_interval(values, level=0.8, resamples=6000)
    np.testing.assert_allclose(interval, np.quantile(means, [0.1, 0.9]), atol=5e-3)


def test_the_mean_over_classes_lies_in_its_interval_where_a_class_is_rare() -> None:
    # The mean over cases of each one's mean is .8; the mean over classes of .9 and .1 is .5.
    values = np.array([[0.9, np.nan]] * 7 + [[0.9, 0.1]] * 1)
    low, high = class_mean_interval(values)
    assert low == pytest.approx(0.5)
    assert high == pytest.approx(0.9)  # some resamples have no case of the rare class
    with pytest.raises(ValueError, match="got none"):
        class_mean_interval(np.full((2, 2), np.nan))
