"""The cost of a start before any work: processor seconds, beside `import torch` in the same run.

    python -m benchmarks.startup

`--help` of the command; `report` of a finished experiment of two arms with four seeds, made up; a scoring and a
training as the server starts them, on a project without a model and without labels, which end where they would read
their first image; and the server until it answers, started in the host's own way and in the lean one. Each runs three
times in a process of its own, and the least time is shown.
"""

import json
import os
import platform
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
import psutil
import requests

from benchmarks.machine import cpu_name

ROOT = Path(__file__).parents[1]
RUNS = 3
HELP_SECONDS = 0.6
REPORT_SECONDS = 4.0
CHILD_RATIO = 1.5

EXPERIMENT = """
import sys
from pathlib import Path
from made_up_experiment import make_experiment
make_experiment(Path(sys.argv[1]), {"entropy": lambda r: 0.5 + 0.1 * r, "random_volumes": lambda r: 0.5 + 0.08 * r})
"""


def processor_seconds(command: Sequence[str], environment: Mapping[str, str], ends_with: int = 0) -> float:
    """The least processor seconds of several runs, children included.

    Raises:
        RuntimeError: it did not end with the expected exit code.
    """
    found = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, encoding="utf-8", check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != ends_with:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def scoring_environment(studies: Path) -> dict[str, str]:
    """The environment from the host for a scoring of a project with one image and no model."""
    image = nibabel.Nifti1Image(np.zeros((24, 20, 16), dtype=np.float32), np.eye(4))
    nibabel.save(image, studies / "image.nii.gz")
    return {
        "MONAI_LABEL_APP_DIR": str(ROOT / "apps" / "activelabel"),
        "MONAI_LABEL_STUDIES": str(studies),
        "MONAI_LABEL_APP_CONF": json.dumps({"labels": "ball"}),
        "ACTIVELABEL_SERVER_PID": str(os.getpid()),
    }


def made_up_experiment(folder: Path) -> Path:
    """A finished experiment, with the tests' own means."""
    support = os.pathsep.join([str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-c", EXPERIMENT, folder], env={**os.environ, "PYTHONPATH": support}, check=True)
    return folder


def start_seconds(module: str, folder: Path) -> float:
    """The processor seconds of a server that is started by `module`, until it answers; the least of several runs."""
    found = []
    for _ in range(RUNS):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        places = ["--app", str(ROOT / "apps" / "activelabel"), "--studies", str(folder), "--host", "127.0.0.1"]
        command = [
            sys.executable,
            "-m",
            module,
            "start_server",
            *places,
            "--port",
            str(port),
            "--conf",
            "labels",
            "ball",
        ]
        server = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not answers(f"http://127.0.0.1:{port}/info/"):
            time.sleep(0.2)
        times = server.cpu_times()
        found.append(times.user + times.system)
        server.terminate()
        server.wait()
    return min(found)


def answers(address: str) -> bool:
    """Whether a server answers there."""
    try:
        return requests.get(address, timeout=60).ok
    except requests.ConnectionError:
        return False


def main() -> None:
    """Measure and print."""
    python = sys.executable
    child = [python, "-m", "monailabel.interfaces.utils.app"]
    with tempfile.TemporaryDirectory() as made:
        studies = Path(made) / "studies"
        studies.mkdir()
        environment = scoring_environment(studies)
        experiment = made_up_experiment(Path(made) / "experiment")
        report = [python, "-m", "activelabel", "report", str(experiment), "--out", str(Path(made) / "report.html")]
        scoring = [*child, "-m", "scoring", "-r", '{"method": "variance"}']
        training = [*child, "-m", "train", "-r", '{"model": "segmentation"}']
        # Commands that end with 1 report that there is no model yet, or nothing to train on.
        rows = {
            "import torch": (processor_seconds([python, "-c", "import torch"], {}), ""),
            "activelabel --help": (
                processor_seconds([python, "-m", "activelabel", "--help"], {}),
                f"<= {HELP_SECONDS} s",
            ),
            "activelabel report, of a finished experiment": (
                processor_seconds(report, {}),
                f"<= {REPORT_SECONDS} s",
            ),
            "a scoring, before its first image": (
                processor_seconds(scoring, environment, ends_with=1),
                f"<= {CHILD_RATIO} of torch",
            ),
            "a training, before its first image": (processor_seconds(training, environment, ends_with=1), ""),
            "the server, monailabel start_server": (start_seconds("monailabel.main", studies), ""),
            "the server, activelabel.server.host_main": (start_seconds("activelabel.server.host_main", studies), ""),
        }
    torch = rows["import torch"][0]
    print(f"{cpu_name()}, {os.cpu_count()} cores, {platform.platform()}, ", end="")
    print(f"Python {platform.python_version()}, {RUNS} runs each")
    print("| start | processor seconds | of import torch | mark |\n|---|---|---|---|")
    for name, (seconds, mark) in rows.items():
        print(f"| {name} | {seconds:.2f} | {seconds / torch:.2f} | {mark} |")


if __name__ == "__main__":
    main()
