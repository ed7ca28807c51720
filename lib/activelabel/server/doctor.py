"""Is everything fit: environment, hardware, disk, studies, ledger and model; and what to do if not."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from packaging.specifiers import SpecifierSet

from activelabel.data.dicom_seg import CONVERTER, find_converter
from activelabel.data.grids import Grid
from activelabel.data.intensities import Intensities, measure_intensities, odd_ones
from activelabel.data.modality import AUTO, named_modality
from activelabel.data.preprocessing import check_prepared_size
from activelabel.data.volumes import NIFTI_SUFFIXES, Volume, read_volume
from activelabel.errors import ActiveLabelError
from activelabel.prediction.precision import choose_precision
from activelabel.server.kept_names import check_names
from activelabel.server.project import Project, plan_project
from activelabel.server.project_modality import declared_or_voted
from activelabel.server.readability import content_sha256, require_same_image
from activelabel.server.studies import is_pacs

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
    looked = _Looked()
    if is_pacs(studies):
        yield _pacs(studies)
    else:
        yield from _images(Path(studies), looked)
    try:
        project = plan_project(app_dir, studies, conf)
        yield Finding("settings", True, f"recipe {project.recipe.name}, labels {', '.join(project.labels)}")
        begun = project.ledger.exists()
        if begun:
            check_names(project.ledger, project.labels)
        yield from _meaning(project, looked, begun)
        if not begun:
            yield Finding("ledger", True, "none yet: the first start makes it")
            return
        yield _ledger(project)
        yield from _cases(project, looked)
        yield _model(project)
    except ActiveLabelError as error:
        yield Finding("settings and ledger", False, str(error), "mend what the line names")


@dataclass
class _Looked:
    """The images that could be read: their grids, what they hold, and what their numbers are like, by file."""

    grids: dict[Path, Grid] = field(default_factory=dict)
    contents: dict[Path, str] = field(default_factory=dict)
    intensities: dict[str, Intensities] = field(default_factory=dict)

    def add(self, path: Path, volume: Volume) -> None:
        self.grids[path], self.contents[path] = volume.grid, content_sha256(volume)
        self.intensities[path.name] = measure_intensities(volume.array)


def _meaning(project: Project, looked: _Looked, begun: bool) -> Iterator[Finding]:
    """What the images of the project are, which differ from the others, and which cannot be resampled."""
    modality = project.modality if begun else None
    if modality is None and not is_pacs(project.studies):
        configured = project.settings.modality
        found = None if configured == AUTO else named_modality(configured, "--conf modality")
        modality = found or declared_or_voted(Path(project.studies), looked.intensities.values())
    if modality is not None:
        yield Finding("modality", True, str(modality))
    for name, said in odd_ones(looked.intensities).items():
        yield Finding("image that differs", True, f"{name}: {said}")
    for path, grid in looked.grids.items():
        try:
            check_prepared_size(grid, project.recipe.preprocessing, path.name)
        except ActiveLabelError as error:
            yield Finding("image", False, str(error), "until then it is passed over")


def _cases(project: Project, looked: _Looked) -> Iterator[Finding]:
    """The annotated cases that cannot be learnt from as they are now, and all that were set aside."""
    from activelabel.server.train_cases import check_case  # Here for the same reason as the PACS below.

    if not is_pacs(project.studies):
        paths = {_image_id(path): path for path in looked.grids}
        for annotation in project.ledger.annotations():
            path = paths.get(annotation.image_id)
            if path is None:
                continue
            try:
                require_same_image(annotation, looked.contents[path])
                check_case(annotation, project, path)
            except ActiveLabelError as error:
                yield Finding("case", False, str(error), "until then nothing is learnt from it")
    for image in project.ledger.images_set_aside():
        reason = str(image.unreadable_reason)
        yield Finding("set aside", True, reason if reason.startswith(image.id) else f"{image.id}: {reason}")


def _image_id(path: Path) -> str:
    ending = next(ending for ending in (".nii.gz", ".nii", ".nrrd", ".mha") if path.name.endswith(ending))
    return path.name.removesuffix(ending)


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


def _images(studies: Path, looked: _Looked) -> Iterator[Finding]:
    if not studies.is_dir():
        yield Finding("studies", False, f"{studies} is no folder", "give the folder that holds the images")
        return
    files = sorted(path for path in studies.iterdir() if path.name.endswith((*NIFTI_SUFFIXES, ".nrrd")))
    broken = []
    for path in files:
        try:
            looked.add(path, read_volume(path))
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
        project.network(model)
    except ActiveLabelError as error:
        return Finding(
            "model", False, str(error), "put the file back, or withdraw the model: DELETE /model/segmentation"
        )
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in model.metrics.items() if value is not None)
    return Finding("model", True, f"version {model.version}, {metrics or 'not validated'}")
