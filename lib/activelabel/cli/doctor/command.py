"""Checks of `activelabel doctor`: versions first, then hardware, disk, studies, ledger and model, with advice."""

import sys
from collections.abc import Iterator, Mapping

from activelabel.cli.doctor.versions import Finding, environment_findings


def examine(app_dir: str, studies: str, conf: Mapping[str, str]) -> Iterator[Finding]:
    """Check everything that a server on these studies needs, in the order in which it would fail."""
    fit = True
    for finding in environment_findings(sys.version_info[:3]):
        fit = fit and finding.fit
        yield finding
    if not fit:
        yield Finding("the rest", False, "not looked at", "mend the versions first: without them nothing else can run")
        return
    # It needs torch, MONAI and the host: with a wrong version its import may fail, and the version is to be told first.
    from activelabel.cli.doctor.project import examine_project

    yield from examine_project(app_dir, studies, conf)
