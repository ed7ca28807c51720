"""Checks of `activelabel doctor` on the images of a project, in a folder or on a PACS, and on their labels."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from activelabel.cli.doctor.versions import Finding
from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.labels_folder import find_labels
from activelabel.data.files.names import ENDINGS
from activelabel.data.files.studies_folder import FolderContent, alike_line, find_images, lines_on, names_of
from activelabel.data.grids import Grid
from activelabel.data.intensities import (
    ChannelIntensities,
    measure_channels,
)
from activelabel.data.label_checking import check_label
from activelabel.data.modality import AUTO
from activelabel.data.patients.given import GivenPatients
from activelabel.data.volumes import Volume, read_grid, read_volume
from activelabel.errors import ActiveLabelError
from activelabel.project.folders import project_folder, view_folder
from activelabel.project.given.patients import given_patients
from activelabel.project.listing import labelled, listed_files
from activelabel.project.modality import configured_modality
from activelabel.project.opening import plan_without_labels
from activelabel.project.readability import content_sha256
from activelabel.project.settings import links_allowed, parse_settings
from activelabel.server.pacs.channel_series import SeriesRule
from activelabel.server.pacs.client import Pacs, Series
from activelabel.server.pacs.modality import image_series
from activelabel.store.records.labels import FINAL


@dataclass(frozen=True)
class Folder:
    """A studies folder, the folder of its listing, whether links out of it are followed, and the given patients."""

    studies: Path
    listing: Path
    links_out: bool
    layout: ChannelLayout
    patients: GivenPatients | None = None

    @classmethod
    def of(cls, app_dir: str, studies: str, conf: Mapping[str, str]) -> "Folder":
        """The folder as the settings say; what is wrong with them is reported by a later check."""
        layout, listing = _layout(app_dir, studies, conf), _listing_folder(app_dir, studies, conf)
        return cls(Path(studies), listing, links_allowed(conf), layout, _patients(conf))

    def images(self) -> FolderContent:
        """The images that the server would find."""
        return self.all_images() if self.patients is None else self.patients.known_only(self.all_images())

    def all_images(self) -> FolderContent:
        """The images of the folder, also those whose patient is not known."""
        listed = listed_files(self.listing) or listed_files(self.studies)
        return find_images(self.studies, listed, links_out=self.links_out, layout=self.layout)


@dataclass
class ReadableImages:
    """The readable images: files, grids, hashes of their contents, and intensity statistics."""

    files: dict[str, ImageFiles] = field(default_factory=dict)
    grids: dict[str, Grid] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    intensities: dict[str, ChannelIntensities] = field(default_factory=dict)

    def add(self, image_id: str, files: ImageFiles, volume: Volume) -> None:
        """Note an image that was read."""
        self.files[image_id] = files
        self.grids[image_id], self.contents[image_id] = volume.grid, content_sha256(volume)
        self.intensities[volume.path.name] = measure_channels(volume.channels)


def examine_images(folder: Folder, readable: ReadableImages) -> Iterator[Finding]:
    """Read every image of the folder, report those that cannot be read, and add the others to `readable`."""
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
    alike = alike_line(images.files)
    if alike is not None:
        yield Finding("files", True, alike)
    yield from _copies(readable.contents)
    yield from broken


def _copies(contents: Mapping[str, str]) -> Iterator[Finding]:
    """Report images that are the same one under several names."""
    by_content = defaultdict[str, list[str]](list)
    for image_id, content in contents.items():
        by_content[content].append(image_id)
    for same in by_content.values():
        if len(same) > 1:
            advice = (
                "annotators are asked for each of them, and as one may be for training and another for validation, a "
                "model may be judged by an image that it has learnt: remove all but one"
            )
            yield Finding("same image", True, f"{names_of(same)} have the same voxels: {advice}")


def examine_labels(folder: Folder, names: Sequence[str]) -> Iterator[Finding]:
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


def examine_pacs(app_dir: str, address: str, conf: Mapping[str, str], series: list[Series]) -> Iterator[Finding]:
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
