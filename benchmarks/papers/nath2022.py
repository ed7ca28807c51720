"""nath2022: does a proxy model's ranking give a better first model, and does a semi-supervised stage pay?

    python -m benchmarks.papers.nath2022 --out DIR [--seeds 4] [--only hippocampus_start] [--full]

Their results are on CT of the liver and of hepatic vessels, three repeats: proxy ranking gives "a better starting
point", and the semi-supervised stage "a significant benefit" (figures 2 and 3, table 1).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from activelabel.recipes import FOLDER, load_recipe
from activelabel.simulation.arms import Arm
from activelabel.simulation.experiment import Experiment
from benchmarks.papers.claims import RECIPES, Claim, arms, hippocampus, main, paper_arms, phantoms

STARTS = ("random_volumes", "proxy_rank", "typiclust", "coreset", "foreground_random")


def experiments(full: bool, seeds: int, altered: Path) -> Mapping[str, Experiment]:
    """First models of four volumes each, and rounds with and without the second stage, all by proxy ranking.

    With `full` the paper's five volumes, and its 26 to validate, which are more than there are phantoms.
    """
    on_hippocampus, on_phantoms = {"labels": "anterior,posterior"}, {"labels": "liver,spleen,kidneys,tumour"}
    if full:
        pool = hippocampus(0, 200, 50)
        return {
            "hippocampus_start": Experiment(starts("nath2022", full=True), seeds, pool, on_hippocampus),
            "hippocampus_stages": Experiment(stages("nath2022", altered, full=True), seeds, pool, on_hippocampus),
        }
    pool, cpu = hippocampus(0, 70, 16), {"device": "cpu"}
    on_hippocampus, on_phantoms = on_hippocampus | cpu, on_phantoms | cpu
    return {
        "hippocampus_start": Experiment(starts("hippocampus_warm"), seeds, pool, on_hippocampus),
        "phantoms_start": Experiment(starts("phantoms_warm"), seeds, phantoms(6), on_phantoms),
        "hippocampus_stages": Experiment(stages("hippocampus_warm", altered), seeds, pool, on_hippocampus),
        "phantoms_stages": Experiment(stages("phantoms_warm", altered), seeds, phantoms(6), on_phantoms),
    }


def starts(recipe: str, full: bool = False) -> tuple[Arm, ...]:
    """One model for each arm: all begin with the proxy model's weights, and differ in their training volumes."""
    asked = ["mean_variance"]
    (arm,) = paper_arms(asked, recipe, 0) if full else arms(asked, recipe, start=4, volumes=3, rounds=0)
    return tuple(replace(arm, name=name, start_strategy=name) for name in STARTS)


def stages(recipe: str, altered: Path, full: bool = False) -> tuple[Arm, ...]:
    """Rounds by proxy ranking and at random: with one stage, with two, and with one that has as many steps as both.

    The paper has four iterations (4.2), the last with 20 of 242 volumes (supplement, 8 %): a start and three rounds.
    """
    file = (FOLDER if full else RECIPES) / f"{recipe}.toml"
    training, second = load_recipe(str(file)).training, load_recipe(str(file)).semi_supervised
    assert training.steps_per_epoch is not None
    assert second is not None
    steps = training.steps_per_epoch + second.steps // training.epochs
    changes = {
        "": {"semi_supervised": "enabled = false"},
        "_two_stages": {"semi_supervised": "enabled = true"},
        "_longer": {"semi_supervised": "enabled = false", "training": f"steps_per_epoch = {steps}"},
    }
    asked = ["proxy_rank", "random_volumes"]
    compared = paper_arms(asked, str(file), 3) if full else arms(asked, str(file), start=4, volumes=3, rounds=2)
    return tuple(
        replace(arm, name=f"{arm.name}{suffix}", recipe=changed_recipe(file, change, altered / f"recipe{suffix}"))
        for suffix, change in changes.items()
        for arm in compared
    )


def changed_recipe(file: Path, changes: Mapping[str, str], folder: Path) -> str:
    """The path of a copy of a recipe, in `folder`, with one other line in each of these sections."""
    text = file.read_text(encoding="utf-8")
    for section, line in changes.items():
        before, head, after = text.partition(f"[{section}]\n")
        after, changed = re.subn(rf"(?m)^{line.split()[0]} = \w+", line, after, count=1)
        assert changed, f"{file.name} does not say {line.split()[0]} in [{section}]"
        text = f"{before}{head}{after}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file.name).write_text(text, encoding="utf-8")
    return str(folder / file.name)


def _start_claims() -> list[Claim]:
    return [
        Claim(
            "a better starting point", "higher in all four curves", "proxy_rank", "random_volumes", "volumes", "first"
        ),
        Claim("than by features", "not compared", "proxy_rank", "typiclust", "volumes", "first"),
        Claim("than by features", "not compared", "proxy_rank", "coreset", "volumes", "first"),
    ]


def _stage_claims() -> list[Claim]:
    theirs = {"proxy_rank": "+0.035 and +0.040, table 1", "random_volumes": "+0.029 and +0.027, by variance"}
    return [
        *(
            Claim(
                statement,
                number if worse == "" else "not compared",
                f"{arm}_two_stages",
                f"{arm}{worse}",
                "volumes",
                "final",
            )
            for statement, worse in (("two stages beat one", ""), ("two stages beat one of as many steps", "_longer"))
            for arm, number in theirs.items()
        ),
        Claim("proxy ranking alone goes on", "significant", "proxy_rank", "random_volumes", "volumes"),
    ]


CLAIMS = {
    "hippocampus_start": _start_claims(),
    "phantoms_start": _start_claims(),
    "hippocampus_stages": _stage_claims(),
    "phantoms_stages": _stage_claims(),
}

if __name__ == "__main__":
    main(__doc__, experiments, CLAIMS, dict.fromkeys(CLAIMS, "volumes"))
