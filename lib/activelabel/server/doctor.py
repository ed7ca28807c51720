"""Is everything fit: environment, hardware, disk, studies, ledger and model; and what to do if not."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from packaging.specifiers import SpecifierSet

from activelabel.data.dicom_seg import CONVERTER, find_converter
from activelabel.data.file_names import ENDINGS
from activelabel.data.labels import check_label
from activelabel.data.studies_folder import LEDGER_FILE, find_images, find_labels, lines_on
from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import ActiveLabelError
from activelabel.prediction.precision import choose_precision
from activelabel.server.listing import labelled, listed_files
from activelabel.server.project import Project, plan_project
from activelabel.server.studies import is_pacs
from activelabel.store.records import FINAL
from activelabel.training.checkpoints import load_model

PINS: Mapping[str, str] = {
    "monailabel": "==0.8.5",
    "monai": ">=1.5.2,<1.6",
    "numpy": "<2",
    "pydicom": ">=2.4,<3",
    "pynetdicom": ">=2.0.2,<3",
    "dicomweb-client": ">=0.59.1,<0.60",
}
"""Versions without which the host cannot be imported, or answers every inference with an error."""

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
    yield from _environment()
    yield _device()
    yield _disk(Path(studies))
    if is_pacs(studies):
        yield _pacs(studies)
    else:
        yield from _images(Path(studies))
    try:
        project = plan_project(app_dir, studies, conf)
        yield Finding("settings", True, f"recipe {project.recipe.name}, labels {', '.join(project.labels)}")
        if not is_pacs(studies) and Path(studies).is_dir():
            yield from _labels(Path(studies), project.labels)
        if not project.settings.database_url and not (project.folder / LEDGER_FILE).is_file():
            yield Finding("ledger", True, "none yet: the first start makes it")
            return
        yield _ledger(project)
        yield _model(project)
    except ActiveLabelError as error:
        yield Finding("settings and ledger", False, str(error), "mend what the line names")


def _environment() -> Iterator[Finding]:
    yield Finding(
        "Python", sys.version_info[:2] == (3, 11), sys.version.split()[0], "use Python 3.11: the pins were made for it"
    )
    for package, wanted in PINS.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "missing"
        fit = found != "missing" and SpecifierSet(wanted).contains(found)
        yield Finding(package, fit, found, f"pip install '{package}{wanted}'")
    try:
        yield Finding(CONVERTER, True, find_converter())
    except ActiveLabelError as error:
        yield Finding(CONVERTER, False, str(error), "needed for labels in a PACS only")


def _device() -> Finding:
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
    if not studies.is_dir():
        yield Finding("studies", False, f"{studies} is no folder", "give the folder that holds the images")
        return
    images = find_images(studies, listed_files(studies))
    broken = []
    for image_id in images.files:
        try:
            read_volume(images.path(image_id))
        except ActiveLabelError as error:
            broken.append(Finding("image", False, str(error), "mend or remove it; until then it is passed over"))
    yield Finding(
        "studies",
        len(images.files) > len(broken),
        f"{len(images.files) - len(broken)} of {len(images.files)} images can be read",
        f"put 3D images ({', '.join(ENDINGS)}) into the folder",
    )
    yield from (Finding("files", True, line) for line in images.lines())
    yield from broken


def _labels(studies: Path, names: Sequence[str]) -> Iterator[Finding]:
    """Label files that a server would find: whose they are, and which could not be used."""
    images = find_images(studies, listed_files(studies))
    found = find_labels(studies / "labels" / FINAL, images.files)
    refused = {}
    for image_id, path in found.files.items():
        try:
            check_label(found.path(image_id), read_grid(images.path(image_id)), names)
        except ActiveLabelError as error:
            refused[path] = str(error)
    if found.files:
        yield Finding(
            "labels", True, f"{len(found.files) - len(refused)} of {len(found.files)} label files can be used"
        )
    known = labelled(studies, FINAL)  # what was taken in needs no word
    unused = {path: reason for path, reason in found.unused.items() if found.more.get(path) not in known}
    yield from (Finding("labels", True, line) for line in lines_on(unused))
    advice = "mend or remove it; until then its case is asked for"
    yield from (Finding("label", False, f"labels/{FINAL}/{path}: {reason}", advice) for path, reason in refused.items())


def _pacs(address: str) -> Finding:
    # Here, as the host cannot be imported where its pins are not kept, which is to be said first.
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


def _ledger(project: Project) -> Finding:
    progress = project.ledger.progress()
    return Finding(
        "ledger",
        True,
        f"{project.ledger.shown_url}: {progress.images} images, {progress.annotated} annotated, "
        f"{progress.unreadable} unreadable, {progress.leased} being annotated",
    )


def _model(project: Project) -> Finding:
    model = project.ledger.latest_model()
    if model is None:
        return Finding("model", True, "none yet: it is trained when enough cases are labelled")
    try:
        load_model(project.models_folder / model.file, project.model_description, model.sha256)
    except ActiveLabelError as error:
        return Finding(
            "model", False, str(error), "put the file back, or withdraw the model: DELETE /model/segmentation"
        )
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in model.metrics.items() if value is not None)
    return Finding("model", True, f"version {model.version}, {metrics or 'not validated'}")
