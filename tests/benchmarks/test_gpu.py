"""The parts of `benchmarks/gpu.py` that a processor can prove."""

import json
import time
from pathlib import Path

import gpu
import gpu_parts_of_tests
import pytest
import torch
from gpu_networks import agreement, hashing_hook, least_traffic, masks
from gpu_parts import Found
from gpu_scoring import NETWORKS, memory, scoring
from gpu_timing import Conditions, covered
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


def test_a_part_that_fails_dies_or_hangs_takes_no_other_along(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {name: (getattr(gpu_parts_of_tests, name), 1.0) for name in ("broken", "dead", "hanging", "whole")}
    out = tmp_path / "gpu.json"
    failed = gpu.measure(Conditions(CPU, True, time.monotonic() + 20), parts, out)
    printed, found = capsys.readouterr().out, json.loads(out.read_text(encoding="utf-8"))["parts"]

    assert failed == ["broken", "dead"]
    assert found["broken"]["error"] == "RuntimeError: the device is gone"
    assert found["dead"]["error"] == "the process ended with code 7"
    assert found["hanging"]["left_out"] == ["the rest: it was stopped, because its time was over"]
    assert found["whole"]["left_out"] == ["rahimi2022: it is not here"]
    assert [found[name]["status"] for name in parts] == ["failed", "failed", "cut short", "cut short"]
    for name in parts:
        assert found[name]["rows"] == [{"network": "quick", "forward s": 0.5}]
        assert f"| {name} | quick | forward s 0.5 |" in printed
    assert found["machine"]["rows"][0]["torch"] == torch.__version__


def test_no_part_begins_after_its_time_and_what_is_left_out_is_named() -> None:
    left_out: list[str] = []
    over = Conditions(CPU, True, time.monotonic() - 1, lambda name, why: left_out.append(f"{name}: {why}"))
    assert [*masks(over), *scoring(over)] == []
    assert left_out == [f"{name}: no time is left" for name in ("masks quick", "masks rahimi2022", *NETWORKS)]


def test_too_little_memory_halves_the_batches_and_the_result_is_the_same() -> None:
    """Three of eight windows are allowed: from 16 items at once to 8, to 4, to 2."""
    (row,) = memory(Conditions(CPU, True, time.monotonic() + 60))
    assert row["warnings"].endswith("out of memory with 4 windows at once, going on with 2")
    assert row["difference"] < 1e-5


def test_the_traffic_of_a_layer_is_its_input_its_weights_and_its_output() -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 1, bias=False), nn.ReLU())
    images = torch.zeros(1, 1, 2, 2, 2)
    assert least_traffic(network, images, torch.float32) == 4 * ((8 + 2 + 16) + (16 + 16))


def test_the_busy_time_is_that_in_which_anything_runs() -> None:
    assert covered([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.5, 2.0)]) == 4.0
    assert covered([]) == 0.0


def test_goals_are_judged_where_there_are_figures() -> None:
    scored = Found(rows=[{"network": "quick", "busy share": None, "bare share": 0.6}])
    trained = Found(rows=[{"device": "cuda"}, {gpu.BELOW: 0.01}])
    judged = [(goal["goal"], goal["met"]) for goal in gpu.goals({"scoring": scored, "training": trained})]
    assert judged == [("bare share, quick", False), (gpu.BELOW, True)]
    assert gpu.goals({}) == []


def test_time_of_small_work_is_one_run_of_it() -> None:
    runs = []
    seconds = Conditions(CPU, True, time.monotonic() + 60).seconds_of(lambda: runs.append(1))
    assert len(runs) == 1
    assert 0 <= seconds < 1


def test_after_its_time_slow_work_is_run_no_more() -> None:
    runs: list[int] = []

    def slow() -> None:
        runs.append(1)
        time.sleep(0.02)

    assert Conditions(CPU, False, time.monotonic() + 60).seconds_of(slow, most=0.05) >= 0.02
    assert len(runs) == 2 + 3
