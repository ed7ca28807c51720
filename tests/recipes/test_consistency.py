"""Measures that compare repeats need two of them, in every setting that names one; a single pass has one."""

from pathlib import Path

import pytest

from activelabel import recipes
from activelabel.errors import InvalidInputError
from activelabel.project.opening import plan_project
from activelabel.recipes import check_recipe, load_recipe

WARM = Path(recipes.__file__).parent / "quick_warm.toml"
REPEATED = (
    *("variance", "mutual_information", "mean_variance", "selective_variance", "power_bald"),
    *("variance_slices", "selective_mutual_information_slices", "power_bald_slices"),
)


def conf(**settings: str) -> dict[str, str]:
    return {"recipe": "quick", "labels": "liver", "device": "cpu", **settings}


@pytest.mark.parametrize("strategy", REPEATED)
@pytest.mark.parametrize("repeats", ["0", "1"])
def test_a_strategy_that_goes_by_repeats_is_refused_without_them(strategy: str, repeats: str, tmp_path: Path) -> None:
    line = rf"^query\.strategy {strategy} goes by .* and prediction\.repeats is {repeats}: it would be 0 everywhere"
    with pytest.raises(InvalidInputError, match=line):
        plan_project("app", str(tmp_path), conf(strategy=strategy, repeats=repeats))
    assert plan_project("app", str(tmp_path), conf(strategy=strategy, repeats="2"))


@pytest.mark.parametrize("strategy", ["entropy", "mean_entropy", "selective_margin_slices", "random_volumes", "blend"])
def test_a_single_pass_is_enough_for_every_other_strategy(strategy: str, tmp_path: Path) -> None:
    project = plan_project("app", str(tmp_path), conf(strategy=strategy, repeats="0"))
    assert project.recipe.prediction.repeats == 0


def test_volumes_of_a_single_pass_do_not_race(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"^prediction\.racing spares repeats, and prediction\.repeats is 0"):
        plan_project("app", str(tmp_path), conf(strategy="entropy", repeats="0", racing="true"))


def test_fewer_repeats_than_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"--conf repeats -1: .*allowed is .*, or 0: a single"):
        plan_project("app", str(tmp_path), conf(repeats="-1"))


@pytest.mark.parametrize(
    "line", ["continued_share = 0.1", "continued_learning_rate = 1e-3", "replay_share = 0.5", "shrink = 0.8"]
)
def test_how_a_model_is_continued_needs_a_training_that_continues_one(line: str, tmp_path: Path) -> None:
    text, key = WARM.read_text(encoding="utf-8"), line.partition(" ")[0]
    file = tmp_path / "mine.toml"
    file.write_text(text.replace("[training]\n", f"[training]\n{line}\n"))
    with pytest.raises(InvalidInputError, match=rf"training\.{key} is of trainings that begin with the model in use"):
        load_recipe(str(file))
    file.write_text(text.replace("[training]\n", f"[training]\nfrom_previous = true\n{line}\n"))
    assert load_recipe(str(file)).training.from_previous


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("prediction", r"recipe mine\.toml: query\.strategy mean_variance goes by .*, and prediction\.repeats is 1"),
        ("proxy", r"recipe mine\.toml: proxy\.measure variance goes by .*, and proxy\.repeats is 1"),
    ],
)
def test_an_inconsistent_recipe_file_is_refused_when_it_is_read(section: str, line: str, tmp_path: Path) -> None:
    before, after = WARM.read_text(encoding="utf-8").split(f"[{section}]")
    file = tmp_path / "mine.toml"
    file.write_text(f"{before}[{section}]{after.replace('repeats = 5', 'repeats = 1', 1)}")
    with pytest.raises(InvalidInputError, match=line):
        load_recipe(str(file))


def test_the_certain_volumes_of_a_second_stage_need_repeats_for_their_variance() -> None:
    recipe = load_recipe("quick_warm")
    assert recipe.semi_supervised is not None
    query = recipe.query.model_copy(update={"strategy": "mean_entropy"})
    prediction = recipe.prediction.model_copy(update={"repeats": 0})
    single = recipe.model_copy(update={"query": query, "prediction": prediction})
    with pytest.raises(InvalidInputError, match=r"^semi_supervised\.measure variance goes by"):
        check_recipe(single)
    check_recipe(single.model_copy(update={"semi_supervised": None}))
    by_entropy = recipe.semi_supervised.model_copy(update={"measure": "entropy"})
    check_recipe(single.model_copy(update={"semi_supervised": by_entropy}))
