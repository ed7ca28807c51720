"""The precision that is chosen from the flags of a processor."""

from pathlib import Path

import pytest
import torch

from activelabel.prediction.devices import processor
from activelabel.prediction.devices.precision import choose_precision

CPU = torch.device("cpu")


@pytest.fixture
def cpu_flags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(processor, "_CPU_FLAGS_FILE", file)
    for limit in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(limit, raising=False)
    return file


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_auto_takes_bfloat16_where_the_cpu_has_it_and_says_why(cpu_flags: Path, flag: str) -> None:
    cpu_flags.write_text(f"processor : 0\nflags\t\t: fpu avx512f {flag} sse\nbugs : none\n", encoding="utf-8")
    chosen = choose_precision("auto", CPU)
    assert chosen.dtype == torch.bfloat16
    assert str(chosen) == f"bfloat16 (this CPU has {flag})"


def test_auto_takes_float32_elsewhere_and_says_why(cpu_flags: Path) -> None:
    cpu_flags.write_text("flags : fpu avx512f avx512_bf16_like\n", encoding="utf-8")
    assert str(choose_precision("auto", CPU)) == "float32 (this CPU has none of amx_bf16, avx512_bf16)"
    cpu_flags.unlink()
    assert choose_precision("auto", CPU).dtype == torch.float32


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_an_explicit_precision_is_used(cpu_flags: Path, name: str) -> None:
    assert str(choose_precision(name, CPU)) == f"{name} (as requested)"


@pytest.mark.parametrize(
    ("flags", "vectors", "expected"),
    [
        ("avx2", "AVX2", (False, False, False)),
        ("avx2 avx512f", "AVX512", (True, False, False)),
        ("avx2 avx512f avx512_bf16", "AVX512", (True, True, False)),
        ("avx2 avx512f avx512_bf16 amx_bf16", "AVX512", (True, True, True)),
        ("avx2 avx512f avx512_bf16 amx_bf16", "AVX2", (False, False, True)),
    ],
)
def test_which_ways_are_fast_follows_from_what_the_cpu_can(
    monkeypatch: pytest.MonkeyPatch, cpu_flags: Path, flags: str, vectors: str, expected: tuple[bool, bool, bool]
) -> None:
    cpu_flags.write_text(f"flags : {flags}\n", encoding="utf-8")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: vectors)
    each = (processor.convolves_each_fast.__wrapped__(dtype) for dtype in (torch.float32, torch.bfloat16))
    assert (*each, processor.multiplies_tiles.__wrapped__()) == expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, False),
        ({"DNNL_MAX_CPU_ISA": "avx2"}, False),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX", "DNNL_MAX_CPU_ISA": "AVX2"}, True),
        ({"ONEDNN_MAX_CPU_ISA": "", "DNNL_MAX_CPU_ISA": "AVX2"}, False),
        ({"ONEDNN_MAX_CPU_ISA": "DEFAULT"}, True),
        ({"ONEDNN_MAX_CPU_ISA": "no such value"}, True),
    ],
)
def test_tiles_are_not_multiplied_where_a_limit_of_onednn_forbids_it(
    monkeypatch: pytest.MonkeyPatch, cpu_flags: Path, limits: dict[str, str], expected: bool
) -> None:
    cpu_flags.write_text("flags : avx2 avx512f avx512_bf16 amx_bf16\n", encoding="utf-8")
    for name, value in limits.items():
        monkeypatch.setenv(name, value)
    assert processor.multiplies_tiles.__wrapped__() is expected


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ((9, 0), "bfloat16 (H multiplies it natively)"),
        ((7, 5), "float32 (H has no native bfloat16)"),
    ],
)
def test_the_precision_on_a_gpu_depends_on_its_generation(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "H")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert str(choose_precision("auto", torch.device("cuda"))) == expected
