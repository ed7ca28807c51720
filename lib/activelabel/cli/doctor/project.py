"""Checks of `activelabel doctor` on a project: hardware, disk, studies, modality, ledger, cases and model."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from activelabel.cli.doctor.parts import parts_of_folder, parts_of_pacs
from activelabel.cli.doctor.versions import Finding
from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.labels_folder import find_labels
from activelabel.data.files.names import ENDINGS
from activelabel.data.files.studies_folder import FolderContent, find_images, lines_on, names_of
from activelabel.data.grids import Grid
from activelabel.data.intensities import (
    NO_HOUNSFIELD,
    ChannelIntensities,
    measure_channels,
    odd_channels,
    offset_images,
)
from activelabel.data.label_checking import check_label
from activelabel.data.labels.label_map import LabelMap
from activelabel.data.labels.label_texts import entries_of
from activelabel.data.modality import AUTO
from activelabel.data.patients.given import GivenPatients
from activelabel.data.preprocessing import check_prepared_size
from activelabel.data.volumes import Volume, read_grid, read_volume
from activelabel.errors import ActiveLabelError
from activelabel.loop.training_cases import check_case
from activelabel.prediction.devices.precision import choose_precision
from activelabel.project.folders import project_folder, view_folder
from activelabel.project.given.patients import given_patients
from activelabel.project.labels.kept_names import check_names
from activelabel.project.listing import labelled, listed_files
from activelabel.project.modality import configured_modality, declared_or_voted
from activelabel.project.models.standing import read_standing
from activelabel.project.opening import plan_project, plan_without_labels
from activelabel.project.project import Project
from activelabel.project.readability import content_sha256, require_same_image
from activelabel.project.serving import check_ledger_is_there
from activelabel.project.settings import links_allowed, parse_settings
from activelabel.project.studies import is_pacs
from activelabel.server.pacs.channel_series import SeriesRule
from activelabel.server.pacs.client import Pacs, Series
from activelabel.server.pacs.modality import image_series
from activelabel.server.pacs.patients import patients_of
from activelabel.store.records.labels import FINAL

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
    readable = _ReadableImages()
    series: list[Series] = []
    if is_pacs(studies):
        yield from _pacs(app_dir, studies, conf, series)
    else:
        layout, listing = _layout(app_dir, studies, conf), _listing_folder(app_dir, studies, conf)
        folder = _Folder(Path(studies), listing, links_allowed(conf), layout, _patients(conf))
        yield from _images(folder, readable)
    try:
        project = plan_project(app_dir, studies, conf)
        yield Finding("settings", True, f"recipe {project.recipe.name}, labels {', '.join(entries_of(project.labels))}")
        if project.layout.names:
            shown = f"viewers show {project.recipe.shown_channel}"
            yield Finding("channels", True, f"{', '.join(project.recipe.channels)}; {shown}")
        yield from _values(project.labels)
        if not is_pacs(studies) and Path(studies).is_dir():
            yield from _labels(folder, project.labels)
        begun = project.ledger.exists()
        if begun:
            project.ledger.check()
            check_names(project.ledger, project.labels)
        if is_pacs(studies):
            info = {one.uid: one.info for one in series}
            yield from parts_of_pacs(project, patients_of(info, given_patients(project.settings)), begun=begun)
        elif Path(studies).is_dir():
            yield from parts_of_folder(project, folder.all_images().files, begun=begun)
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


@dataclass(frozen=True)
class _Folder:
    """A studies folder, the folder of its listing, whether links out of it are followed, and the given patients."""

    studies: Path
    listing: Path
    links_out: bool
    layout: ChannelLayout
    patients: GivenPatients | None = None

    def images(self) -> FolderContent:
        """The images that the server would find."""
        return self.all_images() if self.patients is None else self.patients.known_only(self.all_images())

    def all_images(self) -> FolderContent:
        """The images of the folder, also those whose patient is not known."""
        listed = listed_files(self.listing) or listed_files(self.studies)
        return find_images(self.studies, listed, links_out=self.links_out, layout=self.layout)


def _listing_folder(app_dir: str, studies: str, conf: Mapping[str, str]) -> Path:
    try:
        return view_folder(project_folder(app_dir, studies, parse_settings(conf)), studies)
    except ActiveLabelError:  # a later check reports wrong settings
        return Path(studies)


def _layout(app_dir: str, studies: str, conf: Mapping[str, str]) -> ChannelLayout:
    try:
        return plan_without_labels(app_dir, studies, conf).layout
    except ActiveLabelError:  # a later check reports wrong settings
        return ONE_CHANNEL


def _patients(conf: Mapping[str, str]) -> GivenPatients | None:
    try:
        return given_patients(parse_settings(conf))
    except ActiveLabelError:  # a later check reports wrong settings
        return None


@dataclass
class _ReadableImages:
    """The readable images: files, grids, hashes of their contents, and intensity statistics."""

    files: dict[str, ImageFiles] = field(default_factory=dict)
    grids: dict[str, Grid] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    intensities: dict[str, ChannelIntensities] = field(default_factory=dict)

    def add(self, image_id: str, files: ImageFiles, volume: Volume) -> None:
        self.files[image_id] = files
        self.grids[image_id], self.contents[image_id] = volume.grid, content_sha256(volume)
        self.intensities[volume.path.name] = measure_channels(volume.channels)


def _meaning(project: Project, readable: _ReadableImages, begun: bool) -> Iterator[Finding]:
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


def _cases(project: Project, readable: _ReadableImages) -> Iterator[Finding]:
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


def _images(folder: _Folder, readable: _ReadableImages) -> Iterator[Finding]:
    if not folder.studies.is_dir():
        yield Finding("studies", False, f"{folder.studies} is no folder", "give the folder that holds the images")
        return
    images = folder.images()
    broken = []
    for image_id in images.files:
        try:
            files = images.image(image_id)
            readable.add(image_id, files, read_volume(files))
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


def _labels(folder: _Folder, names: Sequence[str]) -> Iterator[Finding]:
    """Report label files that a server would find, and those that it could not use."""
    images = folder.images()
    labels, within = folder.studies / "labels" / FINAL, None if folder.links_out else folder.studies
    found = find_labels(labels, images.files, within)
    refused = {}
    for image_id, path in found.files.items():
        try:
            check_label(found.path(image_id), read_grid(images.image(image_id)), names)
        except ActiveLabelError as error:
            refused[path] = str(error)
    if found.files:
        yield Finding(
            "labels", True, f"{len(found.files) - len(refused)} of {len(found.files)} label files can be used"
        )
    known = labelled(folder.listing, FINAL)  # labels that were taken in are not reported
    unused = {path: reason for path, reason in found.unused.items() if found.more.get(path) not in known}
    yield from (Finding("labels", True, line) for line in lines_on(unused))
    advice = "mend or remove it; until then its case is asked for"
    yield from (Finding("label", False, f"labels/{FINAL}/{path}: {reason}", advice) for path, reason in refused.items())


def _pacs(app_dir: str, address: str, conf: Mapping[str, str], series: list[Series]) -> Iterator[Finding]:
    """Report on the PACS, and add the series that make its images, those of the shown channel, to `series`."""
    layout = _layout(app_dir, address, conf)
    settings = parse_settings(conf)
    rule = SeriesRule(layout, (settings.channel_files if layout.names else ()) or layout.names)
    try:
        modality = None if settings.modality == AUTO else configured_modality(settings.modality, layout)
        found = rule.group(image_series(Pacs(address), modality, rule))
    except ActiveLabelError as error:
        yield Finding("PACS", False, str(error), "mend what the line names")
        return
    series += [one for uid, channels in found.channels.items() for one in channels if one.uid == uid]
    yield Finding(
        "PACS",
        bool(found.channels),
        f"{len(found.channels)} {'images of several series' if layout.names else 'series'} to annotate",
        "send images, or say with --conf modality or MONAI_LABEL_DICOMWEB_SEARCH_FILTER which series are meant",
    )
    yield from (Finding("series", True, line) for line in lines_on(found.passed_over))


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
