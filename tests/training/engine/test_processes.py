"""A training in two processes of the CPU, which share the steps, show their statistics and find one result."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tiny_plan import tiny_plan

from activelabel.training.engine.processes import train


@dataclass(frozen=True)
class WriteDown:
    """Writes the epochs of the statistics into a file, from whichever process."""

    file: Path

    def __call__(self, stats: dict[str, Any]) -> None:
        with self.file.open("a") as file:
            file.write(f"{stats['epoch']} {stats['total_iterations']} {stats['eval']['best_metric']}\n")


def test_two_processes_train_one_network(blobs: Callable[[int], Any], tmp_path: Path) -> None:
    """Four cases, two a step and two processes make one step an epoch; the two validation cases are shared too."""
    plan = tiny_plan(blobs(6), tmp_path, epochs=2, validation=2)
    shown = tmp_path / "shown.txt"

    outcome = train(plan, WriteDown(shown), ["cpu", "cpu"])

    lines = [line.split() for line in shown.read_text(encoding="utf-8").splitlines()]
    assert [line[:2] for line in lines] == [["1", "1"], ["2", "1"]], "one of both shows them"
    assert float(lines[-1][2]) == outcome.stats["eval"]["best_metric"]
    assert outcome.stats["current_iteration"] == 2
    alone = train(plan, lambda stats: None)
    assert outcome.weights.keys() == alone.weights.keys()
    assert all(torch.isfinite(tensor).all() for tensor in outcome.weights.values())
    assert alone.stats["total_iterations"] == 2
