"""Batches of patches: cases are prepared once and kept; each step's batch depends on the seed and its number alone."""

import logging
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from monai.data.utils import set_rnd
from monai.transforms import Compose
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from activelabel.training.engine.plan import Keep, Plan
from activelabel.training.engine.replay import mixed_order
from activelabel.training.slice_patches import SlicePatches
from activelabel.training.transforms import LoadCase, case_preparation, patch_transforms, training_items
from activelabel.training.two_views import LoadNoisyCase, noisy_preparation, view_transforms

logger = logging.getLogger(__name__)

Batch = dict[str, Tensor]

Order = Callable[[np.random.Generator], NDArray[np.intp]]
"""From random numbers to the numbers of the items of a pass, in their order."""

_AHEAD = 3
"""How many batches are made ahead of the network."""


class MemoryLimit:
    """How much memory prepared cases may take together."""

    def __init__(self, limit_bytes: int | None, processes: int = 1) -> None:
        """None is half of the memory that is free now; each of several processes has its part."""
        limit = psutil.virtual_memory().available // 2 if limit_bytes is None else limit_bytes
        self._left = limit // processes
        self._is_full = False

    def takes(self, prepared: Mapping[Any, Any]) -> bool:
        """Whether a prepared case fits; if so, its room is taken."""
        size = sum(torch.as_tensor(value).nbytes for value in prepared.values())
        if size > self._left:
            if not self._is_full:
                logger.info("the memory for prepared cases is full: further ones are read from the disk")
                self._is_full = True
            return False
        self._left -= size
        return True


class PreparedCases(Dataset[Any]):
    """Cases after the part of their preparation that has no randomness, which is done once, or each time."""

    def __init__(
        self, cases: Sequence[Any], prepare: Compose, keep: Keep, folder: Path, memory: MemoryLimit | None = None
    ) -> None:
        """Prepare each case when it is first needed.

        `folder` is made if they are kept on disk, as those are that do not fit into `memory`.
        """
        self._cases = cases
        self._prepare = prepare
        self._keep = keep
        self._folder = folder
        self._memory = memory or MemoryLimit(None)
        self._kept: dict[int, Any] = {}

    def __len__(self) -> int:
        """The number of cases."""
        return len(self._cases)

    def __getitem__(self, index: int) -> Any:
        """A prepared case. Raises as its preparation."""
        if index not in self._kept:
            prepared = self._prepare(self._cases[index])
            if self._keep == "nowhere":
                return prepared
            fits = self._keep == "memory" and self._memory.takes(prepared)
            self._kept[index] = prepared if fits else self._on_disk(index, prepared)
        return self._kept[index]

    def _on_disk(self, index: int, prepared: Any) -> Any:
        """A prepared case whose numbers lie in a file, and are read when they are needed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{index}.pt"
        torch.save({key: torch.as_tensor(value).contiguous() for key, value in prepared.items()}, file)
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)


class Patches(Dataset[Any]):
    """Random patches of prepared cases."""

    def __init__(self, cases: PreparedCases, draw: Compose) -> None:
        self._cases = cases
        self._draw = draw

    def __len__(self) -> int:
        """The number of cases."""
        return len(self._cases)

    def __getitem__(self, index: int) -> Any:
        """The patches of a case, drawn anew."""
        return self._draw(self._cases[index])


class Batches:
    """The batches of a training by their numbers: each pass visits every item once, in an order of its own."""

    def __init__(self, items: Dataset[list[Batch]], batch_size: int, seed: int, order: Order | None = None) -> None:
        """`order` gives the items of a pass from a generator; by default each once."""
        self._items = items
        self._count = count = len(items)  # type: ignore[arg-type]  # torch declares no length
        self._order = order or (lambda random: random.permutation(count))
        self._batch_size = batch_size
        self._seed = seed

    @property
    def of_a_pass(self) -> int:
        """How many batches visit every item once; the last one may be smaller."""
        return -(-self._count // self._batch_size)

    def __call__(self, number: int) -> Batch:
        """The patches of a batch, stacked."""
        turn, place = divmod(number, self.of_a_pass)
        order = self._order(np.random.default_rng((self._seed, turn)))
        chosen = order[place * self._batch_size :][: self._batch_size]
        set_rnd(self._items, int(np.random.SeedSequence((self._seed, number, 1)).generate_state(1)[0]))
        patches = [patch for index in chosen for patch in self._items[int(index)]]
        return {key: torch.stack([patch[key] for patch in patches]) for key in patches[0]}


@dataclass(frozen=True)
class Cache:
    """Where a training keeps its prepared cases: a folder of its own, and memory that all kinds of cases share."""

    folder: Path
    memory: MemoryLimit


def annotated_batches(plan: Plan, seed: int, cache: Cache) -> Batches:
    """The batches of annotated patches of a plan."""
    settings, load = plan.training, LoadCase(plan.model.preprocessing, plan.model.labels, plan.prepared)
    cases = _prepared(plan, plan.cases, case_preparation(load, settings), cache, "cases")
    drawn = cases if settings.sampling == "slices" else Patches(cases, patch_transforms(settings, seed))
    items = training_items(drawn, settings, seed)
    return Batches(items, settings.batch_size, seed, _replayed(plan, items))


def _replayed(plan: Plan, items: Dataset[Any]) -> Order | None:
    """The order of the items of a plan that mixes new and known cases; None for one that does not."""
    share = plan.training.replay_share
    if share is None or not plan.new:
        return None
    numbers = items.case_numbers if isinstance(items, SlicePatches) else range(len(plan.cases))
    is_new = np.isin(np.array(numbers), plan.new)
    return lambda random: mixed_order(is_new, share, random)


def noisy_batches(plan: Plan, seed: int, cache: Cache) -> Batches | None:
    """The batches of two views of patches without annotation, where the plan has them."""
    if plan.unannotated is None:
        return None
    prepare = noisy_preparation(LoadNoisyCase(plan.model.preprocessing, plan.prepared), plan.training)
    cases = _prepared(plan, plan.unannotated.cases, prepare, cache, "noisy")
    views = view_transforms(plan.training, plan.unannotated.settings, seed)
    return Batches(Patches(cases, views), plan.training.batch_size, seed)


def validation_cases(plan: Plan, cases: Sequence[Any], cache: Cache) -> PreparedCases:
    """Cases as a validation sees them: whole."""
    load = LoadCase(plan.model.preprocessing, plan.model.labels, plan.prepared)
    return _prepared(plan, cases, Compose([load]), cache, "validation")


def _prepared(plan: Plan, cases: Sequence[Any], prepare: Compose, cache: Cache, name: str) -> PreparedCases:
    return PreparedCases(cases, prepare, plan.keep, cache.folder / name, cache.memory)


def in_turn(make: Callable[[int], Batch], numbers: range, ahead: bool) -> Generator[Batch, None, None]:
    """The batches of these numbers in turn, made ahead in a thread of their own, or when they are asked for."""
    if not ahead:
        yield from map(make, numbers)
        return
    left, waiting = iter(numbers), deque[Future[Batch]]()
    pool = ThreadPoolExecutor(1, "batches")
    try:
        waiting.extend(pool.submit(make, number) for _, number in zip(range(_AHEAD), left, strict=False))
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(pool.submit(make, number) for _, number in zip(range(1), left, strict=False))
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
