"""`activelabel simulate` as a user calls it: in its own process and through a real server, killed and resumed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from ports import free_port
from running_server import RunningServer
from simulated_runs import tables
from slowed_down import slowed_down

pytestmark = pytest.mark.e2e

TINY = Path(__file__).parents[1] / "support" / "tiny.toml"
CASES = 12
STRATEGY, START, QUERY_SIZE, ROUNDS = "power_entropy", 3, 2, 2
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""So that sums are added up in the same order here and in the children of a server."""


class Simulation:
    """One experiment on tiny images, run by the command line."""

    def __init__(self, cases: Any, out: Path, test_cases: int = 3) -> None:
        self.out = out
        self._command = [
            Path(sys.executable).with_name("activelabel"), "simulate", "--images", cases.studies,
            "--labels", cases.labels, "--label-names", "ball", "--recipe", TINY, "--strategy", STRATEGY,
            "--seeds", "1", "--rounds", str(ROUNDS), "--start", str(START), "--query-size", str(QUERY_SIZE),
            "--test", str(test_cases), "--conf", "device=cpu", "--conf", "precision=float32", "--out", out,
        ]  # fmt: skip

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Run the experiment to its end."""
        command = [str(part) for part in (*self._command, *more)]
        environment = {**os.environ, **ONE_THREAD}
        return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=500, check=False)

    def run_and_kill(self, asked: int, *more: str) -> None:
        """Start the experiment, and kill -9 it when it has asked so many queries. Its children must then end too.

        Before the last of them it is slowed down, so that on a fast machine too it does not end before.
        """
        command = [str(part) for part in (*self._command, *more)]
        process = subprocess.Popen(
            command,
            env={**os.environ, **ONE_THREAD},
        )
        self._wait(process, asked - 1)
        with slowed_down(psutil.Process(process.pid)):
            self._wait(process, asked)
            started = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            assert process.wait() != 0, "it ended before it could be killed"
        assert not psutil.wait_procs(started, timeout=60)[1]

    def _wait(self, process: "subprocess.Popen[bytes]", asked: int) -> None:
        end = time.monotonic() + 400
        while self._asked() < asked:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < end
            time.sleep(0.02)

    def _asked(self) -> int:
        """How many queries are recorded."""
        file = self.out / "runs" / STRATEGY / "0" / "queries.parquet"
        return len(pd.read_parquet(file)) if file.is_file() else 0


@pytest.mark.timeout(1200)
def test_a_run_through_a_server_asks_the_same_queries_as_one_in_process(
    blobs: Callable[[int], Any], tmp_path: Path, make_server: Callable[..., RunningServer]
) -> None:
    cases = blobs(CASES)
    in_process = Simulation(cases, tmp_path / "in-process")
    in_process.run_and_kill(START + 3)
    played = in_process.run()
    assert played.returncode == 0, played.stderr
    assert f"{ROUNDS + 1} models of 1 runs" in played.stdout

    remote = Simulation(cases, tmp_path / "remote")
    nobody = remote.run("--server", f"http://127.0.0.1:{free_port()}")
    assert nobody.returncode == 2
    assert "nobody answers there" in nobody.stderr
    conf = {
        "recipe": TINY,
        "labels": "ball",
        "device": "cpu",
        "precision": "float32",
        "start": START,
        "query_size": QUERY_SIZE,
        "links_out_of_studies": "true",
    }
    server = make_server(remote.out / "pool", ONE_THREAD, **conf, strategy=STRATEGY).start()
    address = ["--server", server.address]
    remote.run_and_kill(START + 3, *address)
    through_server = remote.run(*address)
    assert through_server.returncode == 0, through_server.stderr
    check_no_other_experiment(server, Simulation(cases, tmp_path / "other", test_cases=2))
    assert server.stop() == 0

    ours, theirs = (tables(out, STRATEGY) for out in (in_process.out, remote.out))
    assert ours["queries"].drop(columns="score").equals(theirs["queries"].drop(columns="score"))
    assert ours["metrics"].equals(theirs["metrics"])


def check_no_other_experiment(server: RunningServer, other: Simulation) -> None:
    """Check that an experiment with other cases is refused by a server that was not started for it."""
    before = server.progress()
    refused = other.run("--server", server.address)
    assert refused.returncode == 2
    assert "expected the 10 that are not set aside to test: start it with --studies" in " ".join(refused.stderr.split())
    assert server.progress() == before
