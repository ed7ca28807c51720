"""blend, our own strategy: is it better than random, foreground-aware random, strided slices and ClaSP PE?

    python -m benchmarks.papers.blend --out DIR [--seeds 4] [--only hippocampus_second_half] [--full]

It was tuned on the first hundred hippocampus cases only. This script runs it on the second hundred and on BraTS, which
were not used for tuning.
"""

from collections.abc import Mapping
from pathlib import Path

from activelabel.simulation.experiment import Experiment
from benchmarks.papers.claims import Claim, arms, brats, hippocampus, main

RIVALS = ("random_slices", "foreground_random_slices", "strided_slices", "clasp_pe_slices")
FIRST_OF_SECOND_HALF = 100


def experiments(full: bool, seeds: int, altered: Path) -> Mapping[str, Experiment]:
    """The experiments of chlebus2022.py and ma2024.py, on other cases."""
    on_hippocampus = arms(
        ("blend_slices", *RIVALS), "hippocampus_slices", start=24, volumes=1, slices=24, rounds=4 if full else 2
    )
    on_brats = arms(("blend_slices", *RIVALS), "brats_slices", start=12, volumes=1, slices=12, rounds=4 if full else 2)
    device = {} if full else {"device": "cpu"}
    pool = hippocampus(FIRST_OF_SECOND_HALF, 100 if full else 70, 25 if full else 16)
    return {
        "hippocampus_second_half": Experiment(on_hippocampus, seeds, pool, {"labels": "anterior,posterior", **device}),
        "brats_slices": Experiment(on_brats, seeds, brats(altered), {"labels": "tumour", **device}),
    }


CLAIMS = {
    name: [Claim("blend is better", "ours", "blend_slices", rival, "slices") for rival in RIVALS]
    for name in ("hippocampus_second_half", "brats_slices")
}

if __name__ == "__main__":
    main(__doc__, experiments, CLAIMS, dict.fromkeys(CLAIMS, "slices"))
