"""Where a function of one number is least, against numbers worked out by hand and SciPy."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from activelabel.analysis.minimum import least_at


def test_the_least_value_between_two_points_is_found() -> None:
    points = np.array([0.0, 1, 2, 3, 10])
    assert least_at(lambda x: np.square(x - 1.7), points) == pytest.approx(1.7, abs=1e-8)


@pytest.mark.parametrize(("lowest", "end"), [(-5.0, 0.0), (20.0, 10.0)])
def test_a_function_that_only_falls_or_rises_is_least_at_an_end(lowest: float, end: float) -> None:
    assert least_at(lambda x: np.square(x - lowest), np.array([0.0, 1, 2, 3, 10])) == end


def test_of_two_valleys_the_deeper_one_is_taken() -> None:
    def valleys(x: np.ndarray) -> np.ndarray:
        return np.square(x**2 - 1) + 0.1 * x

    found = least_at(valleys, np.linspace(-2, 2, 11))
    expected = minimize_scalar(lambda x: float(valleys(np.array(x))), bounds=(-1.6, -0.4), method="bounded",
                               options={"xatol": 1e-10}).x  # fmt: skip
    assert found == pytest.approx(expected, abs=1e-7)
