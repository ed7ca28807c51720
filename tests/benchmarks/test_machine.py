"""What benchmarks say of the processor in their first line."""

from pathlib import Path

import pytest

from benchmarks import machine


@pytest.mark.parametrize(
    ("flags", "native"),
    [
        ("fpu avx2", "none"),
        ("fpu avx512f avx512_bf16", "avx512_bf16"),
        ("avx512_bf16 fpu amx_bf16 amx_tile", "amx_bf16 avx512_bf16"),
        ("fpu avx512_bf16_like", "none"),
    ],
)
def test_the_processor_is_named_with_its_instructions_for_bfloat16(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, native: str
) -> None:
    file = tmp_path / "cpuinfo"
    listed = "processor\t: {}\nmodel name\t: Xeon: {}\nvmx flags\t: amx_bf16\nflags\t\t: {}\n"
    file.write_text(listed.format(0, "first", flags) + listed.format(1, "second", "fpu"), encoding="utf-8")
    monkeypatch.setattr(machine, "_CPU_FILE", file)
    assert machine.cpu_name() == f"Xeon: first (bfloat16: {native})"


def test_where_nothing_is_listed_the_processor_has_a_name_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "_CPU_FILE", tmp_path / "none")
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "arm64")
    assert machine.cpu_name() == "arm64 (bfloat16: unknown)"
