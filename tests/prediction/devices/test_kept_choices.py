"""What several processes that use one file of choices wait for, and what holds where it cannot be written."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from activelabel.prediction.devices import choice as choice_module
from activelabel.prediction.devices import kept_choices
from activelabel.prediction.devices.choice import Choice, Measure, Work, measured_choice
from activelabel.prediction.devices.kept_choices import while_a_person_waits

CPU, SHAPE, DTYPES = torch.device("cpu"), (2, 1, 8, 8, 8), [torch.bfloat16, torch.float32]
NETWORK = nn.Conv3d(1, 2, 3)
NATIVE, EXACT = Choice("channels_last_3d", "bfloat16"), Choice("channels_last_3d", "float32")


def choose(file: Path, measure: Measure, work: Work = "pass", device: torch.device = CPU) -> Choice:
    return measured_choice(work, NETWORK, SHAPE, DTYPES, device, file, measure, ["channels_last_3d"])


def exact_is_faster(way: Choice) -> float:
    return 1.0 if way == EXACT else 2.0


def never(way: Choice) -> float:
    raise AssertionError(f"{way} was measured")


class Measuring:
    """A measurement by another that goes on until it is told to end; it finds float32 to be faster."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, way: Choice) -> float:
        self.begun.set()
        assert self.may_end.wait(120)
        return exact_is_faster(way)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Measuring]:
    """Another, which measures a pass for `layouts.json`."""
    measuring = Measuring()
    with ThreadPoolExecutor() as pool:
        result = pool.submit(choose, tmp_path / "layouts.json", measuring)
        assert measuring.begun.wait(120)
        yield measuring
        measuring.may_end.set()
        assert result.result(120) == EXACT


def test_what_another_measures_does_not_hold_up_another_choice(other: Measuring, tmp_path: Path) -> None:
    file = tmp_path / "layouts.json"
    with ThreadPoolExecutor() as pool:
        step = pool.submit(choose, file, lambda way: 1.0, "step")
        try:
            assert step.result(60) == EXACT
        finally:
            other.may_end.set()
    assert choose(file, never) == EXACT
    assert len(json.loads(file.read_text(encoding="utf-8"))) == 2  # neither has overwritten the other


def test_a_person_does_not_wait_for_another_to_measure(
    other: Measuring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_choices, "_LONGEST_WAIT_OF_A_PERSON_SECONDS", 0.2)
    file = tmp_path / "layouts.json"
    with while_a_person_waits():
        assert choose(file, never) == NATIVE
    assert not file.exists()
    other.may_end.set()
    assert choose(file, never) == EXACT  # who has time waits for the other, and takes what it has kept


def test_a_person_for_whom_nobody_measures_has_it_measured(tmp_path: Path) -> None:
    with while_a_person_waits():
        assert choose(tmp_path / "layouts.json", exact_is_faster) == EXACT
    assert choose(tmp_path / "layouts.json", never) == EXACT


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A file in a folder in which nothing can be made, not even by root."""
    (tmp_path / "no folder").touch()
    return tmp_path / "no folder" / "layouts.json"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_on_a_processor_nothing_is_measured_for_a_folder_that_cannot_be_written(
    unwritable: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for work in ("pass", "step", "pass"):
        assert choose(unwritable, never, work) == NATIVE  # type: ignore[arg-type]
    (warning,) = warnings(caplog)
    assert warning.startswith(f"{unwritable} cannot be written: ")


def test_on_a_gpu_it_is_measured_once_for_a_folder_that_cannot_be_written(
    unwritable: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice_module, "_device_name", lambda device: "Card 9000")
    gpu = torch.device("cuda")
    assert choose(unwritable, exact_is_faster, device=gpu) == EXACT
    assert choose(unwritable, never, device=gpu) == EXACT
    assert len(warnings(caplog)) == 1


def test_what_a_file_keeps_goes_before_what_this_process_could_not_write(tmp_path: Path) -> None:
    file, lock = tmp_path / "layouts.json", tmp_path / ".layouts.json.lock"
    lock.mkdir()
    assert choose(file, exact_is_faster) == choose(file, never) == EXACT
    assert not file.exists()
    lock.rmdir()
    (key,) = kept_choices._of_this_process[file]
    file.write_text(json.dumps({key: ["channels_last_3d", "bfloat16"]}), encoding="utf-8")
    assert choose(file, never) == NATIVE
