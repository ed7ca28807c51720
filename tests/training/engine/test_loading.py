"""Batches by their numbers, on cases of one number each."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Compose, RandomizableTransform
from torch.utils.data import Dataset

from activelabel.training.engine.loading import Batches, MemoryLimit, PreparedCases, in_turn


class Noisy(RandomizableTransform):
    def __call__(self, item: int) -> list[dict[str, torch.Tensor]]:
        return [{"case": torch.tensor(item), "noise": torch.tensor(self.R.standard_normal())}]


class Numbers(Dataset[Any]):
    def __init__(self, count: int) -> None:
        self._count, self._noisy = count, Noisy()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        return self._noisy(index)


def cases_of(batches: Batches, numbers: range) -> list[int]:
    return [case for number in numbers for case in batches(number)["case"].tolist()]


def test_each_pass_visits_every_case_once_in_an_order_of_its_own() -> None:
    batches = Batches(Numbers(7), batch_size=3, seed=0)
    assert batches.of_a_pass == 3
    passes = [cases_of(batches, range(3 * turn, 3 * turn + 3)) for turn in range(4)]
    assert all(sorted(each) == list(range(7)) for each in passes)
    assert len({tuple(each) for each in passes}) == 4
    assert len(batches(2)["case"]) == 1, "the last one of a pass is smaller"


def test_a_batch_depends_on_its_number_alone_and_each_is_drawn_anew() -> None:
    batches = Batches(Numbers(4), batch_size=2, seed=0)
    noise = [batches(number)["noise"].tolist() for number in range(20)]
    assert len({value for values in noise for value in values}) == 40
    again = Batches(Numbers(4), batch_size=2, seed=0)
    assert again(13)["noise"].tolist() == noise[13]
    assert Batches(Numbers(4), batch_size=2, seed=1)(13)["noise"].tolist() != noise[13]


@pytest.mark.parametrize(("keep", "prepared"), [("memory", [3, 1]), ("disk", [3, 1]), ("nowhere", [3, 1, 3])])
def test_a_case_that_is_kept_is_prepared_once(keep: Any, prepared: list[int], tmp_path: Path) -> None:
    seen: list[int] = []

    def prepare(case: int) -> dict[str, torch.Tensor]:
        seen.append(case)
        return {"image": torch.full((1, 2, 2, 2), case)}

    cases = PreparedCases([3, 1], Compose([prepare]), keep, tmp_path / "kept")
    found = [int(cases[index]["image"].sum()) for index in (0, 1, 0)]
    assert found == [24, 8, 24]
    assert seen == prepared
    assert (tmp_path / "kept").exists() == (keep == "disk")


def test_cases_that_do_not_fit_into_memory_lie_on_the_disk_and_are_the_same(tmp_path: Path) -> None:
    """Each case takes 32 bytes of 70: the third does not fit. All kinds of cases share the memory."""
    prepare = Compose([lambda case: {"image": torch.full((1, 2, 2, 2), float(case))}])
    memory = MemoryLimit(70)
    first = PreparedCases([1, 2, 3], prepare, "memory", tmp_path / "first", memory)
    second = PreparedCases([4], prepare, "memory", tmp_path / "second", memory)
    found = [float(cases[index]["image"].sum()) for cases, index in ((first, 0), (first, 1), (first, 2), (second, 0))]
    assert found == [8, 16, 24, 32]
    assert [file.name for file in (tmp_path / "first").iterdir()] == ["2.pt"]
    assert [file.name for file in (tmp_path / "second").iterdir()] == ["0.pt"]
    assert float(first[2]["image"].sum()) == 24


def test_processes_share_the_memory() -> None:
    case = {"image": torch.zeros(8)}  # 32 bytes
    assert MemoryLimit(64, processes=2).takes(case)
    assert not MemoryLimit(62, processes=2).takes(case)


def test_an_order_of_its_own_says_which_items_a_pass_visits() -> None:
    batches = Batches(Numbers(4), batch_size=2, seed=0, order=lambda random: np.array([3, 3, 0, 3]))
    assert cases_of(batches, range(2)) == [3, 3, 0, 3]


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_batches_come_in_turn(ahead: bool, count: int) -> None:
    made = list(in_turn(lambda number: {"n": torch.tensor(number)}, range(5, 5 + count), ahead))
    assert [int(batch["n"]) for batch in made] == list(range(5, 5 + count))


@pytest.mark.parametrize("ahead", [True, False])
def test_an_error_of_a_batch_is_raised_where_the_batch_is_due(ahead: bool) -> None:
    def make(number: int) -> dict[str, torch.Tensor]:
        if number == 2:
            raise ValueError("the third")
        return {}

    batches = in_turn(make, range(5), ahead)
    assert [next(batches), next(batches)] == [{}, {}]
    with pytest.raises(ValueError, match="the third"):
        next(batches)
