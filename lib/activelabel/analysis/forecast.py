"""The gain of the next labels, by a power law through the learning curve so far, and whether to go on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from activelabel.analysis.minimum import least_at

Vector = NDArray[np.float64]

_RATES = np.geomspace(0.02, 5, 100)  # from a nearly straight curve over log effort to all gained by a doubling
_PARAMETERS = 3
_RESAMPLES = 1000


@dataclass(frozen=True)
class PowerLaw:
    """Dice after an effort: plateau − scale · effort^(−rate), the usual shape of learning curves."""

    plateau: float
    scale: float
    rate: float

    def __call__(self, effort: float) -> float:
        """Dice after `effort` above 0."""
        return self.plateau - self.scale * effort**-self.rate


@dataclass(frozen=True)
class Forecast:
    """Mean Dice of a model at effort `at`, and its gain over the curve of today, with 95 % intervals.

    The intervals are those of the curve: a single model scatters around it. `n` is the number of points of the fit;
    with too few, all numbers but `at` and `n` are None. `sentence` states the forecast, and whether to go on.
    """

    at: float
    expected: float | None
    low: float | None
    high: float | None
    gain_expected: float | None
    gain_low: float | None
    gain_high: float | None
    n: int
    sentence: str


def fit_power_law(effort: ArrayLike, dice: ArrayLike) -> PowerLaw:
    """The power law nearest to all points (least squares), which never falls and has its plateau in [0, 1].

    Points that do not rise have scale 0 and their mean as plateau, whatever the rate.

    Args:
        effort: the effort of each point, above 0, in any unit and order.
        dice: of the model there, in [0, 1].

    Raises:
        ValueError: they are not two vectors of one length with three different efforts, an effort is not above 0, or a
            Dice is outside [0, 1].
    """
    x, y = _points(effort, dice)
    if len(np.unique(x)) < _PARAMETERS:
        raise ValueError(f"expected {_PARAMETERS} different efforts or more for as many parameters, got {x}")
    multiples = x / x.min()  # The fit does not depend on the unit of effort.

    def misfits(rates: Vector) -> Vector:
        _, _, of_one_curve = _lines(multiples, y[None], rates)
        return of_one_curve[0]

    rate = least_at(misfits, _RATES)
    plateau, scale, _ = (float(number[0]) for number in _fit(multiples, y[None], np.array([rate])))
    return PowerLaw(plateau, scale * float(x.min()) ** rate, rate)


def forecast(
    effort: ArrayLike, dice: ArrayLike, more: float, worthwhile: float = 0.005, unit: str = "volumes", seed: int = 0
) -> Forecast:
    """The forecast for `more` effort after the largest so far, by a power law through all points.

    The intervals come from a parametric bootstrap: curves are fitted to the fitted curve plus normal scatter, whose
    variance is drawn anew for each as s² (n − 3) / χ², s² from the residuals. With four to eight points such an
    interval held the true value in 92 to 98 of 100 simulations. Resampling the residuals held it in 69 to 93, as three
    parameters leave hardly any residuals.

    Args:
        effort: the effort of each model, as in `fit_power_law`.
        dice: of the model there.
        more: the additional effort, above 0.
        worthwhile: the least gain in Dice that is worth it.
        unit: the unit of the effort, in the plural.
        seed: of the bootstrap, 0 or more.

    Returns:
        The forecast; without numbers if there are not four models of three different efforts: three parameters pass
        through three points exactly, and nothing is left to estimate the scatter.

    Raises:
        ValueError: as `fit_power_law` but for too few points, or `more` is not above 0.
    """
    x, y = _points(effort, dice)
    if not more > 0:
        raise ValueError(f"more: expected effort above 0, got {more}")
    now, at, n = float(x.max()), float(x.max() + more), len(x)
    if n <= _PARAMETERS or len(np.unique(x)) < _PARAMETERS:
        return Forecast(at, None, None, None, None, None, None, n, _too_early(n, len(np.unique(x)), unit))
    law = fit_power_law(x, y)
    fitted = law.plateau - law.scale * x**-law.rate
    generator = np.random.default_rng(seed)
    variance = np.square(y - fitted).sum() / generator.chisquare(n - _PARAMETERS, size=(_RESAMPLES, 1))
    samples = np.clip(fitted + np.sqrt(variance) * generator.standard_normal((_RESAMPLES, n)), 0, 1)
    plateaus, scales, rates = _fit(x / x.min(), samples, np.append(_RATES, law.rate))
    later, today = (plateaus - scales * (where / x.min()) ** -rates for where in (at, now))
    low, high = (float(end) for end in np.quantile(later, [0.025, 0.975]))
    gain, (gain_low, gain_high) = law(at) - law(now), (float(end) for end in np.quantile(later - today, [0.025, 0.975]))
    if gain >= worthwhile:
        advice = "go on"
    elif gain_high >= worthwhile:
        advice = "probably not worth it, look again after a few more"
    else:
        advice = "you can stop"
    sentence = (
        f"The next {more:g} {unit} would bring about {gain:+.3f} Dice "
        f"(95 % between {gain_low:+.3f} and {gain_high:+.3f}, from {n} models): {advice}."
    )
    return Forecast(at, law(at), low, high, gain, gain_low, gain_high, n, sentence)


def _too_early(points: int, efforts: int, unit: str) -> str:
    return (
        f"It is too early for a forecast: it takes {_PARAMETERS + 1} models, trained with {_PARAMETERS} different "
        f"numbers of {unit} at least, and so far there are {points} with {efforts}."
    )


def _fit(multiples: Vector, dice: NDArray[np.float64], rates: Vector) -> tuple[Vector, Vector, Vector]:
    """Plateau, scale and rate, (curves,) each, of curves of Dice (curves, points) at the same efforts.

    The best of `rates` is taken. A thousand curves take a moment.
    """
    plateaus, scales, misfits = _lines(multiples, dice, rates)
    best = misfits.argmin(axis=1)
    each = np.arange(len(dice))
    return plateaus[each, best], scales[each, best], rates[best]


def _lines(multiples: Vector, dice: NDArray[np.float64], rates: Vector) -> tuple[Vector, Vector, Vector]:
    """Plateau, scale and sum of squared residuals, (curves, rates) each, of curves of Dice (curves, points).

    With its rate given, a curve is a line in effort^(−rate). Its best slope and height have a closed form, also on the
    bounds scale >= 0 and plateau <= 1.
    """
    powers = multiples ** -rates[:, None]  # (rates, points)
    centred = powers - powers.mean(axis=1, keepdims=True)
    scales = np.maximum(-(dice @ centred.T) / np.square(centred).sum(axis=1), 0)
    plateaus = dice.mean(axis=1, keepdims=True) + scales * powers.mean(axis=1)
    scales = np.where(plateaus > 1, (1 - dice) @ powers.T / np.square(powers).sum(axis=1), scales)
    plateaus = np.minimum(plateaus, 1)
    misfits = np.zeros_like(scales)
    for powers_at, dice_at in zip(powers.T, dice.T, strict=True):  # All points at once would not fit into the cache.
        misfits += np.square(plateaus - scales * powers_at - dice_at[:, None])
    return plateaus, scales, misfits


def _points(effort: ArrayLike, dice: ArrayLike) -> tuple[Vector, Vector]:
    x, y = np.asarray(effort, dtype=np.float64), np.asarray(dice, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise ValueError(f"expected effort and Dice of one length, a point or more, got {x.shape} and {y.shape}")
    if not ((x > 0) & np.isfinite(x) & (y >= 0) & (y <= 1)).all():
        raise ValueError(f"expected effort above 0 and Dice in [0, 1], got effort {x} and Dice {y}")
    return x, y
