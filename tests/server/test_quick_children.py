"""Children of a server that are forked: they are as those that the host starts, and end as these do."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from activelabel.server import quick_children

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")

APP = """
import json, os, random, sys, time
import numpy
from monailabel.config import settings
from activelabel.server.processes import child_method, end_with_server

class MONAILabelApp: ...

class App(MONAILabelApp):
    def __init__(self, app_dir, studies, conf):
        end_with_server()

    def train(self, request):
        ends = {"line": "one line for people", "number": 3, "nothing": None}
        if request["do"] in ends:
            raise SystemExit(ends[request["do"]])
        if request["do"] == "fail":
            raise ValueError("something is wrong")
        if request["do"] == "sleep":
            print("asleep", flush=True)
            time.sleep(600)
        command = open("/proc/self/cmdline").read().strip(chr(0)).split(chr(0))
        return {
            "method": child_method(), "command": command, "mark": os.environ["MARK"], "is_here": "GONE" in os.environ,
            "reload": settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD, "drawn": numpy.random.random(),
        }
"""
SERVER = """
import json, os, subprocess, sys
os.environ.update(MARK="the server's", GONE="the server's")
from monailabel.config import settings
from activelabel.server.processes import end_with_server
from activelabel.server.quick_children import QuickSubprocess, fork_forker

quick = QuickSubprocess(*fork_forker())
end_with_server()

def start(do, method="train"):
    command = [sys.executable, "-m", "monailabel.interfaces.utils.app", "-m", method, "-r", json.dumps({"do": do})]
    environment = {**os.environ, "MARK": "the child's", "MONAI_LABEL_DATASTORE_AUTO_RELOAD": "false"}
    del environment["GONE"]
    return quick.Popen(
        command, stderr=quick.STDOUT, stdout=quick.PIPE, encoding="utf-8", env=environment
    )

def end(do):
    child = start(do)
    printed = child.stdout.read()
    while child.poll() is None: ...
    return {"kind": type(child).__name__, "printed": printed, "code": child.poll()}

def start_sleeping():
    child = start("sleep")
    while "asleep" not in child.stdout.readline(): ...
    return child

"""
ENDS = ("tell", "tell", "line", "number", "nothing", "fail")
ASKED = f"""
import psutil

ends = [end(do) for do in {ENDS}]
first, second = start_sleeping(), start_sleeping()
first.kill()
while first.poll() is None: ...
first.kill()
killed = [first.returncode, second.poll()]
for forker in psutil.Process().children():
    forker.kill()
while second.poll() is None: ...
alone = end("number")
print(json.dumps([ends, killed, second.returncode, alone, type(start("tell", "info")).__name__]), flush=True)
"""


@pytest.fixture(scope="module")
def run_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], tuple[int, Any]]]:
    """Start a process that stands for a server and runs these lines; it answers with one line of JSON."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "main.py").write_text(APP)
    started: list[subprocess.Popen[str]] = []

    def start(lines: str) -> tuple[int, Any]:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER + lines],
            env={**os.environ, "MONAI_LABEL_APP_DIR": str(folder), "MONAI_LABEL_STUDIES": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        started.append(process)
        assert process.stdout is not None
        return process.pid, json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def answers(run_server: Callable[[str], tuple[int, Any]]) -> Any:
    return run_server(ASKED)[1]


def test_a_forked_child_is_and_ends_as_one_that_the_host_starts(answers: Any) -> None:
    ends = answers[0]
    assert {end["kind"] for end in ends} == {"ForkedChild"}
    assert [end["code"] for end in ends] == [0, 0, 1, 3, 0, 1]
    told, again = (json.loads(end["printed"].split("Result: ")[1]) for end in ends[:2])
    command = [sys.executable, "-m", "monailabel.interfaces.utils.app", "-m", "train", "-r", '{"do": "tell"}']
    assert told["command"] == command
    assert (told["method"], told["mark"], told["is_here"], told["reload"]) == ("train", "the child's", False, False)
    assert told["drawn"] != again["drawn"]
    assert ends[2]["printed"].splitlines()[-1] == "one line for people"
    assert ends[5]["printed"].splitlines()[-1] == "ValueError: something is wrong"


def test_a_killed_child_is_seen_to_end_beside_one_that_goes_on(answers: Any) -> None:
    assert answers[1] == [-signal.SIGKILL, None]


def test_where_nobody_forks_children_end_and_the_host_starts_new_ones_itself(answers: Any) -> None:
    _, _, code, alone, another_method = answers
    assert code == -signal.SIGKILL
    assert (alone["kind"], alone["code"]) == ("Popen", 3)
    assert another_method == "Popen"


def test_a_forker_without_descriptors_leaves_its_children_alone_and_the_start_to_the_server(
    run_server: Callable[[str], tuple[int, Any]],
) -> None:
    lines = """
import psutil

child = start_sleeping()
(forker,) = (one for one in psutil.Process().children() if one.pid != child.pid)
open_now = forker.num_fds()
forker.rlimit(psutil.RLIMIT_NOFILE, (open_now, open_now))
alone = end("number")
print(json.dumps([alone["kind"], alone["code"], child.poll(), forker.num_fds() - open_now]), flush=True)
child.kill()
"""
    assert run_server(lines)[1] == ["Popen", 3, None, 0]


@pytest.mark.parametrize(
    ("policy", "threads", "expected"), [("PASSIVE", 1, True), (None, 1, False), ("ACTIVE", 2, False)]
)
def test_children_are_forked_if_no_thread_and_no_wait_of_openmp_stands_against_it(
    policy: str | None, threads: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.active_count", lambda: threads)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if policy is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    assert quick_children._can_fork() is expected


def test_children_end_when_the_server_is_killed(run_server: Callable[[str], tuple[int, Any]]) -> None:
    server, child = run_server("print(start_sleeping().pid, flush=True); input()")
    started = psutil.Process(server).children(recursive=True)
    others = [one.cmdline()[:2] for one in started if one.pid != child]
    assert len(started) == 2
    assert others == [["activelabel", "starts the children of this server"]]
    psutil.Process(server).kill()
    assert not psutil.wait_procs(started, timeout=120)[1]
