"""Is everything fit: the versions first, then hardware, disk, studies, ledger and model; and what to do if not."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from packaging.specifiers import SpecifierSet

# What needs torch, MONAI or the host is in `doctor_project`, which is imported when the versions fit: where one does
# not, it cannot be imported, and that is to be said first.

PINS: Mapping[str, str] = {
    "monailabel": "==0.8.5",
    "monai": ">=1.6.1,<1.7",
    "numpy": "<2",
    "pydicom": ">=2.4,<3",
    "pynetdicom": ">=2.0.2,<3",
    "dicomweb-client": ">=0.59.1,<0.60",
}
"""Versions without which the host cannot be imported, or answers every inference with an error."""

IGNITE_FOR_EARLY_PYTHON = ">=0.4.12"
"""What MONAI asks for, 0.4.11, cannot be imported on Python 3.11.2 and was seen to work on 3.11.7."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `advice` says what to do where it is not `fit`."""

    subject: str
    fit: bool
    text: str
    advice: str = ""


def examine(app_dir: str, studies: str, conf: Mapping[str, str]) -> Iterator[Finding]:
    """Look at everything that a server on these studies needs, in the order in which it would fail."""
    fit = True
    for finding in _environment(sys.version_info[:3]):
        fit = fit and finding.fit
        yield finding
    if not fit:
        yield Finding("the rest", False, "not looked at", "mend the versions first: without them nothing else can run")
        return
    from activelabel.cli.doctor_project import examine_project

    yield from examine_project(app_dir, studies, conf)


def pins(python: tuple[int, int, int]) -> dict[str, str]:
    """The versions that a Python of that version needs."""
    needs_newer_ignite = python < (3, 11, 7)
    return {**PINS, **({"pytorch-ignite": IGNITE_FOR_EARLY_PYTHON} if needs_newer_ignite else {})}


def _environment(python: tuple[int, int, int]) -> Iterator[Finding]:
    shown = ".".join(map(str, python))
    yield Finding("Python", python[:2] == (3, 11), shown, "use Python 3.11: the pins were made for it")
    for package, wanted in pins(python).items():
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "missing"
        fit = found != "missing" and SpecifierSet(wanted).contains(found)
        # MONAI names one version of ignite, so that pip must be told to pass that over.
        options = "--no-deps " if package == "pytorch-ignite" else ""
        yield Finding(package, fit, found, f"pip install {options}'{package}{wanted}'")
