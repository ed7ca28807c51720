"""The parts of `benchmarks/gpu/run.py` that a processor can prove."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import gpu_parts_of_tests
import psutil
import pytest
import torch
from torch import nn

from benchmarks.gpu import parts as gpu_parts
from benchmarks.gpu import run as gpu
from benchmarks.gpu import timing
from benchmarks.gpu.networks import agreement, hashing_hook, least_traffic, masks, networks
from benchmarks.gpu.parts import Found
from benchmarks.gpu.scoring import NETWORKS, SMALL_VOLUME, memory, prepared_files, score_files, scoring
from benchmarks.gpu.timing import Conditions

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


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the processes of this test use no library
def test_a_part_that_fails_dies_or_hangs_takes_no_other_along(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "contexts", lambda: iter([multiprocessing.get_context("fork")]))
    monkeypatch.setattr(gpu, "machine", gpu_parts_of_tests.machine)
    monkeypatch.setattr(gpu_parts, "GRACE_SECONDS", 0.5)
    # What hangs has six seconds, and the others have what a busy machine takes.
    shares = {"broken": 1.0, "dead": 1.0, "hanging": 0.02, "whole": 1.0}
    parts = {name: (getattr(gpu_parts_of_tests, name), share) for name, share in shares.items()}
    out = tmp_path / "gpu.json"
    failed = gpu.measure(Conditions(CPU, True, time.monotonic() + 300), parts, out)
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
    assert found["machine"]["rows"] == [{"device": "a made-up one"}]


def test_without_a_process_that_can_use_the_device_the_measurement_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "contexts", lambda: iter([None, None]))
    monkeypatch.setattr(gpu, "run_part", lambda *_: Found(status="failed", error="RuntimeError: no device"))
    assert gpu.measure(Conditions(CPU, True, time.monotonic() + 9), gpu.PARTS, tmp_path / "gpu.json") == ["machine"]
    found = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["parts"]
    assert {name: part["error"] for name, part in found.items()} == {"machine": "RuntimeError: no device"}


def test_no_part_begins_after_its_time_and_what_is_left_out_is_named() -> None:
    left_out: list[str] = []
    over = Conditions(CPU, True, time.monotonic() - 1, lambda name, why: left_out.append(f"{name}: {why}"))
    assert [*masks(over), *scoring(over)] == []
    assert left_out == [f"{name}: no time is left" for name in ("masks quick", "masks rahimi2022", *NETWORKS)]


def test_too_little_memory_halves_the_batches_and_the_result_is_the_same() -> None:
    """The network refuses more than three items at once."""
    (row,) = memory(Conditions(CPU, True, time.monotonic() + 60))
    assert row["warnings"].endswith("out of memory with 6 windows at once, going on with 3")
    assert row["difference"] < 1e-5


def test_the_smallest_measurement_of_scoring_has_all_its_figures(tmp_path: Path) -> None:
    files = prepared_files(tmp_path, SMALL_VOLUME, 2)
    row = score_files(Conditions(CPU, True, time.monotonic() + 60), "quick", files, SMALL_VOLUME)
    assert (row["network"], row["volumes"], row["repeats"], "busy share" in row) == ("quick", 2, 5, False)
    parts = row["waiting s"] + row["sample s"] + row["statistics s"]
    assert 0 < parts <= row["volumes"] / row["images/s"]
    assert row["bare share"] == pytest.approx(row["bare s"] * row["images/s"] / 2)
    assert 0 < row["forward share"] <= row["sample s"] * row["images/s"] / 2
    assert 0 <= row["processor share"] <= 1


def test_the_first_network_is_measured_in_the_layout_and_precision_that_count_most() -> None:
    row = next(networks(Conditions(CPU, True, time.monotonic() + 60)))
    assert [row[key] for key in ("network", "layout", "precision")] == ["quick", "channels_last_3d", "bfloat16"]
    assert row["same class"] > 0.98
    assert 0 < row["distance"] < 0.05
    assert row["forward s"] > 0
    assert row["step s"] > 0


def test_the_traffic_of_a_layer_is_its_input_its_weights_and_its_output() -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 1, bias=False), nn.ReLU())
    images = torch.zeros(1, 1, 2, 2, 2)
    assert least_traffic(network, images, torch.float32) == 4 * ((8 + 2 + 16) + (16 + 16))


def test_goals_are_judged_where_there_are_figures() -> None:
    scored = Found(rows=[{"network": "quick", "busy share": None, "bare share": 0.6}])
    trained = Found(rows=[{"device": "cuda"}, {gpu.BELOW: 0.01}])
    judged = [(goal["goal"], goal["met"]) for goal in gpu.goals({"scoring": scored, "training": trained})]
    assert judged == [("bare share, quick", False), (gpu.BELOW, True)]
    assert gpu.goals({}) == []


def test_time_of_small_work_is_one_run_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: 0.02 * len(runs)))
    assert Conditions(CPU, True, 60).seconds_of(lambda: runs.append(1)) == pytest.approx(0.02)
    assert len(runs) == 1


def test_after_its_time_slow_work_is_run_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: 0.02 * len(runs)))
    assert Conditions(CPU, False, 60).seconds_of(lambda: runs.append(1), most=0.05) == pytest.approx(0.02)
    assert len(runs) == 2 + 3


def test_a_measurement_that_is_told_to_end_leaves_its_rows_and_no_process(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    program = (
        "import gpu_parts_of_tests as parts\n"
        "from benchmarks.gpu import parts as gpu_parts, run as gpu\n"
        "gpu_parts.PRELOADED = ('gpu_parts_of_tests',)\n"
        "gpu.machine = parts.machine\n"
        "gpu.PARTS = {'hanging': (parts.hanging, 1.0), 'whole': (parts.whole, 1.0)}\n"
        "gpu.main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", program, "--device", "cpu", "--small", "--seconds", "900", "--out", str(out)]
    script = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 300
        while not out.exists():
            assert time.monotonic() < until
            time.sleep(0.1)
        own = [child for child in psutil.Process(script.pid).children(recursive=True) if child.is_running()]
        script.terminate()
        assert script.wait(120) == 128 + signal.SIGTERM
    finally:
        script.kill()
    parts = json.loads(out.read_text(encoding="utf-8"))["parts"]
    assert parts["hanging"]["rows"] == [{"network": "quick", "forward s": 0.5}]
    assert parts["hanging"]["status"] == "under way"
    assert psutil.wait_procs(own, timeout=120)[1] == []
