"""What a start costs before anything is done: processor seconds, beside `import torch` in the same run.

    python benchmarks/startup.py

`--help` of the command, `report --help`, and a scoring as the server starts it, on a project without a model: it ends
where it would read its first image. Each is run three times in a process of its own, and the least is shown.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np

ROOT = Path(__file__).parents[1]
RUNS = 3
HELP_SECONDS = 0.6
CHILD_RATIO = 1.5


def processor_seconds(command: Sequence[str], environment: Mapping[str, str], ends_with: int = 0) -> float:
    """The least of several runs, children included.

    Raises:
        RuntimeError: it did not end with the exit code that it should.
    """
    found = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != ends_with:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def scoring_environment(studies: Path) -> dict[str, str]:
    """What the host gives to a scoring of a project with one image and no model."""
    image = nibabel.Nifti1Image(np.zeros((24, 20, 16), dtype=np.float32), np.eye(4))
    nibabel.save(image, studies / "image.nii.gz")
    return {
        "MONAI_LABEL_APP_DIR": str(ROOT / "apps" / "activelabel"),
        "MONAI_LABEL_STUDIES": str(studies),
        "MONAI_LABEL_APP_CONF": json.dumps({"labels": "ball"}),
        "ACTIVELABEL_SERVER_PID": str(os.getpid()),
    }


def main() -> None:
    """Measure and print."""
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        torch = processor_seconds([python, "-c", "import torch"], {})
        rows = {
            "import torch": torch,
            "activelabel --help": processor_seconds([python, "-m", "activelabel", "--help"], {}),
            "activelabel report --help": processor_seconds([python, "-m", "activelabel", "report", "--help"], {}),
            "a scoring, before its first image": processor_seconds(
                [python, "-m", "monailabel.interfaces.utils.app", "-m", "scoring", "-r", '{"method": "variance"}'],
                scoring_environment(Path(folder)),
                ends_with=1,  # it says that there is no model yet
            ),
        }
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}, {RUNS} runs each")
    print("| start | processor seconds | of import torch | mark |\n|---|---|---|---|")
    for name, seconds in rows.items():
        mark = f"<= {CHILD_RATIO} of torch" if "scoring" in name else f"<= {HELP_SECONDS} s" if "help" in name else ""
        print(f"| {name} | {seconds:.2f} | {seconds / torch:.2f} | {mark} |")


if __name__ == "__main__":
    main()
