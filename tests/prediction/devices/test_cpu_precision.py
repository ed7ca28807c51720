"""The precision on a processor: measured where it multiplies bfloat16, and kept by processor and network."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from activelabel.prediction.devices import processor
from activelabel.prediction.devices.choice import Choice, Measure
from activelabel.prediction.devices.cpu_precision import MEASURED, cpu_precision
from activelabel.prediction.devices.layout import channels_last_copy
from activelabel.prediction.predictor import Predictor
from activelabel.training.cpu_layers import with_cpu_layers

SHAPE = (2, 1, 8, 8, 8)
NATIVE = "bfloat16 (this CPU has amx_bf16)"
SetProcessor = Callable[..., None]


@pytest.fixture
def set_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SetProcessor:
    """Says which processor this seems to be."""
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)

    def put(name: str, flags: str, vectors: str = "AVX512", threads: int = 4) -> None:
        file = tmp_path / "cpuinfo"
        file.write_text(f"processor : 0\nmodel name\t: {name}\nflags\t\t: fpu {flags}\n", encoding="utf-8")
        monkeypatch.setattr(processor, "_CPU_FLAGS_FILE", file)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: vectors)
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)

    return put


def in_seconds(bfloat16: float, float32: float) -> Measure:
    """A measurement that finds these."""
    return lambda way: {"bfloat16": bfloat16, "float32": float32}[way.precision]


def never(way: Choice) -> float:
    """A measurement that must not be made."""
    raise AssertionError(f"{way} was measured")


@pytest.mark.parametrize(("bfloat16", "expected"), [(0.5, NATIVE), (0.94, NATIVE), (0.96, "float32"), (1.2, "float32")])
def test_bfloat16_is_taken_if_it_is_faster_by_a_twentieth(
    bfloat16: float, expected: str, set_processor: SetProcessor, tmp_path: Path
) -> None:
    set_processor("Xeon", "amx_bf16 avx512_bf16")
    found = cpu_precision("pass", nn.Conv3d(1, 2, 3), "auto", SHAPE, tmp_path / "c.json", in_seconds(bfloat16, 1.0))
    assert str(found) == (expected if expected == NATIVE else f"float32 ({MEASURED})")


@pytest.mark.parametrize(
    ("flags", "requested", "keeps", "expected"),
    [
        ("avx2 avx512f", "auto", True, "float32 (this CPU has none of amx_bf16, avx512_bf16)"),
        ("amx_bf16", "float32", True, "float32 (as requested)"),
        ("amx_bf16", "bfloat16", True, "bfloat16 (as requested)"),
        ("amx_bf16", "auto", False, NATIVE),
    ],
)
def test_nothing_is_measured_without_bfloat16_nor_by_request_nor_without_a_file(
    flags: str, requested: str, keeps: bool, expected: str, set_processor: SetProcessor, tmp_path: Path
) -> None:
    set_processor("Xeon", flags)
    file = tmp_path / "layouts.json"
    found = cpu_precision("pass", nn.Conv3d(1, 2, 3), requested, SHAPE, file if keeps else None, never)  # type: ignore[arg-type]
    assert str(found) == expected
    assert not file.exists()


def test_what_was_measured_is_kept_by_work_network_and_processor(
    set_processor: SetProcessor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, network = tmp_path / "layouts.json", nn.Conv3d(1, 2, 3)

    def found(measure: Measure, work: str = "pass", network: nn.Module = network) -> str:
        return str(cpu_precision(work, network, "auto", SHAPE, file, measure).dtype)  # type: ignore[arg-type]

    set_processor("Xeon", "amx_bf16 avx512_bf16")
    assert found(in_seconds(2.0, 1.0)) == found(never) == "torch.float32"
    assert found(in_seconds(1.0, 2.0), work="step") == "torch.bfloat16"
    assert found(in_seconds(1.0, 2.0), network=nn.Conv3d(1, 4, 3)) == "torch.bfloat16"
    for others in (
        ("EPYC", "avx512_bf16"),
        ("Xeon", "avx512_bf16"),
        ("Xeon", "amx_bf16 avx512_bf16", "AVX2"),
        ("Xeon", "amx_bf16 avx512_bf16", "AVX512", 1),
    ):
        set_processor(*others)
        assert found(in_seconds(1.0, 2.0)) == "torch.bfloat16"
    set_processor("Xeon", "amx_bf16 avx512_bf16")
    for name in ("DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.setenv(name, "AVX512_CORE_BF16")
        assert found(in_seconds(1.0, 2.0)) == found(never) == "torch.bfloat16"
    assert len(json.loads(file.read_text(encoding="utf-8"))) == 9
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    monkeypatch.delenv("DNNL_MAX_CPU_ISA")
    assert found(never) == "torch.float32"


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, "Xeon, avx512_bf16, AVX512, 4 threads"),
        ({"DNNL_MAX_CPU_ISA": "AVX2"}, "Xeon, avx512_bf16, AVX512, DNNL_MAX_CPU_ISA AVX2, 4 threads"),
        (
            {"DNNL_MAX_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "SSE41"},
            "Xeon, avx512_bf16, AVX512, ONEDNN_MAX_CPU_ISA SSE41, 4 threads",
        ),
    ],
)
def test_the_name_of_a_processor_says_all_that_decides_how_fast_it_is(
    limits: dict[str, str], expected: str, set_processor: SetProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_processor("Xeon", "avx2 avx512_bf16")
    for name, value in limits.items():
        monkeypatch.setenv(name, value)
    assert processor.processor_name() == expected


def network_with_all_layers() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 16, 3, padding=1), nn.InstanceNorm3d(16), nn.Dropout(0.2), nn.PReLU(), nn.Conv3d(16, 2, 1)
    )


@pytest.mark.parametrize("work", ["pass", "step"])
def test_a_real_measurement_gives_one_of_both_and_changes_nothing(
    work: str, set_processor: SetProcessor, tmp_path: Path
) -> None:
    """Which one depends on the machine; bfloat16 works on every one, if slowly."""
    set_processor("Xeon", "amx_bf16")
    file, network = tmp_path / "layouts.json", network_with_all_layers()
    network = with_cpu_layers(network) if work == "step" else channels_last_copy(network, torch.device("cpu"))
    before = {name: values.clone() for name, values in network.state_dict().items()}
    mode, state = network.training, torch.random.get_rng_state()
    found = cpu_precision(work, network, "auto", SHAPE, file)  # type: ignore[arg-type]
    assert [found.dtype is dtype for dtype in (torch.bfloat16, torch.float32)].count(True) == 1
    ((layout, kept),) = json.loads(file.read_text(encoding="utf-8")).values()
    assert (layout, kept) == ("channels_last_3d", str(found.dtype).removeprefix("torch."))
    assert cpu_precision(work, network, "auto", SHAPE, file, never).dtype is found.dtype  # type: ignore[arg-type]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert network.training == mode
    assert all(torch.equal(before[name], values) for name, values in network.state_dict().items())
    assert all(weights.grad is None for weights in network.parameters())


def test_all_predictions_of_a_project_go_the_same_way(set_processor: SetProcessor, tmp_path: Path) -> None:
    set_processor("Xeon", "amx_bf16")
    file, network = tmp_path / "layouts.json", network_with_all_layers()
    first = Predictor(network, (8, 8, 8), 0.25, choices_file=file)
    (key,) = json.loads(file.read_text(encoding="utf-8"))
    other = "float32" if first.precision.dtype is torch.bfloat16 else "bfloat16"
    for precision in (str(first.precision.dtype).removeprefix("torch."), other):
        file.write_text(json.dumps({key: ["channels_last_3d", precision]}), encoding="utf-8")
        again = Predictor(network, (8, 8, 8), 0.25, choices_file=file)
        assert str(again.precision.dtype) == f"torch.{precision}"
