"""Makes a project of an exported data set: images, labels, and a ledger with all that the audit trail tells."""

import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from activelabel.data.files.digest import file_sha256
from activelabel.data.label_checking import write_label
from activelabel.data.labels.arrays import smallest_type
from activelabel.data.labels.label_texts import read_stored
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.project.export.audit_line import EXPORT_AGAIN, AuditLine
from activelabel.project.export.audit_reading import Audit
from activelabel.project.export.folder_images import FolderImages
from activelabel.project.export.import_plan import ImportPlan, plan_import
from activelabel.project.labels.record_files import write_missing_records
from activelabel.project.project import Project
from activelabel.project.readability import content_sha256
from activelabel.store.transfer import TransferredRow

_LEDGER_ENDINGS = ("", "-wal", "-shm")


@dataclass(frozen=True)
class Imported:
    """What a new project holds: the numbers of images that came along, of versions of labels, drafts and queries.

    `gone` has a line for each version whose file did not come along.
    """

    images: int
    labels: int
    drafts: int
    queries: int
    gone: tuple[str, ...]


def check_new(project: Project) -> None:
    """Refuse studies and a project that are not empty.

    Raises:
        InvalidInputError: there is something already; the message says what.
    """
    studies, ledger = Path(project.studies), project.ledger.file
    parts = (project.labels_folder, project.predictions_folder, project.models_folder)
    begun = [path.name for path in parts if path.is_dir() and any(path.iterdir())]
    begun += [ledger.name] if ledger is not None and ledger.exists() else []
    if begun or (ledger is None and project.ledger.images()):
        what = ", ".join(begun) or f"images in the ledger {project.ledger.shown_url}"
        raise InvalidInputError(
            f"--studies {studies}: a project has begun in {project.folder} ({what}), and only a new one can be filled: "
            "name other --studies, or another folder with --conf project_dir"
        )
    there = [path for path in (studies.iterdir() if studies.is_dir() else ()) if path.resolve() != project.folder]
    if there or (studies.exists() and not studies.is_dir()):
        raise InvalidInputError(f"--studies {studies}: there is something already: name a folder that is new or empty")


def import_dataset(
    project: Project,
    source: Path,
    trail: Audit,
    follow: Callable[[Sequence[Path]], Iterable[Path]] = list,
) -> Imported:
    """Write the images of a data set into the project's studies, its labels into the archive, and fill the ledger.

    Everything is checked before anything is written; what was written is removed if it fails.

    Args:
        project: a new project whose folder exists; its label names may be unknown.
        source: the folder of the data set.
        trail: its audit trail.
        follow: is given the files to write and yields them one by one, to show progress.

    Raises:
        InvalidInputError: there is something in the studies or in the project already; a file is not as it was
            exported; or rows of the audit trail contradict each other. Messages name file and line.
    """
    check_new(project)
    plan = plan_import(project, source, trail)
    rows = _with_contents(trail.rows, _contents(project, trail, plan))
    facts, taken_over = frozenset[str](), False
    try:
        for path in follow([*plan.copies, *plan.partial]):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path in plan.copies:
                shutil.copyfile(plan.copies[path], path)
            else:
                _write_partial(path, *plan.partial[path], trail)
        found = _found_again(project, plan.images)
        facts = project.ledger.fact_names()
        project.ledger.take_over(_with_digests(rows, plan.partial, project.labels_folder))
        taken_over = True
        project.ledger.sync_images(found, 0)
        write_missing_records(project.ledger, project.labels_folder)
    except BaseException:
        try:
            if taken_over:  # else the ledger, which others may use too, has none of these rows
                project.ledger.give_back(facts)
        finally:
            _take_back(project, plan)
        raise
    tables = [row.table for row in rows]
    labels, drafts, queries = (tables.count(table) for table in ("annotations", "drafts", "leases"))
    return Imported(len(plan.images), labels, drafts, queries, tuple(plan.gone))


def _contents(project: Project, trail: Audit, plan: ImportPlan) -> dict[str, tuple[str, str]]:
    """The digest of the content, before and now, of each image that has another one in the file that was exported.

    A channel that lies on another grid than the others is exported on theirs.
    """
    found = {}
    for image_id in sorted(plan.written_anew):
        before, files = trail.images[image_id].text("image_sha256"), plan.images[image_id]
        shown = files[project.layout.shown] if len(files) > 1 else files[0]
        now = content_sha256(read_volume(project.layout.files(shown)))
        if before and now != before:
            found[image_id] = (before, now)
    return found


def _with_contents(rows: Sequence[TransferredRow], contents: Mapping[str, tuple[str, str]]) -> list[TransferredRow]:
    """The rows, in which images and their labels have the digests of the images' present content."""
    columns = {"images": ("id", "content_sha256"), "annotations": ("image_id", "image_sha256")}

    def changed(row: TransferredRow) -> TransferredRow:
        name, column = columns.get(row.table, ("", ""))
        before, now = contents.get(row.values.get(name, ""), (None, None))
        return _with(row, column, now) if now is not None and row.values[column] == before else row

    return [changed(row) for row in rows]


def _write_partial(path: Path, line: AuditLine, label: Path, trail: Audit) -> None:
    """Write a label of some slices as the archive has it, 0 on all others, from that of the data set."""
    image = trail.images[line.text("image")]
    axis, stored = image.text("detail").removeprefix("axis "), line.names("structures")
    if not axis or not stored:
        raise InvalidInputError(f"{line.where}: neither axis nor structures of its slices are known: {EXPORT_AGAIN}")
    drawn = nibabel.load(label)
    values = np.asarray(drawn.dataobj)
    kept = np.zeros_like(values)
    slices: list[slice | list[int]] = [slice(None)] * 3
    slices[int(axis)] = line.slices() or []
    kept[tuple(slices)] = values[tuple(slices)]
    write_label(path, smallest_type(kept, read_stored(stored).highest), drawn.affine)


def _with_digests(rows: Sequence[TransferredRow], written: Collection[Path], folder: Path) -> list[TransferredRow]:
    """The rows, in which labels that were written anew have the digests of their files."""
    digests = {path.relative_to(folder).as_posix(): file_sha256(path) for path in written}
    return [_with(row, "sha256", digests.get(row.values.get("file", ""))) for row in rows]


def _with(row: TransferredRow, column: str, value: Any) -> TransferredRow:
    return row if value is None else replace(row, values={**row.values, column: value})


def _found_again(project: Project, images: Collection[str]) -> list[str]:
    """The ids of the images that were written, after a check that they are found under the same ids."""
    found = FolderImages(project)
    for image_id in images:
        found.image_files(image_id)
    return sorted(images)


def _take_back(project: Project, plan: ImportPlan) -> None:
    """Remove all that a failed import has written, with the folders that it made, so that it can be done again."""
    kept = (project.folder, *project.folder.parents, Path(project.studies), *Path(project.studies).parents)
    for path in (*plan.copies, *plan.partial):
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder in kept or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
    shutil.rmtree(project.labels_folder, ignore_errors=True)
    ledger = project.ledger.file
    if ledger is not None:
        project.ledger.close()
        for ending in _LEDGER_ENDINGS:
            ledger.with_name(f"{ledger.name}{ending}").unlink(missing_ok=True)
