"""rahimi2022: do volumes of large Monte Carlo variance teach more than volumes at random?

    python -m benchmarks.papers.rahimi2022 --out DIR [--seeds 4] [--full]

Their result is on lung CT (AAPM 2017), Dice of the heart: 0.15 above random on the first cycle, 0.25 on the second and
0.11 on the last, where it is 0.87. The number of seeds is not given.
"""

from collections.abc import Mapping
from pathlib import Path

from activelabel.simulation.experiment import Experiment
from benchmarks.papers.claims import Claim, arms, hippocampus, main, paper_arms

STRATEGIES = (
    "random_volumes", "variance", "foreground_random", "foreground_random_oracle", "power_bald", "clasp_pe", "coreset",
    "typiclust",
)  # fmt: skip


def experiments(full: bool, seeds: int, _altered: Path) -> Mapping[str, Experiment]:
    """Three volumes to start with and three a round; with `full`, the 11 and 5 and four iterations of III."""
    conf = {"labels": "anterior,posterior"}
    if full:
        compared = paper_arms(STRATEGIES, "rahimi2022", rounds=4)
        return {"hippocampus": Experiment(compared, seeds, hippocampus(0, 200, 50), conf)}
    compared = arms(STRATEGIES, "hippocampus", start=3, volumes=3, rounds=3)
    return {"hippocampus": Experiment(compared, seeds, hippocampus(0, 70, 16), {**conf, "device": "cpu"})}


CLAIMS = {
    "hippocampus": [
        Claim("variance beats random", "+0.11 in the end", "variance", "random_volumes", "volumes", "final"),
        Claim("variance beats random", "+0.15, +0.25, +0.11 by cycle", "variance", "random_volumes", "volumes"),
        Claim("and foreground-aware random", "not compared", "variance", "foreground_random", "volumes"),
    ]
}

if __name__ == "__main__":
    main(__doc__, experiments, CLAIMS, {"hippocampus": "volumes"})
