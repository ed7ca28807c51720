"""The demonstration in OHIF: the processes that it starts, and that none of them is left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from ports import free_port

pytestmark = pytest.mark.e2e

SCRIPT = Path(__file__).parents[2] / "sample-data" / "serve_pacs.py"
START_SECONDS = 300


@pytest.fixture
def demonstration(blobs: Callable[[int], Any], tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    cases = blobs(3)
    (cases.studies / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "2": "b", "1": "a"}}))
    port = free_port()
    options = {"images": cases.studies, "cases": 2, "folder": tmp_path / "pacs", "port": port, "pacs-port": free_port()}
    command = [sys.executable, str(SCRIPT), *(f"--{name}={value}" for name, value in options.items())]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env={**os.environ, "HOME": str(tmp_path)}, stdout=log, stderr=subprocess.STDOUT
        )
    yield process, f"http://127.0.0.1:{port}"
    if process.poll() is None:
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demonstration_serves_a_pacs_and_leaves_no_process(
    demonstration: tuple[subprocess.Popen[bytes], str], number: signal.Signals, tmp_path: Path
) -> None:
    process, address = demonstration
    info = wait_for_info(process, address, tmp_path / "log")
    assert info["datastore"]["total"] == 2
    assert info["labels"] == ["a", "b"]
    page = requests.get(f"{address}/ohif/monai-label", timeout=60)
    assert "OHIF" in page.text
    assert f"{address}/ohif/" in (tmp_path / "log").read_text(encoding="utf-8")
    started = psutil.Process(process.pid).children(recursive=True)
    assert {"Orthanc"} <= {child.name() for child in started}
    process.send_signal(number)
    assert process.wait(120) == 0
    assert psutil.wait_procs(started, timeout=120)[1] == []


def test_the_demonstration_names_missing_sample_data(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), f"--images={tmp_path}"], capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert done.stderr == (
        f"serve_pacs.py: {tmp_path} holds no .nii.gz: make the sample data first, python sample-data/make_abdomen.py\n"
    )


def wait_for_info(process: subprocess.Popen[bytes], address: str, log: Path) -> dict[str, Any]:
    end = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < end, log.read_text(encoding="utf-8")
        try:
            return dict(requests.get(f"{address}/info/", timeout=60).json())
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.3)
