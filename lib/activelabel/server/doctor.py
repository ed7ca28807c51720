"""Is everything fit: environment, hardware, disk, studies, ledger and model; and what to do if not."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

from activelabel.errors import ActiveLabelError
from activelabel.server.studies import is_pacs

if TYPE_CHECKING:
    from activelabel.server.project import Project

# What needs torch, MONAI or the host is imported where it is used: where a version does not fit, it cannot be imported,
# and that is to be said first.

PINS: Mapping[str, str] = {
    "monailabel": "==0.8.5",
    "monai": ">=1.5.2,<1.6",
    "numpy": "<2",
    "pydicom": ">=2.4,<3",
    "pynetdicom": ">=2.0.2,<3",
    "dicomweb-client": ">=0.59.1,<0.60",
}
"""Versions without which the host cannot be imported, or answers every inference with an error."""

IGNITE_FOR_EARLY_PYTHON = ">=0.4.12"
"""What MONAI asks for, 0.4.11, cannot be imported on Python 3.11.2 and was seen to work on 3.11.7."""

LOW_DISK_GIB = 5.0


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
    yield _converter()
    yield _device()
    yield _disk(Path(studies))
    if is_pacs(studies):
        yield _pacs(studies)
    else:
        yield from _images(Path(studies))
    yield from _project(app_dir, studies, conf)


def _project(app_dir: str, studies: str, conf: Mapping[str, str]) -> Iterator[Finding]:
    from activelabel.server.project import plan_project
    from activelabel.server.serving import check_ledger_is_there

    try:
        project = plan_project(app_dir, studies, conf)
        yield Finding("settings", True, f"recipe {project.recipe.name}, labels {', '.join(project.labels)}")
        if project.ledger.file is not None and not project.ledger.file.is_file():
            check_ledger_is_there(project, studies)
            yield Finding("ledger", True, "none yet: the first start makes it")
            return
        project.ledger.check()
        yield _ledger(project)
        yield _model(project)
    except ActiveLabelError as error:
        yield Finding("settings and ledger", False, str(error), "mend what the line names")


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


def _converter() -> Finding:
    from activelabel.data.dicom_seg import CONVERTER, find_converter

    try:
        return Finding(CONVERTER, True, find_converter())
    except ActiveLabelError as error:
        return Finding(CONVERTER, False, str(error), "needed for labels in a PACS only")


def _device() -> Finding:
    import torch

    from activelabel.prediction.precision import choose_precision

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads, no CUDA GPU"
    precision = choose_precision("auto", device)
    return Finding("networks run on", True, f"{device.type} ({name}), {precision}")


def _disk(studies: Path) -> Finding:
    folder = studies if studies.is_dir() else Path.cwd()
    free = shutil.disk_usage(folder).free / 2**30
    return Finding(
        "disk", free >= LOW_DISK_GIB, f"{free:.0f} GiB free at {folder}", f"free {LOW_DISK_GIB:.0f} GiB or more"
    )


def _images(studies: Path) -> Iterator[Finding]:
    from activelabel.data.volumes import NIFTI_SUFFIXES, read_volume

    if not studies.is_dir():
        yield Finding("studies", False, f"{studies} is no folder", "give the folder that holds the images")
        return
    files = sorted(path for path in studies.iterdir() if path.name.endswith((*NIFTI_SUFFIXES, ".nrrd")))
    broken = []
    for path in files:
        try:
            read_volume(path)
        except ActiveLabelError as error:
            broken.append(Finding("image", False, str(error), "mend or remove it; until then it is passed over"))
    yield Finding(
        "studies",
        len(files) > len(broken),
        f"{len(files) - len(broken)} of {len(files)} images can be read",
        "put 3D images (.nii.gz, .nii, .nrrd) into the folder itself, not into folders of it",
    )
    yield from broken


def _pacs(address: str) -> Finding:
    from activelabel.server.pacs import Pacs

    try:
        found = len(Pacs(address).images())
    except ActiveLabelError as error:
        return Finding("PACS", False, str(error), "mend what the line names")
    return Finding(
        "PACS",
        found > 0,
        f"{found} series to annotate",
        "send images, or say with MONAI_LABEL_DICOMWEB_SEARCH_FILTER which series are meant: CT by default",
    )


def _ledger(project: "Project") -> Finding:
    progress = project.ledger.progress()
    return Finding(
        "ledger",
        True,
        f"{project.ledger.shown_url}: {progress.images} images, {progress.annotated} annotated, "
        f"{progress.unreadable} unreadable, {progress.leased} being annotated",
    )


def _model(project: "Project") -> Finding:
    from activelabel.server.model_standing import read_standing
    from activelabel.training.checkpoints import load_model

    model = project.ledger.model_in_use()
    if model is None:
        return Finding("model", True, "none yet: it is trained when enough cases are labelled")
    try:
        load_model(project.models_folder / model.file, project.model_description, model.sha256)
    except ActiveLabelError as error:
        return Finding(
            "model", False, str(error), "put the file back, or choose another with `activelabel models --use N`"
        )
    return Finding("model", True, str(read_standing(project.ledger)))
