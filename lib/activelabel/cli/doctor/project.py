"""Checks of `activelabel doctor` on a project: hardware, disk, modality, ledger, cases and model."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from activelabel.cli.doctor.images import Folder, ReadableImages, examine_images, examine_labels, examine_pacs
from activelabel.cli.doctor.parts import parts_of_folder, parts_of_pacs
from activelabel.cli.doctor.versions import Finding
from activelabel.data.files.studies_folder import names_of
from activelabel.data.intensities import (
    NO_HOUNSFIELD,
    odd_channels,
    offset_images,
)
from activelabel.data.labels.label_map import LabelMap
from activelabel.data.labels.label_texts import entries_of
from activelabel.data.modality import AUTO
from activelabel.data.preprocessing import check_prepared_size
from activelabel.errors import ActiveLabelError
from activelabel.loop.training_cases import check_case
from activelabel.prediction.devices.precision import choose_precision
from activelabel.project.given.patients import given_patients
from activelabel.project.labels.kept_names import check_names
from activelabel.project.labels.unsynced import write_lost
from activelabel.project.modality import configured_modality, declared_or_voted
from activelabel.project.models.standing import read_standing
from activelabel.project.opening import plan_project, plan_without_labels
from activelabel.project.project import Project
from activelabel.project.readability import require_same_image
from activelabel.project.serving import check_ledger_is_there
from activelabel.project.studies import is_pacs
from activelabel.server.pacs.client import Series
from activelabel.server.pacs.patients import patients_of

LOW_DISK_GIB = 5.0


def examine_project(app_dir: str, studies: str, conf: Mapping[str, str]) -> Iterator[Finding]:
    """Check everything but versions that a server on these studies needs, in the order in which it would fail.

    Where a folder does not answer, the checks end with a line that names it.
    """
    try:
        yield from _examine(app_dir, studies, conf)
    except OSError as error:
        advice = "does its disk or share answer, and may this user read it? A server would not start"
        place, why = error.filename or studies, error.strerror or error
        yield Finding("studies", False, f"{place} cannot be read ({why})", advice)


def _examine(app_dir: str, studies: str, conf: Mapping[str, str]) -> Iterator[Finding]:
    yield _device(app_dir, studies, conf)
    yield _disk(Path(studies))
    readable = ReadableImages()
    series: list[Series] = []
    if is_pacs(studies):
        yield from examine_pacs(app_dir, studies, conf, series)
    else:
        folder = Folder.of(app_dir, studies, conf)
        yield from examine_images(folder, readable)
    try:
        project = plan_project(app_dir, studies, conf)
        yield Finding("settings", True, f"recipe {project.recipe.name}, labels {', '.join(entries_of(project.labels))}")
        if project.layout.names:
            shown = f"viewers show {project.recipe.shown_channel}"
            yield Finding("channels", True, f"{', '.join(project.recipe.channels)}; {shown}")
        yield from _values(project.labels)
        if not is_pacs(studies) and Path(studies).is_dir():
            yield from examine_labels(folder, project.labels)
        begun = project.ledger.exists()
        if begun:
            project.ledger.check()
            check_names(project.ledger, project.labels)
            write_lost(project.ledger, project.labels_folder)
        if is_pacs(studies):
            info = {one.uid: one.info for one in series}
            yield from parts_of_pacs(project, patients_of(info, given_patients(project.settings)), begun=begun)
        elif Path(studies).is_dir():
            yield from parts_of_folder(project, folder.all_images().files, begun=begun)
        yield from _folder(project.folder)
        yield from _meaning(project, readable, begun)
        if not begun:
            check_ledger_is_there(project, studies)
            yield Finding("ledger", True, "none yet: the first start makes it")
            return
        yield _ledger(project)
        yield from _cases(project, readable)
        yield _model(project)
    except ActiveLabelError as error:
        yield Finding("settings and ledger", False, str(error), "mend what the line names")


def _meaning(project: Project, readable: ReadableImages, begun: bool) -> Iterator[Finding]:
    """Report the modality of the images, images that differ from the others, and images that cannot be resampled."""
    modality = project.modality if begun else None
    if modality is None and not is_pacs(project.studies):
        configured = project.settings.modality
        found = None if configured == AUTO else configured_modality(configured, project.layout)
        modality = found or declared_or_voted(Path(project.studies), readable.intensities.values(), project.layout)
    if modality is not None:
        yield Finding("modality", True, str(modality))
        offset = offset_images(readable.intensities, lambda place: modality.kind_of(place) == "CT")
        if offset:
            count = f"{len(offset)} of {len(readable.intensities)} images ({names_of(offset)})"
            yield Finding(
                "intensities", False, f"{count}: {NO_HOUNSFIELD}", "until then a network sees nothing in them"
            )
    for name, difference in odd_channels(readable.intensities, project.layout.names).items():
        yield Finding("image that differs", True, f"{name}: {difference}")
    for image_id, grid in readable.grids.items():
        try:
            check_prepared_size(grid, project.recipe.preprocessing, readable.files[image_id].name)
        except ActiveLabelError as error:
            yield Finding("image", False, str(error), "until then it is passed over")


def _cases(project: Project, readable: ReadableImages) -> Iterator[Finding]:
    """Report annotated cases that cannot be used for training, and all images that were set aside."""
    if not is_pacs(project.studies):
        for annotation in project.ledger.annotations():
            files = readable.files.get(annotation.image_id)
            if files is None:
                continue
            try:
                require_same_image(annotation, readable.contents[annotation.image_id])
                check_case(annotation, project, files)
            except ActiveLabelError as error:
                yield Finding("case", False, str(error), "until then nothing is learnt from it")
    for image in project.ledger.images_set_aside():
        reason = str(image.unreadable_reason)
        yield Finding("set aside", True, reason if reason.startswith(image.id) else f"{image.id}: {reason}")


def _device(app_dir: str, studies: str, conf: Mapping[str, str]) -> Finding:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        project = plan_without_labels(app_dir, studies, conf)
        device, precision = project.device, project.precision
    except ActiveLabelError:  # a later check reports wrong settings
        precision = str(choose_precision("auto", device))
    threads = f"{torch.get_num_threads()} threads{'' if torch.cuda.is_available() else ', no CUDA GPU'}"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else threads
    return Finding("networks run on", True, f"{device.type} ({name}), {precision}")


def _disk(studies: Path) -> Finding:
    folder = studies if studies.is_dir() else Path.cwd()
    free = shutil.disk_usage(folder).free / 2**30
    return Finding(
        "disk", free >= LOW_DISK_GIB, f"{free:.0f} GiB free at {folder}", f"free {LOW_DISK_GIB:.0f} GiB or more"
    )


def _folder(folder: Path) -> Iterator[Finding]:
    """Report a project folder that cannot be made or written, as on a disk for images that is read-only."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        text = f"{folder} cannot be {'written' if there == folder else 'made'}"
        yield Finding("project folder", False, text, "mend that, or name another with --conf project_dir")


def _values(labels: LabelMap) -> Iterator[Finding]:
    """Report how structures that overlap are drawn, and values that 3D Slicer cannot show."""
    if labels.overlaps:
        drawn = ", ".join(f"{labels[structure]} with {value}" for structure, value in labels.painting)
        yield Finding("structures", True, f"they overlap, so each is learnt by itself; painted in this order: {drawn}")
    if list(labels.shown_names.values()) != list(range(1, labels.highest + 1)):
        yield Finding(
            "values",
            True,
            f"up to {labels.highest}, with gaps: 3D Slicer names values by their position, so it loses some of them",
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
