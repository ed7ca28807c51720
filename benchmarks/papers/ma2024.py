"""ma2024: does selective uncertainty, near targets and decision boundaries, improve the five base methods?

    python -m benchmarks.papers.ma2024 --out DIR [--seeds 4] [--only hippocampus_slices] [--full]

Their result is on 2D slices of BraTS and of the spleen (tables 2 and 3): selective beats plain in nearly all rounds, by
0.02 on average on BraTS, and random is better than most plain methods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from activelabel.acquisition.uncertainty import MEASURES
from activelabel.recipes import FOLDER, needs_repeats
from activelabel.recipes.strategy_traits import traits_of
from activelabel.simulation.arms import Arm
from activelabel.simulation.experiment import Experiment
from benchmarks.papers.claims import Claim, arms, brats, hippocampus, main, paper_arms
from benchmarks.papers.nath2022 import changed_recipe

PLAIN = [f"{measure}_slices" for measure in MEASURES]
SELECTIVE = [f"selective_{measure}_slices" for measure in MEASURES]
BASELINES = [
    "random_slices", "strided_slices", "foreground_random_slices", "clasp_pe_slices", "power_entropy_slices",
    "power_bald_slices", "coreset_slices", "typiclust_slices",
]  # fmt: skip
THEIRS = {
    "entropy": "0.785 over 0.760",
    "least_confidence": "0.767 over 0.765",
    "margin": "0.784 over 0.735",
    "variance": "0.777 over 0.753",
    "mutual_information": "0.774 over 0.767",
}
"""The highest Dice of selective and plain in table 2; "MC-dropout" is variance here, "BALD" mutual information."""
ROUNDS = 22
"""Tables 1 and 2 end with 35 % of the slices; 1000 are 12.9 %, so these are 2,700: the first 500, and 100 a round."""


def experiments(full: bool, seeds: int, altered: Path) -> Mapping[str, Experiment]:
    """Rounds of slices after a few random ones. Runs are shared with chlebus2022.py and blend.py in the same --out.

    With `full` the paper's 500 and 100 slices, of which the two patients of BraTS that can be asked for have too few.
    """
    hippocampus_conf, brats_conf = {"labels": "anterior,posterior"}, {"labels": "tumour"}
    methods = [*PLAIN, *SELECTIVE, *BASELINES]
    if full:
        compared = with_repeats(paper_arms(methods, "ma2024", ROUNDS), altered)
        return {"hippocampus_slices": Experiment(compared, seeds, hippocampus(0, 200, 50), hippocampus_conf)}
    on_hippocampus = arms(methods, "hippocampus_slices", start=24, volumes=1, slices=24, rounds=2)
    on_brats = arms(methods, "brats_slices", start=12, volumes=1, slices=12, rounds=2)
    cpu = {"device": "cpu"}
    return {
        "hippocampus_slices": Experiment(on_hippocampus, seeds, hippocampus(0, 70, 16), hippocampus_conf | cpu),
        "brats_slices": Experiment(on_brats, seeds, brats(altered), brats_conf | cpu),
    }


def with_repeats(single_pass: Sequence[Arm], altered: Path) -> tuple[Arm, ...]:
    """The arms, of which those that need repeats have a copy of the paper's recipe with 20; the paper has no number."""
    repeated = changed_recipe(FOLDER / "ma2024.toml", {"prediction": "repeats = 20"}, altered / "recipe_repeats")
    return tuple(
        replace(arm, recipe=repeated if needs_repeats(traits_of(arm.strategy).measure) else arm.recipe)
        for arm in single_pass
    )


def _claims() -> list[Claim]:
    return [
        *(
            Claim("selective beats plain", theirs, f"selective_{measure}_slices", f"{measure}_slices", "slices")
            for measure, theirs in THEIRS.items()
        ),
        Claim("random beats plain", "0.770 over 0.760", "random_slices", "entropy_slices", "slices"),
        Claim("selective beats random", "0.785 over 0.770", "selective_entropy_slices", "random_slices", "slices"),
    ]


CLAIMS = {"hippocampus_slices": _claims(), "brats_slices": _claims()}

if __name__ == "__main__":
    main(__doc__, experiments, CLAIMS, dict.fromkeys(CLAIMS, "slices"))
