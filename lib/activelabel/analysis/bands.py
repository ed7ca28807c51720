"""The uncertainty of a learning curve: a band around its mean by bootstrap over seeds and test cases."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Steps = NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """Mean and interval of each step, (steps,) each, NaN at a step without a number; the numbers of seeds and cases."""

    mean: Steps
    low: Steps
    high: Steps
    seeds: int
    cases: int


def bootstrap_band(values: NDArray[np.float64], level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Band:
    """The percentile interval of the mean at each step, over seeds and cases drawn again with replacement.

    All seeds are tested on the same cases, so seeds and cases are drawn independently of each other and each drawn seed
    is seen on all drawn cases (Owen 2007, the pigeonhole bootstrap): cases drawn afresh within each seed would pass a
    hard case off as several, and the band would be too narrow by up to the root of the number of seeds. With one seed
    the band says nothing about other seeds; with a few seeds it is too narrow.

    Args:
        values: (seeds, cases, steps); NaN, as for a label in neither mask, is left out.
        level: of the interval, in (0, 1).
        resamples: the number of drawn means from which the interval is read.
        seed: of the draws, 0 or more.

    Raises:
        ValueError: `values` has not three axes, or an empty one; a value is infinite; or `level` is outside (0, 1).
    """
    if values.ndim != 3 or not values.size or np.isinf(values).any() or not 0 < level < 1:
        raise ValueError(
            f"expected finite numbers or NaN of (seeds, cases, steps) and a level in (0, 1), got {values.shape}, "
            f"{np.isinf(values).sum()} of them infinite, and {level}"
        )
    seeds, cases, steps = values.shape
    generator = np.random.default_rng(seed)
    times_seed = generator.multinomial(seeds, [1 / seeds] * seeds, size=resamples)  # draws of each seed
    times_case = generator.multinomial(cases, [1 / cases] * cases, size=resamples)
    known = ~np.isnan(values)
    means = _weighted_means(values, known, times_seed, times_case)
    low, high = np.full((2, steps), math.nan)
    some = known.any(axis=(0, 1))  # A resample may draw none of the known values: nanquantile leaves it out.
    low[some], high[some] = np.nanquantile(means[:, some], [(1 - level) / 2, (1 + level) / 2], axis=0)
    (mean,) = _weighted_means(values, known, np.ones((1, seeds)), np.ones((1, cases)))
    return Band(mean, low, high, seeds, cases=int(known.any(axis=(0, 2)).sum()))


def class_mean_interval(
    values: NDArray[np.float64], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The percentile interval, over cases drawn again, of the mean over classes of each class's mean over cases.

    That is how the Dice of a model is computed. The mean over cases of each case's mean is another number where a
    structure is absent in some cases.

    Args:
        values: (cases, classes); NaN is left out.
        level: of the interval, in (0, 1).
        resamples: the number of drawn means from which the interval is read.
        seed: of the draws, 0 or more.

    Raises:
        ValueError: no value is a number.
    """
    known = ~np.isnan(values)
    if not known.any():
        raise ValueError("expected a number at least, got none")
    cases = len(values)
    drawn = np.random.default_rng(seed).multinomial(cases, [1 / cases] * cases, size=resamples)
    of_classes = _weighted_means(values[None], known[None], np.ones((resamples, 1)), drawn)
    of_classes = of_classes[~np.isnan(of_classes).all(axis=1)]
    low, high = np.quantile(np.nanmean(of_classes, axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _weighted_means(
    values: NDArray[np.float64], known: NDArray[np.bool_], seed_weights: NDArray[Any], case_weights: NDArray[Any]
) -> NDArray[np.float64]:
    """Means over all known cells, (resamples, steps), NaN where none has a weight."""
    sums, counts = (
        np.einsum("rs,sct,rc->rt", seed_weights, cells, case_weights, optimize=True)
        for cells in (np.where(known, values, 0), known.astype(np.float64))
    )
    return np.divide(sums, counts, out=np.full_like(sums, math.nan), where=counts > 0)
