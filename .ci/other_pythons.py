"""Run the tests of all that is below the server on the lowest and on the highest Python, and there with numpy 2 too.

python .ci/other_pythons.py

Each gets an environment of its own (`.venv-3.10`, `.venv-3.12`) of some GB, so `make test` does not do this.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ALIVE = ROOT / ".ci" / "alive.py"
LOWEST, HIGHEST = "python3.10", "python3.12"
TOOLS = ("dcmqi", "pytest", "pytest-timeout", "hypothesis", "playwright", "statsmodels")
NEED_SLICER = ("tests/data/test_slice_places.py",)
"""Tests against Slicer itself, of which there is a wheel for Python 3.11 only."""
FOLDERS = (
    "acquisition", "analysis", "annotation", "data", "exchange", "login", "loop", "networks", "prediction", "project",
    "recipes", "report", "simulation", "store", "strategies", "training",
)  # fmt: skip
WITHOUT_THE_HOST = (
    "acquisition", "analysis", "annotation", "data", "exchange", "login", "loop", "networks", "prediction", "recipes",
    "store", "strategies", "training",
)  # fmt: skip
"""Numpy 2 excludes the host, of which the tests of the other folders use something."""


def main() -> int:
    """Run all; the exit code of the first that failed."""
    for python in (LOWEST, HIGHEST):
        if shutil.which(python) is None:
            sys.stderr.write(f"{python}: not found on the PATH: install it first\n")
            return 2
        code = _install(python, "--editable", str(ROOT), *TOOLS) or _test(python, FOLDERS)
        if code:
            return code
    return _install(HIGHEST, "numpy>=2", "--no-deps", "--upgrade") or _test(HIGHEST, WITHOUT_THE_HOST)


def _environment(python: str) -> Path:
    folder = ROOT / f".venv-{python.removeprefix('python')}"
    if not (folder / "bin" / "python").exists():
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
    return folder / "bin" / "python"


def _install(python: str, *what: str) -> int:
    inside = str(_environment(python))
    command = [inside, "-m", "pip", "install", "--progress-bar", "off", *what]
    return subprocess.run([sys.executable, str(ALIVE), *command], check=False).returncode


def _has_slicer(python: str) -> bool:
    return subprocess.run([str(_environment(python)), "-c", "import slicer, vtk"], capture_output=True).returncode == 0


def _test(python: str, folders: "tuple[str, ...]") -> int:
    left_out = () if _has_slicer(python) else NEED_SLICER
    for file in left_out:
        sys.stderr.write(f"{file}: left out, as Slicer cannot be imported on {python}\n")
    where = [*(f"tests/{folder}" for folder in folders), *(f"--ignore={file}" for file in left_out)]
    command = [str(_environment(python)), "-m", "pytest", "-q", *where]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
