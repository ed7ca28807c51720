"""Is a project fit: hardware, disk, studies, what the images are, ledger, cases and model; and what to do if not."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from activelabel.data.dicom_seg import CONVERTER, find_converter
from activelabel.data.grids import Grid
from activelabel.data.intensities import Intensities, measure_intensities, odd_ones
from activelabel.data.modality import AUTO, named_modality
from activelabel.data.preprocessing import check_prepared_size
from activelabel.data.volumes import NIFTI_SUFFIXES, Volume, read_volume
from activelabel.errors import ActiveLabelError
from activelabel.prediction.precision import choose_precision
from activelabel.server.doctor import Finding
from activelabel.server.kept_names import check_names
from activelabel.server.model_standing import read_standing
from activelabel.server.pacs import Pacs
from activelabel.server.project import Project, plan_project
from activelabel.server.project_modality import declared_or_voted
from activelabel.server.readability import content_sha256, require_same_image
from activelabel.server.serving import check_ledger_is_there
from activelabel.server.studies import is_pacs
from activelabel.server.train_cases import check_case

LOW_DISK_GIB = 5.0


def examine_project(app_dir: str, studies: str, conf: Mapping[str, str]) -> Iterator[Finding]:
    """Look at all that a server on these studies needs beside its versions, in the order in which it would fail."""
    yield _converter()
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
            project.ledger.check()
            check_names(project.ledger, project.labels)
        yield from _meaning(project, looked, begun)
        if not begun:
            check_ledger_is_there(project, studies)
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


def _converter() -> Finding:
    try:
        return Finding(CONVERTER, True, find_converter())
    except ActiveLabelError as error:
        return Finding(CONVERTER, False, str(error), "needed for labels in a PACS only")


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
    model = project.ledger.model_in_use()
    if model is None:
        return Finding("model", True, "none yet: it is trained when enough cases are labelled")
    try:
        project.network(model)
    except ActiveLabelError as error:
        return Finding(
            "model", False, str(error), "put the file back, or choose another with `activelabel models --use N`"
        )
    return Finding("model", True, str(read_standing(project.ledger)))
