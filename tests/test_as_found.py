"""What a test does to its process is undone before the next one."""

import logging
import os
import posix
import random
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from as_found import SEED, left_as_found
from sqlalchemy import text

from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger


def test_what_a_test_changes_of_its_process_is_put_back(tmp_path: Path) -> None:
    known, folder, paths = logging.getLogger("activelabel"), os.getcwd(), list(sys.path)

    def state() -> tuple[object, ...]:
        loggers = [(one.level, one.propagate, one.disabled, list(one.handlers)) for one in (known, logging.root)]
        return *loggers, dict(os.environ)

    known.addHandler(logging.NullHandler())
    before = state()
    handler = signal.getsignal(signal.SIGTERM)
    with left_as_found():
        known.setLevel("ERROR")
        known.propagate = False
        known.disabled = True
        known.handlers.clear()
        logging.root.addHandler(logging.NullHandler())
        logging.root.setLevel("DEBUG")
        logging.getLogger("activelabel.made_in_a_test").setLevel("DEBUG")
        logging.disable()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.environ["OF_A_TEST"] = "1"
        del os.environ["PATH"]
        os.environ["HOME"] = "/nowhere"
        os.chdir(tmp_path)
        sys.path.insert(0, str(tmp_path))
    assert state() == before
    assert logging.getLogger("activelabel.made_in_a_test").level == logging.NOTSET
    assert logging.root.manager.disable == 0
    assert signal.getsignal(signal.SIGTERM) is handler
    assert os.getcwd() == folder
    assert sys.path == paths


def test_what_is_drawn_by_chance_does_not_depend_on_the_tests_before() -> None:
    def drawn() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    with left_as_found():
        first = drawn()
    drawn()
    with left_as_found():
        assert drawn() == first


@pytest.mark.parametrize(("is_initialized", "seeds"), [(False, []), (True, [SEED])])
def test_what_a_gpu_draws_does_not_depend_on_the_tests_before(
    is_initialized: bool, seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be no GPU here; where there is one, it is not initialised for tests that do without it."""
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: is_initialized)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    with left_as_found():
        assert seeded == seeds


def test_a_failing_test_is_undone_too() -> None:
    def fail() -> None:
        with left_as_found():
            logging.root.setLevel("DEBUG")
            raise RuntimeError

    level = logging.root.level
    with pytest.raises(RuntimeError):
        fail()
    assert logging.root.level == level


def test_a_test_waits_for_no_disk(tmp_path: Path) -> None:
    assert os.fsync is not posix.fsync
    with (tmp_path / "file").open("wb") as file:
        os.fsync(file.fileno())
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fsync(10**6)
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    with ledger._writing() as session:
        assert session.scalar(text("PRAGMA synchronous")) == 0  # OFF
    ledger.close()
