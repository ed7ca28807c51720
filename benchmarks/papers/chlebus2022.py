"""chlebus2022: do slices at the peaks of the entropy teach more than others, at equal effort?

    python -m benchmarks.papers.chlebus2022 --out DIR [--seeds 4] [--full]

Their result is on CT of the liver: after five rounds USS is significantly better than UVS, RVS and RSS (tables 4 to 7),
and in the fifth percentile both uncertainty and slices gain 0.012 Dice (table 9). The paper does not compare strided
slices.
"""

from collections.abc import Mapping
from pathlib import Path

from activelabel.simulation.experiment import Experiment
from benchmarks.papers.claims import Claim, arms, hippocampus, main, paper_arms

STRATEGIES = (
    "uncertainty_slices", "random_slices", "strided_slices", "foreground_random_slices", "clasp_pe_slices",
    "uncertainty_volumes", "random_volumes",
)  # fmt: skip


def experiments(full: bool, seeds: int, _altered: Path) -> Mapping[str, Experiment]:
    """All arms begin with the same 24 random slices; a round adds 24, or a volume of about 36. As in ma2024.py."""
    conf = {"labels": "anterior,posterior"}
    if full:
        compared = paper_arms(STRATEGIES, "chlebus2022", rounds=5)  # IV.A: "five active learning iterations"
        return {"hippocampus_slices": Experiment(compared, seeds, hippocampus(0, 200, 50), conf)}
    compared = arms(STRATEGIES, "hippocampus_slices", start=24, volumes=1, slices=24, rounds=2)
    return {"hippocampus_slices": Experiment(compared, seeds, hippocampus(0, 70, 16), {**conf, "device": "cpu"})}


CLAIMS = {
    "hippocampus_slices": [
        Claim("USS beats RSS", "0.960 over 0.956", "uncertainty_slices", "random_slices", "slices", "final"),
        Claim("USS beats UVS", "0.960 over 0.956", "uncertainty_slices", "uncertainty_volumes", "slices", "final"),
        Claim("USS beats RVS", "0.960 over 0.956", "uncertainty_slices", "random_volumes", "slices", "final"),
        Claim("USS beats RSS", "most of the time", "uncertainty_slices", "random_slices", "slices"),
        Claim("USS beats UVS", "most of the time", "uncertainty_slices", "uncertainty_volumes", "slices"),
        Claim("USS beats RVS", "most of the time", "uncertainty_slices", "random_volumes", "slices"),
        Claim("USS beats strided", "not compared", "uncertainty_slices", "strided_slices", "slices"),
    ]
}

if __name__ == "__main__":
    main(__doc__, experiments, CLAIMS, {"hippocampus_slices": "slices"})
