"""The parts of `benchmarks/gpu.py` that a processor can prove."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gpu
import pytest
import torch
from gpu_networks import agreement, hashing_hook
from gpu_timing import Conditions
from torch import nn

CPU = torch.device("cpu")


def test_hashed_masks_drop_the_rate_and_depend_on_the_item_alone() -> None:
    layer = nn.Dropout(0.2).eval()
    ones = torch.ones(3, 8, 16, 16, 16)
    seeds = torch.tensor([5, 6, 5])
    hook = layer.register_forward_hook(hashing_hook(seeds))
    dropped = layer(ones)
    hook.remove()
    assert set(dropped.unique().tolist()) == {0.0, 1.25}
    for item in dropped:  # of 32,768 values: four deviations of sqrt(0.2 * 0.8 / 32768)
        assert float((item == 0).float().mean()) == pytest.approx(0.2, abs=0.009)
    assert torch.equal(dropped[0], dropped[2])
    assert float((dropped[0] == dropped[1]).float().mean()) == pytest.approx(0.2**2 + 0.8**2, abs=0.012)
    hook = layer.register_forward_hook(hashing_hook(seeds[1:2]))
    assert torch.equal(layer(ones[:1])[0], dropped[1])
    hook.remove()


def test_agreement_is_the_relative_distance_and_the_share_of_equal_classes() -> None:
    reference = torch.tensor([[3.0, 0.0], [0.0, 4.0]]).reshape(1, 2, 2)
    other = torch.tensor([[3.0, 0.0], [4.0, 4.0]]).reshape(1, 2, 2)
    distance, same = agreement(other, reference)
    assert distance == pytest.approx(4 / 5)
    assert same == pytest.approx(1 / 2)


def test_what_time_does_not_suffice_for_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gpu.json"
    arguments = ["--device", "cpu", "--small", "--seconds", "0", "--only", "masks", "memory", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *arguments])
    gpu.main()
    assert (
        "not reached in 0 s: masks quick, masks rahimi2022, memory: it needs a CUDA device" in capsys.readouterr().out
    )


def test_rows_are_kept_as_soon_as_they_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "gpu.json"

    def broken(conditions: Conditions) -> Iterator[dict[str, object]]:
        yield {"network": "quick", "forward s": 0.5}
        raise RuntimeError("the device is gone")

    monkeypatch.setitem(gpu.SECTIONS, "networks", broken)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--only", "networks", "--out", str(out)])
    with pytest.raises(RuntimeError, match="the device is gone"):
        gpu.main()
    assert json.loads(out.read_text(encoding="utf-8"))["networks"] == [{"network": "quick", "forward s": 0.5}]


def test_time_of_small_work_is_one_run_of_it() -> None:
    runs = []
    seconds = Conditions(CPU, True, time.monotonic() + 60).seconds_of(lambda: runs.append(1))
    assert len(runs) == 1
    assert 0 <= seconds < 1
