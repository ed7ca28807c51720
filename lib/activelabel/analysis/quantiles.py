"""The effect of a choice on the worst cases: quantile regression, as in chlebus2022, Table 9."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from activelabel.analysis.comparison import mean_and_interval

_LARGEST_STEP = 1e-6  # Smaller steps of a coefficient, and smaller distances from the fit, count as none.
_STEPS = 1000


@dataclass(frozen=True)
class QuantileEffect:
    """The effect of `level` of `factor` on a quantile, relative to the factor's reference, in the unit of the metric.

    The first effect of a list has the factor "Intercept": the quantile at the references, which its level names.
    `coefficient` is the mean over `seeds`, `low` and `high` its 95 % t interval, `p` that of no effect; these three are
    None with too few seeds. `n` is the number of rows behind all effects of the list.
    """

    factor: str
    level: str
    coefficient: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    seeds: int


def quantile_effects(
    table: pd.DataFrame, metric: str, quantile: float, references: Mapping[str, str]
) -> list[QuantileEffect]:
    """Regress a quantile of a metric over test cases on one factor or more, their effects added up.

    With {"arm": "random"}, each arm's effect on the 5th percentile of Dice, or the 95th of a distance, is relative to
    random. The paper's own factors are the way of sampling and the sampled unit, {"sampling": "random", "unit":
    "volume"}. The rows of one seed share its models, so each seed is regressed by itself and its effects count once.

    Args:
        table: one row for each test case of each run, with a column `metric` (rows with NaN are left out), a column
            `seed`, and a column for each factor. Seeds without every level are left out.
        metric: the name of the column.
        quantile: in (0, 1).
        references: for each factor, the level that its other levels are compared with.

    Raises:
        ValueError: a value is infinite, a reference is not in its column, a factor has no other level, two factors
            always change together, or no seed has every level.
    """
    rows = table.loc[table[metric].notna(), [metric, "seed", *references]]
    values = rows[metric].to_numpy(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{metric}: expected finite numbers, got {np.isinf(values).sum()} infinite ones of {len(rows)}"
        )
    terms, design = _design(rows, references)
    seeds = rows["seed"].to_numpy()
    coefficients = [
        _fit(values[seeds == seed], design[seeds == seed], quantile)
        for seed in pd.unique(seeds)
        if np.linalg.matrix_rank(design[seeds == seed]) == len(terms)
    ]
    if not coefficients:
        raise ValueError(f"{', '.join(references)}: expected a seed with every level, got none")
    return [
        QuantileEffect(factor, level, *_described(of_seeds), len(rows), len(coefficients))
        for (factor, level), of_seeds in zip(terms, np.transpose(coefficients), strict=True)
    ]


def _fit(values: NDArray[np.float64], design: NDArray[np.float64], quantile: float) -> NDArray[np.float64]:
    """The coefficients of a quantile (Koenker & Bassett 1978), by least squares that are weighted anew at each step.

    The quantile has the least sum of `quantile` times the distance of the values above it and 1 − `quantile` times that
    of the values below it. Weights of 1 / distance turn squares into distances.
    """
    weights, coefficients = np.ones(len(values)), np.full(design.shape[1], np.inf)
    for _ in range(_STEPS):
        weighted = design.T * weights
        before, coefficients = coefficients, np.linalg.pinv(weighted @ design) @ (weighted @ values)
        if np.abs(coefficients - before).max() < _LARGEST_STEP:
            break
        above = values - design @ coefficients
        weights = np.where(above < 0, 1 - quantile, quantile) / np.maximum(np.abs(above), _LARGEST_STEP)
    return coefficients


def _design(rows: pd.DataFrame, references: Mapping[str, str]) -> tuple[list[tuple[str, str]], NDArray[np.float64]]:
    """The terms of the regression, and its design matrix with one row for each row of the table."""
    terms = [("Intercept", ", ".join(references.values()))]
    columns = [np.ones(len(rows))]
    for factor, reference in references.items():
        levels = list(dict.fromkeys(rows[factor]))
        if reference not in levels or len(levels) < 2:
            raise ValueError(f"{factor}: expected {reference!r} and another level, got {levels}")
        levels.remove(reference)
        terms += [(factor, level) for level in levels]
        columns += [(rows[factor] == level).to_numpy(np.float64) for level in levels]
    design = np.column_stack(columns)
    if np.linalg.matrix_rank(design) < len(terms):
        raise ValueError(f"{', '.join(references)}: expected factors that do not always change together")
    return terms, design


def _described(of_seeds: NDArray[np.float64]) -> tuple[float, float | None, float | None, float | None]:
    mean, low, high, p = mean_and_interval(of_seeds)
    return mean, _known(low), _known(high), _known(p)


def _known(number: float) -> float | None:
    return number if math.isfinite(number) else None
