"""Run the tests of all that is below the server on the lowest and on the highest Python, and there with numpy 2 too.

python .ci/other_pythons.py [--core]

Each gets an environment of its own (`.venv-3.10`, `.venv-3.12`) of some GB, so `make test` does not do this. uv fills
them, which shares their files through its cache. pip would take more than twenty minutes: to build one small package,
sam2 of the host, it downloads and unpacks torch once more, and that each time it looks at it.

With `--core` no test is run: each Python that is here gets an environment of numpy and what tests need
(`.venv-core-3.10`, `.venv-core-3.12`), within seconds. `make test` runs the tests of the core in them.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOWEST, HIGHEST = "python3.10", "python3.12"
TOOLS = ("dcmqi", "pytest", "pytest-timeout", "hypothesis", "playwright", "statsmodels")
CORE_TOOLS = ("typing-extensions", "pytest", "hypothesis")
NEED_SLICER = ("tests/data/files/test_channels_of_slicer.py", "tests/data/test_slice_places.py")
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
NEED_NUMPY_1 = ("tests/data/dicom_objects/test_seg.py",)
"""Tests that write a SEG by highdicom, whose last version for pydicom 2 uses names that numpy 2 no longer has."""


def main(arguments: "list[str]") -> int:
    """Run all, also after one has failed; the exit code of the first that did."""
    if arguments == ["--core"]:
        return _make_core_environments()
    for python in (LOWEST, HIGHEST):
        if not _environment(python).exists() and _interpreter(python) is None:
            sys.stderr.write(f"{python}: not found on the PATH or among those of pyenv and uv: install it first\n")
            return 2
    what = ("--constraint", "constraints.txt", "--editable", ".[export]", *TOOLS)
    codes = [_install(python, *what) or _test(python, FOLDERS) for python in (LOWEST, HIGHEST)]
    codes.append(
        _install(HIGHEST, "numpy>=2", "--no-deps", "--upgrade") or _test(HIGHEST, WITHOUT_THE_HOST, NEED_NUMPY_1)
    )
    return next((code for code in codes if code), 0)


def _make_core_environments() -> int:
    """Make an environment for each Python that is here; what cannot be made is said, and the tests are left out."""
    for python, numpy in ((LOWEST, "numpy<2"), (HIGHEST, "numpy>=2")):
        found, folder = _interpreter(python), ROOT / f".venv-core-{python.removeprefix('python')}"
        if found is None:
            sys.stderr.write(f"{python}: not found, so the core is not tested on it\n")
        elif _uv("venv", "--quiet", "--clear", "--python", str(found), str(folder)) or _uv(
            "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), numpy, *CORE_TOOLS
        ):
            shutil.rmtree(folder, ignore_errors=True)
            sys.stderr.write(f"{python}: its environment cannot be filled, so the core is not tested on it\n")
    return 0


def _environment(python: str) -> Path:
    """The interpreter of the environment of a Python, which need not exist yet."""
    return ROOT / f".venv-{python.removeprefix('python')}" / "bin" / "python"


def _interpreter(python: str) -> "Path | None":
    """A Python that starts: a name on the PATH may be a shim of pyenv for one that is not chosen."""
    return next(
        (file for file in _places(python) if subprocess.run([file, "-V"], capture_output=True).returncode == 0), None
    )


def _places(python: str) -> Iterator[Path]:
    version = python.removeprefix("python")
    on_path = [Path(folder, python) for folder in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    of_uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local/share/uv/python")
    installed = [*pyenv.glob(f"versions/{version}.*/bin/{python}"), *of_uv.glob(f"cpython-{version}.*/bin/{python}")]
    return (file for file in [*on_path, *installed] if file.is_file())


def _install(python: str, *what: str) -> int:
    """Make the environment if there is none, and install into it."""
    inside = _environment(python)
    if not inside.exists():
        _uv("venv", "--quiet", "--python", str(_interpreter(python)), str(inside.parents[1]))
    return _uv("pip", "install", "--python", str(inside), *what)


def _uv(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "uv", *arguments], cwd=ROOT, check=False).returncode


def _has_slicer(python: str) -> bool:
    return subprocess.run([str(_environment(python)), "-c", "import slicer, vtk"], capture_output=True).returncode == 0


def _test(python: str, folders: "tuple[str, ...]", need_other_numpy: "tuple[str, ...]" = ()) -> int:
    need_slicer = () if _has_slicer(python) else NEED_SLICER
    for file in need_slicer:
        sys.stderr.write(f"{file}: left out, as Slicer cannot be imported on {python}\n")
    for file in need_other_numpy:
        sys.stderr.write(f"{file}: left out, as it needs numpy 1\n")
    left_out = (f"--ignore={file}" for file in (*need_slicer, *need_other_numpy))
    where = [*(f"tests/{folder}" for folder in folders), *left_out]
    command = [str(_environment(python)), "-m", "pytest", "-q", "--continue-on-collection-errors", *where]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
