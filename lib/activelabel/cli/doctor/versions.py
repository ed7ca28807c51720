"""What `activelabel doctor` checks first: the versions of Python and of packages."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from packaging.specifiers import SpecifierSet

from activelabel.python_version import unfit

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


def unfit_version() -> str:
    """The first version that does not fit, with advice, in one line; empty if all versions fit."""
    for finding in environment_findings(sys.version_info[:3]):
        if not finding.fit:
            return f"{finding.subject} {finding.text} does not fit: {finding.advice}"
    return ""


def environment_findings(python: tuple[int, int, int]) -> Iterator[Finding]:
    """Check a version of Python, and those of the packages that are installed."""
    shown = ".".join(map(str, python))
    yield Finding("Python", not unfit(python), shown, unfit(python))
    for package, wanted in PINS.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "missing"
        fit = found != "missing" and SpecifierSet(wanted).contains(found)
        yield Finding(package, fit, found, f"pip install '{package}{wanted}'")
