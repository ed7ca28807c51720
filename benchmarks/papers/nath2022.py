"""nath2022: does a proxy model's ranking give a better first model, and does a semi-supervised stage pay?

    python benchmarks/papers/nath2022.py --out DIR [--seeds 4] [--only hippocampus_start] [--full]

Their results are on CT of the liver and of hepatic vessels: proxy ranking gives "a better starting point", and the
semi-supervised stage "a significant benefit" (figures 2 and 3, table 1).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from claims import Claim, arms, hippocampus, main, phantoms, scratch

from activelabel.recipes import FOLDER
from activelabel.simulation.arms import Arm
from activelabel.simulation.experiment import Experiment

STARTS = ("random_volumes", "proxy_rank", "typiclust", "coreset", "foreground_random")


def experiments(full: bool, seeds: int) -> Mapping[str, Experiment]:
    """First models of four volumes each; and rounds with and without the second stage, by proxy ranking throughout."""
    on_hippocampus = {"labels": "anterior,posterior", **({} if full else {"device": "cpu"})}
    on_phantoms = {"labels": "liver,spleen,kidneys,tumour", **({} if full else {"device": "cpu"})}
    pool = hippocampus(0, 200, 50) if full else hippocampus(0, 70, 16)
    return {
        "hippocampus_start": Experiment(starts("hippocampus_warm", full), seeds, pool, on_hippocampus),
        "phantoms_start": Experiment(starts("phantoms_warm", full), seeds, phantoms(6), on_phantoms),
        "hippocampus_stages": Experiment(stages("hippocampus", full), seeds, pool, on_hippocampus),
        "phantoms_stages": Experiment(stages("phantoms", full), seeds, phantoms(6), on_phantoms),
    }


def starts(recipe: str, full: bool) -> tuple[Arm, ...]:
    """One model an arm: all begin with the proxy model's weights, and differ in the volumes they learn from."""
    chosen = "nath2022" if full else recipe
    (arm,) = arms(["mean_variance"], chosen, start=5 if full else 4, volumes=3, rounds=0)
    return tuple(replace(arm, name=name, start_strategy=name) for name in STARTS)


def stages(data: str, full: bool) -> tuple[Arm, ...]:
    """Rounds by proxy ranking and at random, with one stage and with two."""
    recipe = "nath2022" if full else f"{data}_warm"
    compared = arms(["proxy_rank", "random_volumes"], recipe, start=4, volumes=3, rounds=4 if full else 2)
    return tuple(
        replace(arm, name=f"{arm.name}{suffix}", recipe=with_second_stage(arm.recipe, enabled))
        for suffix, enabled in (("", False), ("_two_stages", True))
        for arm in compared
    )


def with_second_stage(recipe: str, enabled: bool) -> str:
    """The path of a copy of a recipe that differs in nothing but whether its rounds have the second stage."""
    text = (Path(recipe) if recipe.endswith(".toml") else FOLDER / f"{recipe}.toml").read_text(encoding="utf-8")
    before, section, after = text.partition("[semi_supervised]\n")
    assert section, f"{recipe} has no second stage"
    after, changed = re.subn(r"(?m)^enabled = \w+", f"enabled = {str(enabled).lower()}", after, count=1)
    assert changed, f"{recipe} does not say whether its second stage is enabled"
    folder = Path(scratch().name) / ("two_stages" if enabled else "one_stage")
    folder.mkdir(exist_ok=True)
    copy = folder / f"{Path(recipe).stem}.toml"
    copy.write_text(f"{before}{section}{after}", encoding="utf-8")
    return str(copy)


def _start_claims() -> list[Claim]:
    return [
        Claim(
            "a better starting point", "higher in all four curves", "proxy_rank", "random_volumes", "volumes", "first"
        ),
        Claim("than by features", "not compared", "proxy_rank", "typiclust", "volumes", "first"),
        Claim("than by features", "not compared", "proxy_rank", "coreset", "volumes", "first"),
    ]


def _stage_claims() -> list[Claim]:
    better, plain = "proxy_rank_two_stages", "random_volumes"
    return [
        Claim("two stages beat one", "+0.035 and +0.040, table 1", better, "proxy_rank", "volumes", "final"),
        Claim(
            "two stages beat one",
            "+0.029 and +0.027, by variance",
            "random_volumes_two_stages",
            plain,
            "volumes",
            "final",
        ),
        Claim("proxy ranking alone goes on", "significant", "proxy_rank", plain, "volumes"),
    ]


CLAIMS = {
    "hippocampus_start": _start_claims(),
    "phantoms_start": _start_claims(),
    "hippocampus_stages": _stage_claims(),
    "phantoms_stages": _stage_claims(),
}

if __name__ == "__main__":
    main(__doc__, experiments, CLAIMS, dict.fromkeys(CLAIMS, "volumes"))
