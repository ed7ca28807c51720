"""What a choice does to the worst cases: quantile regression, as chlebus2022's Table 9."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.regression.quantile_regression import QuantReg


@dataclass(frozen=True)
class QuantileEffect:
    """What `level` of `factor` adds to a quantile beside the factor's reference, in the unit of the metric.

    The first of a list has the factor "Intercept": it is the quantile at the references, which its level names. `low`
    and `high` are the 95 % interval, `p` is that of no effect, `n` the rows that all effects of the list come from.
    Interval and p are None where the rows do not tell how dense values are there: at 5 % and 95 %, fewer than 77 rows.
    """

    factor: str
    level: str
    coefficient: float
    low: float | None
    high: float | None
    p: float | None
    n: int


def quantile_effects(
    table: pd.DataFrame, metric: str, quantile: float, references: Mapping[str, str]
) -> list[QuantileEffect]:
    """Regress a quantile of a metric over test cases on one factor or more, their effects added up.

    The 5th percentile of Dice or the 95th of a distance on {"arm": "random"} has each arm's effect beside random's; the
    paper's own factors are how images are sampled and what of them, {"sampling": "random", "unit": "volume"}. Rows are
    taken for independent; those of one run share its model, so n says more than there is.

    Args:
        table: a row for each test case of each run, with a column `metric`, NaN to leave the row out, and a column
            for each factor.
        metric: its column.
        quantile: in (0, 1).
        references: the level of each factor that its others are compared with.

    Raises:
        ValueError: a value is infinite, a reference is not in its column, a factor has no other level, or two factors
            always change together.
    """
    rows = table.loc[table[metric].notna(), [metric, *references]]
    values = rows[metric].to_numpy(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{metric}: expected finite numbers, got {np.isinf(values).sum()} infinite ones of {len(rows)}"
        )
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
    fit = QuantReg(values, design).fit(q=quantile)
    return [
        QuantileEffect(factor, level, float(coefficient), _known(low), _known(high), _known(p), len(rows))
        for (factor, level), coefficient, (low, high), p in zip(
            terms, fit.params, fit.conf_int(), fit.pvalues, strict=True
        )
    ]


def _known(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
