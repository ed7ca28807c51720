"""What `continual.py` has measured: an arm beside trainings from scratch, tested over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activelabel.analysis.comparison import SeedTest, seed_test

SCRATCH = "from scratch"


@dataclass(frozen=True)
class Compared:
    """An arm beside trainings from scratch, in Dice and in processor seconds of a round.

    Attributes:
        test: of the difference in Dice, one for each seed, the mean of its rounds after the first.
        margin: the standard deviation of the Dice of models from scratch between seeds, of the same labels.
        cost: the arm's seconds for one of scratch.
    """

    test: SeedTest
    margin: float
    cost: float

    @property
    def verdict(self) -> str:
        """What the interval of the mean difference says."""
        test = self.test
        if not test.told:
            return f"not tested ({test.why_untold})"
        against_0 = "behind" if test.high < 0 else "ahead" if test.low > 0 else "neither ahead nor behind"
        if -self.margin <= test.low and test.high <= self.margin:
            return f"{against_0}, and within the spread of seeds"
        if test.high < -self.margin or test.low > self.margin:
            return f"{against_0}, by more than the spread of seeds"
        return f"{against_0}; whether within the spread of seeds is open"

    def __str__(self) -> str:
        test = self.test
        interval = f"{test.low:+.4f} to {test.high:+.4f}" if test.told else "none"
        return (
            f"Dice {test.mean_difference:+.4f} beside {SCRATCH} (95 % t interval {interval}, n = {test.seeds} seeds, "
            f"ahead in {test.seeds_better}), spread of seeds {self.margin:.4f}: {self.verdict}; "
            f"{self.cost:.2f} of the processor seconds"
        )


def compared(rows: Sequence[Mapping[str, Any]], arm: str, rounds: int) -> Compared | str:
    """An arm beside `SCRATCH`, by the seeds that have all rounds of both; a few words if there are fewer than two."""
    later = range(2, rounds + 1)
    found = {(row["arm"], row["seed"], row["round"]): row for row in rows}
    seeds = sorted({seed for _, seed, _ in found})
    whole = [seed for seed in seeds if all((of, seed, number) in found for of in (arm, SCRATCH) for number in later)]
    if len(whole) < 2 or not later:
        return f"{len(whole)} seeds have all rounds, expected 2 or more"

    def values(of: str, what: str) -> NDArray[np.float64]:
        return np.array([[found[of, seed, number][what] for number in later] for seed in whole])

    ours, scratch = values(arm, "dice"), values(SCRATCH, "dice")
    margin = float(np.sqrt(scratch.var(axis=0, ddof=1).mean()))  # of a model, pooled over the rounds
    cost = float(values(arm, "cpu_s").mean() / values(SCRATCH, "cpu_s").mean())
    return Compared(seed_test(ours.mean(axis=1), scratch.mean(axis=1)), margin, cost)
