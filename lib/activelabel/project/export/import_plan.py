"""Which file of an exported data set goes where in a new project, after a check that each is as it was exported."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from activelabel.backports import ON_WINDOWS
from activelabel.data.files.digest import file_sha256
from activelabel.data.files.names import BETWEEN_FOLDERS
from activelabel.data.files.other_names import VERSIONS
from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.data.labels.label_texts import parse_labels, read_stored, text_of
from activelabel.errors import InvalidInputError
from activelabel.project.export import audit
from activelabel.project.export.audit_line import EXPORT_AGAIN, AuditLine
from activelabel.project.export.audit_reading import Audit
from activelabel.project.export.versions import SHOWN
from activelabel.project.given.channels import FACT as CHANNELS
from activelabel.project.models.shown_masks import shown_masks
from activelabel.project.project import Project

_IMAGES = (audit.IMAGE, audit.WRITTEN_ANEW)


@dataclass
class ImportPlan:
    """The files of a new project.

    Attributes:
        images: the files of each image in the data set, one for each channel that has its own.
        written_anew: the images whose files are not those of the project that they come from.
        copies: the files to copy, by their new paths.
        partial: by its new path, the label of some slices of which the data set has no copy as it was kept: the row of
            the audit trail, and the label in the data set.
        gone: a line for each version of a label whose file did not come along.
    """

    images: dict[str, list[Path]] = field(default_factory=dict)
    written_anew: set[str] = field(default_factory=set)
    copies: dict[Path, Path] = field(default_factory=dict)
    partial: dict[Path, tuple[AuditLine, Path]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)


def channels_of(trail: Audit) -> list[str]:
    """The names of the channels of an exported project's images; empty for images of one channel.

    Raises:
        InvalidInputError: the row about them cannot be read.
    """
    for row in trail.rows:
        if row.table == "facts" and row.values["name"] == CHANNELS:
            try:
                return [str(name) for name in json.loads(row.values["value"])]
            except (ValueError, TypeError) as error:
                raise InvalidInputError(f"{row.where}: no list of channels: {EXPORT_AGAIN}") from error
    return []


def check_labels(trail: Audit, configured: Sequence[str]) -> None:
    """Check that `configured` (`--conf labels`), if any, gives values the meaning that they have in the data set.

    Raises:
        InvalidInputError: a value would mean something else; the message has both lists.
    """
    columns = {"annotations": "label_names", "model_versions": "labels"}
    stored = (row.values[columns[row.table]] or () for row in trail.rows if row.table in columns)
    longest = max(stored, key=len, default=())  # names are only ever added at the end
    if not configured or not longest:
        return
    given, kept = parse_labels(configured, "--conf labels"), read_stored(longest)
    if not given.begins_with(kept):
        raise InvalidInputError(
            f"--conf labels {text_of(given)}: the values of this data set have the names {text_of(kept)}, in this "
            f"order: leave the setting out, or give --conf labels {text_of(kept)} (more names may follow)"
        )


def plan_import(project: Project, source: Path, trail: Audit) -> ImportPlan:
    """Check all files of a data set, and say where each goes.

    Raises:
        InvalidInputError: a file is missing or has changed, or a row leads out of the folders.
    """
    plan = ImportPlan()
    labels: dict[str, Path] = {}
    for image_id, lines in _by_image(trail).items():
        for line in lines:
            _require_unchanged(source, source / inside(line, "file"), line)
        images = [line for line in lines if line.cells["detail"] in _IMAGES]
        if not images:
            raise InvalidInputError(
                f"{lines[0].where}: no row names the file of the image '{image_id}': {EXPORT_AGAIN}"
            )
        plan.images[image_id] = [source / line.text("file") for line in images]
        if images[0].cells["detail"] == audit.WRITTEN_ANEW:
            plan.written_anew.add(image_id)
        for line in lines:
            if line.cells["detail"] == audit.LABEL:
                labels[image_id] = source / line.text("file")
        _plan_image(project, image_id, plan)
    for line in trail.kept:
        _plan_version(project.labels_folder, source, line, labels.get(line.text("image")), plan)
    for image_id in trail.images:
        for model, mask in _shown(source, image_id):
            plan.copies[project.predictions_folder / image_id / f"{model}{LABEL_ENDING}"] = mask
    return plan


def inside(line: AuditLine, column: str) -> PurePosixPath:
    """A path below a folder.

    Raises:
        InvalidInputError: it leads out of the folder.
    """
    text = line.needed(column).replace(BETWEEN_FOLDERS, "/") if column == "image" else line.needed(column)
    path = PurePosixPath(text)
    on_a_disk = ON_WINDOWS and ":" in text
    if path.is_absolute() or "\\" in text or on_a_disk or "\0" in text or ".." in path.parts or not path.parts:
        raise InvalidInputError(
            f"{line.where}: {column} is '{text[:80]}', which leads out of its folder: {EXPORT_AGAIN}"
        )
    return path


def _by_image(trail: Audit) -> dict[str, list[AuditLine]]:
    found = defaultdict[str, list[AuditLine]](list)
    for line in trail.images.values():
        inside(line, "image")
    for line in trail.files:
        image_id = line.needed("image")
        if image_id not in trail.images:
            raise InvalidInputError(f"{line.where}: no row describes the image '{image_id[:80]}': {EXPORT_AGAIN}")
        found[image_id].append(line)
    return found


def require_own(source: Path, file: Path) -> None:
    """Refuse what is no file of the data set, such as a link to a file elsewhere, which would be handed on.

    Raises:
        InvalidInputError: it is none.
    """
    if file.exists() and not file.is_file():
        raise InvalidInputError(f"{file}: expected a file: {EXPORT_AGAIN}")
    try:
        own = file.resolve().is_relative_to(source.resolve())
    except (OSError, RuntimeError):  # links in a circle
        own = False
    if not own:
        raise InvalidInputError(f"{file}: it leads out of the data set: put the file itself there, or export again")


def _shown(source: Path, image_id: str) -> Iterator[tuple[int, Path]]:
    """The masks that models showed of an image, each with the version of its model."""
    folder = source / VERSIONS / image_id / SHOWN
    for mask in folder.glob(f"*{LABEL_ENDING}"):
        require_own(source, mask)
        if not mask.name.removesuffix(LABEL_ENDING).isdecimal():
            raise InvalidInputError(f"{mask}: expected the number of a model as its name: {EXPORT_AGAIN}")
    yield from shown_masks(folder)


def _require_unchanged(source: Path, file: Path, line: AuditLine) -> None:
    require_own(source, file)
    try:
        sha256 = file_sha256(file)
    except OSError as error:
        reason = error.strerror
        raise InvalidInputError(f"{file}: named in {line.where}, cannot be read ({reason}): {EXPORT_AGAIN}") from error
    if sha256 != line.needed("sha256"):
        raise InvalidInputError(
            f"{file}: it has changed since it was exported, its SHA-256 is not that in {line.where}: {EXPORT_AGAIN}"
        )


def _plan_image(project: Project, image_id: str, plan: ImportPlan) -> None:
    files = plan.images[image_id]
    stem = Path(project.studies, image_id.replace(BETWEEN_FOLDERS, "/"))
    for place, file in enumerate(files):
        ending = f"_{place:04}{LABEL_ENDING}" if len(files) > 1 else LABEL_ENDING
        plan.copies[stem.with_name(f"{stem.name}{ending}")] = file


def _plan_version(folder: Path, source: Path, line: AuditLine, label: Path | None, plan: ImportPlan) -> None:
    """Find the file of a version: among the kept ones, or as the label of the data set."""
    path = inside(line, "file")
    target, kept = folder / path, source / VERSIONS / path
    if target in plan.copies or target in plan.partial:
        return
    if kept.is_file():
        _require_unchanged(source, kept, line)
        plan.copies[target] = kept
    elif line.cells["exported"] and label is not None and line.slices() is None:
        _require_unchanged(source, label, line)
        plan.copies[target] = label
    elif line.cells["exported"] and label is not None:
        plan.partial[target] = (line, label)
    elif not line.cells["exported"] and not line.cells["event"].startswith(audit.OTHER_LABEL):
        plan.gone.append(f"{line.where}: {path} did not come along, so that version can no longer be opened")
