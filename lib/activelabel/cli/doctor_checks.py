"""Checks of `activelabel doctor`: versions first, then hardware, disk, studies, ledger and model, with advice."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from packaging.specifiers import SpecifierSet

from activelabel.python_version import unfit

# Checks that need torch, MONAI or the host are in `doctor_project`, which is imported only if all versions fit: with a
# wrong version its import may fail, and the version is to be reported first.

PINS: Mapping[str, str] = {
    "monailabel": "==0.8.5",
    "monai": ">=1.6.1,<1.7",
    "pytorch-ignite": ">=0.4.12",
    "numpy": "<2",
    "pydicom": ">=2.4,<3",
    "pynetdicom": ">=2.0.2,<3",
    "dicomweb-client": ">=0.59.1,<0.60",
}
"""Required versions; with others the host cannot be imported, or answers every inference with an error."""


@dataclass(frozen=True)
class Finding:
    """The result of one check. `advice` says what to do if the subject is not `fit`."""

    subject: str
    fit: bool
    text: str
    advice: str = ""


def examine(app_dir: str, studies: str, conf: Mapping[str, str]) -> Iterator[Finding]:
    """Check everything that a server on these studies needs, in the order in which it would fail."""
    fit = True
    for finding in _environment(sys.version_info[:3]):
        fit = fit and finding.fit
        yield finding
    if not fit:
        yield Finding("the rest", False, "not looked at", "mend the versions first: without them nothing else can run")
        return
    from activelabel.cli.doctor_project import examine_project

    yield from examine_project(app_dir, studies, conf)


def unfit_version() -> str:
    """The first version that does not fit, with advice, in one line; empty if all versions fit."""
    for finding in _environment(sys.version_info[:3]):
        if not finding.fit:
            return f"{finding.subject} {finding.text} does not fit: {finding.advice}"
    return ""


def _environment(python: tuple[int, int, int]) -> Iterator[Finding]:
    shown = ".".join(map(str, python))
    yield Finding("Python", not unfit(python), shown, unfit(python))
    for package, wanted in PINS.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "missing"
        fit = found != "missing" and SpecifierSet(wanted).contains(found)
        yield Finding(package, fit, found, f"pip install '{package}{wanted}'")
