"""The state of a training in a file: it comes back as it was written, and no damaged or other one is used."""

import logging
from pathlib import Path

import pytest
import torch

from activelabel.training.engine.epochs_file import EpochsFile

STATE = {"network": {"weight": torch.arange(60.0)}, "progress": {"epoch": 3}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "resume" / "epochs.pt"
    EpochsFile(path, "a").write(STATE)
    return path


def test_a_state_comes_back_as_it_was_written(file: Path) -> None:
    state = EpochsFile(file, "a").read()
    assert state is not None
    assert torch.equal(state["network"]["weight"], STATE["network"]["weight"])
    assert state["progress"] == STATE["progress"]


def test_without_a_file_there_is_no_state(tmp_path: Path) -> None:
    assert EpochsFile(tmp_path / "epochs.pt", "a").read() is None


def test_the_state_of_another_training_is_not_used_and_the_log_says_so(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "activelabel"):
        assert EpochsFile(file, "b").read() is None
    (line,) = [record.message for record in caplog.records]
    assert "begins anew" in line
    assert "another training" in line


@pytest.mark.parametrize("damage", ["empty", "cut", "one bit"])
def test_a_damaged_file_is_one_line_in_the_log(file: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes({"empty": b"", "cut": bytes(raw[:-100]), "one bit": bytes(raw)}[damage])

    with caplog.at_level(logging.INFO, "activelabel"):
        assert EpochsFile(file, "a").read() is None

    (line,) = [record.message for record in caplog.records]
    assert "begins anew" in line
    assert "epochs.pt: the file is damaged" in line
