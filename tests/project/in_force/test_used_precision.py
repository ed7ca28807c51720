"""What is said of the precision, beside what a prediction and a training really take from the same file."""

from pathlib import Path

import pytest
import torch
from torch import nn

from activelabel.prediction.devices import precision
from activelabel.prediction.devices.choice import Choice, Measure, measured_choice
from activelabel.prediction.devices.fastest_copy import BATCH, fastest_copy, measured_copy
from activelabel.project.in_force.used_precision import used_precision
from activelabel.recipes import load_recipe

GPU = torch.device("cuda")
RECIPE = load_recipe("quick")
FLOAT32, BFLOAT16 = torch.float32, torch.bfloat16


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of choices, on a machine that seems to have a GPU which multiplies bfloat16."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Card 9000")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (8, 0))
    return tmp_path / "layouts.json"


def faster(dtype: str) -> Measure:
    """A measurement in which a precision is the fastest."""
    return lambda way: 1.0 if way.precision == dtype else 2.0


def measure(work: str, dtype: str, file: Path) -> Choice:
    settings = RECIPE.training
    batch = settings.batch_size * settings.patches_per_volume
    shape = {"pass": (BATCH, 1, *RECIPE.prediction.window_size), "step": (batch, 1, *settings.patch_size)}[work]
    return measured_choice(work, nn.Conv3d(1, 2, 3), shape, [BFLOAT16, FLOAT32], GPU, file, faster(dtype))  # type: ignore[arg-type]


def test_before_the_first_use_the_native_precision_is_only_expected(file: Path) -> None:
    assert used_precision("auto", GPU, RECIPE, file) == (
        "bfloat16 (Card 9000 multiplies it natively; the first use measures whether float32 is faster)"
    )


def test_what_was_measured_is_said_of_predictions_and_of_trainings(file: Path) -> None:
    measure("pass", "float32", file)
    measured = "it is the fastest for this network here"
    expected = "bfloat16 (Card 9000 multiplies it natively; the first use measures whether float32 is faster)"
    assert used_precision("auto", GPU, RECIPE, file) == f"predictions: float32 ({measured}); trainings: {expected}"
    measure("step", "bfloat16", file)
    assert used_precision("auto", GPU, RECIPE, file) == (
        f"predictions: float32 ({measured}); trainings: bfloat16 ({measured})"
    )
    measure("step", "float32", file)  # kept: it is not measured again
    file.unlink()
    measure("pass", "bfloat16", file)
    measure("step", "bfloat16", file)
    assert used_precision("auto", GPU, RECIPE, file) == f"bfloat16 ({measured})"


def test_a_prediction_really_takes_what_is_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, "to", lambda self, *args, **options: self)  # there is no such GPU here
    item = (1, *RECIPE.prediction.window_size)
    _, taken = measured_copy(nn.Conv3d(1, 2, 3), GPU, "auto", item, file, faster("float32"))
    assert used_precision("auto", GPU, RECIPE, file).startswith(f"predictions: {taken};")
    assert taken.dtype is FLOAT32


def test_a_measurement_for_other_sizes_or_another_gpu_says_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured_choice("pass", nn.Conv3d(1, 2, 3), (8, 1, 4, 4, 4), [BFLOAT16, FLOAT32], GPU, file, faster("float32"))
    measure("pass", "float32", file)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Card 1")
    assert used_precision("auto", GPU, RECIPE, file).startswith("bfloat16 (Card 1")


def test_a_gpu_without_bfloat16_trains_in_half_precision(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 0))
    said = used_precision("auto", GPU, RECIPE, file)
    assert said.startswith("predictions: float32 (Card 9000 has no native bfloat16); trainings: float16 (")


def test_what_was_measured_on_a_processor_is_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(precision, "cpu_flags", lambda: {"amx_bf16"})
    expected = "bfloat16 (this CPU has amx_bf16; the first use measures whether float32 is faster)"
    assert used_precision("auto", cpu, RECIPE, file) == expected
    item = (1, *RECIPE.prediction.window_size)
    _, taken = fastest_copy(nn.Conv3d(1, 2, 3), cpu, "auto", item, file, faster("float32"))
    assert used_precision("auto", cpu, RECIPE, file) == f"predictions: {taken}; trainings: {expected}"
    assert taken.dtype is FLOAT32


def test_a_precision_that_was_asked_for_and_a_cpu_without_bfloat16_are_not_measured(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert used_precision("float32", GPU, RECIPE, file) == "float32 (as requested)"
    monkeypatch.setattr(precision, "cpu_flags", set)
    assert used_precision("auto", torch.device("cpu"), RECIPE, file) == (
        "float32 (this CPU has none of amx_bf16, avx512_bf16)"
    )
