"""Learning curves, a metric by the effort spent, summed up in one number.

A curve is two vectors of one length: the effort spent until each step (in any unit) and the value of the model of that
step. Effort never falls, but may stay: a round of empty slices costs no foreground. There is no model between two
steps, so no value is read off a line between them.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from activelabel.analysis.minimum import least_at

Vector = NDArray[np.float64]

_CLOSED = 1e-6  # A gap of this share or less counts as closed, like a value at or above the full-data one.


EQUAL_EFFORT = 0.05
"""Efforts that differ by no more than this share count as equal: 73 slices equal 72."""


def aubc(effort: ArrayLike, values: ArrayLike) -> float:
    """Area under the learning curve ("budget curve"), divided by the range of effort: its mean value.

    By the trapezoid rule (Zhan et al. 2021, and so nnActive); a constant curve has its constant. Arms are compared at
    the same budgets: see `last_within`.

    Raises:
        ValueError: effort does not grow from the first to the last step, or it is no curve. A curve is two vectors of
            one length, with two steps or more, of finite numbers, with effort that never falls. All functions here
            raise this.
    """
    x, y = _curve(effort, values)
    if x[0] == x[-1]:
        raise ValueError(f"expected a range of effort, got {x}")
    return float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2 / (x[-1] - x[0]))


def last_within(effort: ArrayLike, budget: float) -> int:
    """The step of the last model within a budget; its effort may exceed the budget by the share `EQUAL_EFFORT`.

    Raises:
        ValueError: the first model cost more.
    """
    x = np.asarray(effort, dtype=np.float64)
    paid = np.flatnonzero(x <= budget * (1 + EQUAL_EFFORT))
    if not len(paid):
        raise ValueError(f"expected a budget of {x[0]:g}, which the first model cost, or more, got {budget:g}")
    return int(paid[-1])


def effort_to_reach(effort: ArrayLike, values: ArrayLike, wanted: float) -> float | None:
    """The effort of the first model at or above `wanted`, None if there is none.

    A smaller effort between two models may have been enough; that is unknown.
    """
    x, y = _curve(effort, values)
    reached = np.flatnonzero(y >= wanted)
    return float(x[reached[0]]) if len(reached) else None


def foreground_efficiency(foreground_voxels: ArrayLike, values: ArrayLike, full: float) -> float:
    """How fast annotated foreground closes the gap to training on all data (nnActive, Lüth et al. 2025, "FG-Eff").

    The rate γ of the curve through the start (x₀, the mean value there y₀) that fits the later points best by least
    squares:

        y(x) = full − (full − y₀) exp(−γ (x − x₀))

    In 1 / unit of x: per voxel, or in the paper's unit if x is the share of the pool's foreground. Compare only rates
    for the same task, start and model of all data. The rate is negative where the gap grows. Where the curve is at or
    above `full`, the rate is large but finite: the rest of a gap counts as at least one millionth.

    Raises:
        ValueError: `full` is not above y₀, or no foreground follows the start.
    """
    x, y = _curve(foreground_voxels, values)
    later = x > x[0]
    start = y[~later].mean()
    if not full > start or not later.any():
        raise ValueError(f"expected foreground that grows and a start below {full:g}, got {x} and {start:g}")
    spent, left = x[later] - x[0], (full - y[later]) / (full - start)

    def misfits(rates: Vector) -> Vector:
        with np.errstate(over="ignore"):  # A gap that grows at the rate of a small step is infinite after a large one.
            return np.asarray(np.square(np.exp(-np.multiply.outer(rates, spent)) - left).sum(axis=-1))

    # The best rate is among the rates through the start and one later step each, which may differ by powers of ten.
    each = -np.log(np.maximum(left, _CLOSED)) / spent
    slowest, fastest = np.arcsinh([each.min() * spent[-1], each.max() * spent[-1]])
    return least_at(misfits, np.sinh(np.linspace(slowest, fastest, 1001)) / spent[-1])


def _curve(effort: ArrayLike, values: ArrayLike) -> tuple[Vector, Vector]:
    x, y = np.asarray(effort, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(f"expected effort and values of one length, two steps or more, got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or (np.diff(x) < 0).any():
        raise ValueError(f"expected finite values and effort that never falls, got effort {x} and values {y}")
    return x, y
