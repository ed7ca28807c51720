"""Learning curves: what a metric is after so much effort, summed up in one number.

A curve is two vectors of one length, the effort spent by each step (of any unit) and the value then; between steps it
is linear. Effort never falls, but may stay: a round of empty slices costs no foreground. There the curve jumps.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid
from scipy.optimize import minimize_scalar

Vector = NDArray[np.float64]

_CLOSED = 1e-6  # This share of a gap, and a value at or above the full-data one, count as closed alike.


def aubc(effort: ArrayLike, values: ArrayLike, low: float | None = None, high: float | None = None) -> float:
    """Area under the learning curve ("budget curve"), divided by the range of effort: the mean value on the way.

    By the trapezoid rule (Zhan et al. 2021, and so nnActive); a constant curve has its constant. With `low` or `high`
    only the part from there or to there; arms are compared over a range that all of them have.

    Raises:
        ValueError: `low` and `high` are not within the curve and `low` below `high`, or it is no curve: not two vectors
            of one length, two steps or more, of finite numbers, with effort that never falls. So do all here.
    """
    x, y = _curve(effort, values)
    low, high = x[0] if low is None else low, x[-1] if high is None else high
    if not x[0] <= low < high <= x[-1]:
        raise ValueError(f"expected a range of effort within [{x[0]:g}, {x[-1]:g}], got [{low:g}, {high:g}]")
    inside = (low <= x) & (x <= high)
    ends = np.interp([low, high], x, y)
    part = np.concatenate([ends[:1], y[inside], ends[1:]])
    return float(trapezoid(part, np.concatenate([[low], x[inside], [high]])) / (high - low))


def value_at(effort: ArrayLike, values: ArrayLike, at: float) -> float:
    """The value after effort `at`, between steps by linear interpolation; where the curve jumps, that after the jump.

    Raises:
        ValueError: `at` is outside the curve, which says nothing there.
    """
    x, y = _curve(effort, values)
    if not x[0] <= at <= x[-1]:
        raise ValueError(f"expected an effort within [{x[0]:g}, {x[-1]:g}], got {at:g}")
    return float(np.interp(at, x, y))


def effort_to_reach(effort: ArrayLike, values: ArrayLike, wanted: float) -> float | None:
    """The effort at which the curve first is at or above `wanted`, None if it never is.

    A curve that begins above it has its first effort: how much less would have done is not known.
    """
    x, y = _curve(effort, values)
    reached = np.flatnonzero(y >= wanted)
    if not len(reached):
        return None
    after = int(reached[0])
    if after == 0:
        return float(x[0])
    before = after - 1
    return float(x[before] + (wanted - y[before]) / (y[after] - y[before]) * (x[after] - x[before]))


def foreground_efficiency(foreground_voxels: ArrayLike, values: ArrayLike, full: float) -> float:
    """How fast annotated foreground closes the gap to training on all data (nnActive, Lüth et al. 2025, "FG-Eff").

    The rate γ of the curve through the start, x₀ and the mean there y₀, that fits what follows best by least squares:

        y(x) = full − (full − y₀) exp(−γ (x − x₀))

    In 1 / unit of x: per voxel, or in the paper's unit if x is the share of the pool's foreground. Only rates for one
    task, start and model of all data can be compared. It is negative where the gap grows; where the curve is at or
    above `full` it is large but finite: what is left of a gap counts as one millionth at least.

    Raises:
        ValueError: `full` is not above y₀, or no foreground follows the start.
    """
    x, y = _curve(foreground_voxels, values)
    later = x > x[0]
    start = y[~later].mean()
    if not full > start or not later.any():
        raise ValueError(f"expected foreground that grows and a start below {full:g}, got {x} and {start:g}")
    spent, left = x[later] - x[0], (full - y[later]) / (full - start)

    def misfit(rate: float) -> float:
        with np.errstate(over="ignore"):  # A gap that grows at the rate of a small step is infinite after a large one.
            return float(np.square(np.exp(-rate * spent) - left).sum())

    # The best rate is among the rates through the start and one later step each, which may differ by powers of ten.
    each = -np.log(np.maximum(left, _CLOSED)) / spent
    slowest, fastest = np.arcsinh([each.min() * spent[-1], each.max() * spent[-1]])
    rates = np.sinh(np.linspace(slowest, fastest, 1001)) / spent[-1]
    best = int(np.argmin([misfit(rate) for rate in rates]))
    around = rates[max(best - 1, 0)], rates[min(best + 1, len(rates) - 1)]
    return float(minimize_scalar(misfit, bounds=around, method="bounded", options={"xatol": 1e-9 * np.ptp(around)}).x)


def _curve(effort: ArrayLike, values: ArrayLike) -> tuple[Vector, Vector]:
    x, y = np.asarray(effort, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(f"expected effort and values of one length, two steps or more, got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or (np.diff(x) < 0).any():
        raise ValueError(f"expected finite values and effort that never falls, got effort {x} and values {y}")
    return x, y
