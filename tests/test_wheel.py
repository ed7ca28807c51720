"""The wheel holds all files of the package, with its requirements, under one version."""

import itertools
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from activelabel import __version__
from activelabel.backports import tomllib
from activelabel.cli.doctor.versions import PINS
from activelabel.python_version import HIGHEST, LOWEST

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
MADE = ("__pycache__", "activelabel.egg-info")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from links to the sources, so that no file is written beside them."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in ("README.md", "LICENSE", "pyproject.toml", "setup.py", "clients"):
        (tree / name).symlink_to(ROOT / name)
    (tree / "lib").mkdir()
    (tree / "lib" / "activelabel").symlink_to(ROOT / "lib" / "activelabel")
    subprocess.run([sys.executable, "-c", BUILD, out], cwd=tree, check=True, capture_output=True)
    return zipfile.ZipFile(next(out.glob("*.whl")))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


@pytest.fixture(scope="module")
def project() -> Mapping[str, Any]:
    """The project table of pyproject.toml."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"])


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    lib = ROOT / "lib"
    files = (path for path in lib.rglob("*") if path.is_file() and not set(MADE) & set(path.parts))
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    module = (ROOT / "clients" / "slicer" / "ActiveLabel").rglob("*")
    clients = {path.relative_to(ROOT).as_posix() for path in module if path.is_file() and path.suffix != ".pyc"}
    of_package = {path.relative_to(lib).as_posix() for path in files}
    assert packed == of_package | {f"activelabel/{name}" for name in clients}
    assert "activelabel/clients/slicer/ActiveLabel/ActiveLabel.py" in packed


def test_the_wheel_holds_the_app_of_the_host(wheel: zipfile.ZipFile) -> None:
    assert b"App = app_class()" in wheel.read("activelabel/server/host_app/main.py")


def test_the_wheel_installs_the_command(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "activelabel = activelabel.__main__:main" in wheel.read(name).decode()


def test_the_wheel_requires_all_packages_of_pyproject_and_a_fit_python(
    metadata: Message, project: Mapping[str, Any]
) -> None:
    asked = {str(Requirement(line)) for line in metadata.get_all("Requires-Dist", [])}
    extras = [
        f'{line}; extra == "{extra}"' for extra, lines in project["optional-dependencies"].items() for line in lines
    ]
    assert asked == {str(Requirement(line)) for line in (*project["dependencies"], *extras)}
    fits = SpecifierSet(str(metadata["Requires-Python"]))
    minors = [minor for minor in range(20) if fits.contains(f"3.{minor}.1")]
    assert [(3, minor) for minor in (minors[0], minors[-1])] == [LOWEST, HIGHEST]


def test_the_pins_that_the_doctor_checks_are_those_that_the_wheel_requires(project: Mapping[str, Any]) -> None:
    asked = {Requirement(line).name: Requirement(line).specifier for line in project["dependencies"]}
    assert {name: asked[name] for name in PINS} == {name: SpecifierSet(pin) for name, pin in PINS.items()}


def test_every_required_package_is_pinned_to_its_tested_version(project: Mapping[str, Any]) -> None:
    pinned = [Requirement(line) for line in _lines(ROOT / "constraints.txt")]
    versions = {line.name.lower().replace("_", "-"): next(iter(line.specifier)).version for line in pinned}
    for asked in map(Requirement, project["dependencies"]):
        if asked.marker is None:  # the Python of the tests does not need the others
            assert asked.specifier.contains(versions[asked.name.lower()]), asked


def test_the_wheel_has_one_version_which_the_changelog_describes(metadata: Message) -> None:
    assert metadata["Version"] == __version__
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    headings = [line for line in _lines(ROOT / "CHANGELOG.md", "") if line.startswith("## ")]
    assert headings[0] == "## Unreleased"
    assert headings[1].startswith(f"## {__version__} - ")


def test_every_imported_package_is_required(project: Mapping[str, Any]) -> None:
    """Some packages are imported under another name."""
    imported_as = {
        "PyJWT": "jwt", "argon2-cffi": "argon2", "dicomweb-client": "dicomweb_client", "psycopg": "psycopg",
        "scikit-image": "skimage", "scikit-learn": "sklearn", "typing-extensions": "typing_extensions",
    }  # fmt: skip
    lines = [*project["dependencies"], *itertools.chain.from_iterable(project["optional-dependencies"].values())]
    asked = {imported_as.get(name, name) for name in (Requirement(line).name for line in lines)}
    found = _imports()
    of_the_host = {"anyio", "fastapi", "ignite", "mlflow", "requests", "starlette", "watchdog"}
    assert found - asked - of_the_host == {"markupsafe", "pydantic_core"}, "they come with jinja2 and pydantic"


def _imports() -> set[str]:
    import ast

    names: set[str] = set()
    for path in (ROOT / "lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"activelabel"}


def _lines(file: Path, comment: str = "#") -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not (comment and line.startswith(comment))]
