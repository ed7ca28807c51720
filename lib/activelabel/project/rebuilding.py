"""Rebuilds a ledger from the label archive, if the ledger is gone and no copy of it is left.

Beside each kept label version lies a record with the ledger's rows about it. Labels that earlier versions of the
program kept may have no record: the file name gives tag and time, but annotator and covered slices are unknown. Such
labels become history; they count again only if they are in `labels/final` according to the host's listing.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from activelabel.data.files.digest import file_sha256
from activelabel.data.files.names import is_tag
from activelabel.data.files.opening import open_stored
from activelabel.data.files.studies_folder import LABEL_ENDING, find_images
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.project.given.patients import given_patients, patients_of_rebuilt
from activelabel.project.given.split import given_split
from activelabel.project.identity import fixed_identity
from activelabel.project.labels.record_files import ENDING, read_record
from activelabel.project.listing import listed_files, listed_labels
from activelabel.project.project import Project
from activelabel.project.studies import is_pacs
from activelabel.store.cases.case_records import LabelRecord
from activelabel.store.cases.label_records import Rebuilt
from activelabel.store.connection.location import sqlite_url
from activelabel.store.copies import restore_copy
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import FINAL
from activelabel.training.checkpoints import ENDING as MODEL_ENDING

UNKNOWN = "unknown"
"""The annotator's name for a label without a record."""
UNFINISHED = ".rebuilt.sqlite"
_NAME = re.compile(r"(?P<tag>[A-Za-z0-9][A-Za-z0-9_-]{0,63})-(?P<ns>\d{15,20})")
_IMPORTED = ("found-", "seg-")
"""The beginnings of the file names of final labels that were imported from a folder or a PACS."""
_DRAFT = "draft"


@dataclass
class _Archive:
    """The content of the archive: records, files without a record by image, and one line per problem."""

    records: list[LabelRecord] = field(default_factory=list)
    bare: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Rebuilding:
    """The result: counts, the path of the earlier ledger, and further notes for the user."""

    rebuilt: Rebuilt
    aside: Path | None
    lines: tuple[str, ...]


def rebuild_ledger(project: Project) -> Rebuilding:
    """Replace the project's ledger, which no process may have open, by one rebuilt from the label archive.

    The ledger is written completely or not at all; an earlier one is moved aside. On PostgreSQL the database must be
    empty.

    Raises:
        NotReadyError: the archive has no label.
        InvalidInputError: the records contradict each other, or the database is not empty.
    """
    archive = _read_archive(project)
    if not archive.records and not archive.bare:
        raise NotReadyError(f"{project.labels_folder}: there is no label to rebuild the ledger from")
    file = project.ledger.file
    if file is None:
        return Rebuilding(_fill(project, project.ledger, archive), None, _notes(project, archive))
    unfinished = project.folder / UNFINISHED
    _remove(unfinished)
    try:
        ledger = Ledger(sqlite_url(unfinished))
        rebuilt = _fill(project, ledger, archive)
        ledger.close()  # so that it is one file
        aside = restore_copy(file, unfinished)
    finally:
        _remove(unfinished)
    return Rebuilding(rebuilt, aside, _notes(project, archive))


def _read_archive(project: Project) -> _Archive:
    archive, folder = _Archive(), project.labels_folder
    recorded = {file.with_name(f"{file.stem}{LABEL_ENDING}") for file in folder.rglob(f"*{ENDING}")}
    for label in sorted(recorded.union(folder.rglob(f"*{LABEL_ENDING}"))):
        name = label.relative_to(folder)
        try:
            record = read_record(label)
        except ValueError as error:
            archive.lines.append(f"{name}: the record beside it is damaged ({error}), and passed over")
            record = None
        if record is not None:
            archive.records.append(record)
            if not label.is_file():
                archive.lines.append(f"{name}: the file is gone: put it back, or draw it again")
            elif file_sha256(label) != record.get("sha256"):
                archive.lines.append(f"{name}: the file has changed since it was kept: put it back, or draw it again")
        elif label.is_file():
            try:
                open_stored(label)
            except InvalidInputError as error:  # a power cut that took its record may have cut the file short
                archive.lines.append(f"{name}: it has no record, and is passed over: {error}")
            else:
                archive.bare[str(name.parent)].append(label)
    return archive


def _fill(project: Project, ledger: Ledger, archive: _Archive) -> Rebuilt:
    """Fill an empty ledger from the records, then all images of the studies, then the labels without a record."""
    rebuilt = ledger.rebuild(archive.records)
    fixed_identity(ledger, project.folder, is_rebuilt=True)
    ids = _images(project, archive)
    split = given_split(project.settings)
    if is_pacs(project.studies):
        patients = given_patients(project.settings)
    else:
        patients = patients_of_rebuilt(project.settings, ledger, ids)
    ledger.sync_images(
        ids,
        project.recipe.training.validation_cases,
        None if patients is None else patients.of_all(ids),
        None if split is None else split.is_validation,
    )
    bare = {image_id: files for image_id, files in archive.bare.items() if image_id in ids}
    history = [row for image_id, files in bare.items() for row in _history(image_id, files)]
    return rebuilt.with_history(ledger.add_history(history, _superseding(project, archive, bare)))


def _superseding(project: Project, archive: _Archive, bare: Mapping[str, Sequence[Path]]) -> set[str]:
    """The final labels without a record that are newer than all with one, and can be taken in again.

    A power cut may have taken a record with the ledger. Only the listing tells which slices such a label covers, and
    only if the copy in the folder of labels is this label.
    """
    newest = dict[str, tuple[datetime, int]]()
    for row in (row for record in archive.records for row in record["annotations"] if row["tag"] == FINAL):
        known = datetime.fromisoformat(row["created_at"]), int(row["version"])
        newest[row["image_id"]] = max(known, newest.get(row["image_id"], known))
    is_taken_in = project.view_folder == Path(project.studies)
    listed = listed_labels(project.view_folder) if is_taken_in else {}
    found = set[str]()
    for image_id in newest.keys() & bare.keys():
        made_at, version = newest[image_id]
        rows = [row for row in _history(image_id, bare[image_id]) if row["tag"] == FINAL]
        if not rows or rows[-1]["created_at"] <= made_at:
            continue
        copy = project.view_folder / "labels" / FINAL / f"{image_id}{LABEL_ENDING}"
        told = listed.get((image_id, FINAL), {}).get("version")
        if isinstance(told, int) and told > version and copy.is_file() and file_sha256(copy) == rows[-1]["sha256"]:
            found.add(rows[-1]["file"])
            archive.lines.append(f"{rows[-1]['file']}: the newest label of its image has lost its record: it is taken "
                                 "in again at the next start, as the listing says")  # fmt: skip
        else:
            archive.lines.append(f"{rows[-1]['file']}: it is newer than each label of its image that has a record, and "
                                 "nobody knows its slices, so that it does not count: draw it again")  # fmt: skip
    return found


def _images(project: Project, archive: _Archive) -> Collection[str]:
    """The images of a folder that are there now; for a PACS, which need not answer, the images that have labels."""
    labelled = {str(record["image"]["id"]) for record in archive.records} | archive.bare.keys()
    if is_pacs(project.studies) or not Path(project.studies).is_dir():
        return labelled
    studies = Path(project.studies)
    known = listed_files(project.view_folder) or listed_files(studies)
    return find_images(
        studies, known, links_out=project.settings.links_out_of_studies, layout=project.layout
    ).files.keys()


def _history(image_id: str, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Rows of the labels of which only tag and time are known, oldest first."""
    dated = sorted(((_tag_and_time(file), file) for file in files), key=lambda item: (item[0][1], item[1]))
    return [
        {
            "image_id": image_id,
            "tag": tag,
            "file": f"{file.parent.name}/{file.name}",
            "sha256": file_sha256(file),
            "annotator": UNKNOWN,
            "created_at": made_at,
        }
        for (tag, made_at), file in dated
        if tag != _DRAFT
    ]


def _tag_and_time(file: Path) -> tuple[str, datetime]:
    """Tag and time of a label from its file name; if that has no time, the time when the file was written."""
    name = file.name.removesuffix(LABEL_ENDING)
    found = _NAME.fullmatch(name)
    if found is not None:
        return found["tag"], datetime.fromtimestamp(int(found["ns"]) / 1e9, timezone.utc)
    tag = name.partition("-")[0]
    return FINAL if name.startswith(_IMPORTED) or not is_tag(tag) else tag, datetime.fromtimestamp(
        os.stat(file).st_mtime, timezone.utc
    )


def _notes(project: Project, archive: _Archive) -> tuple[str, ...]:
    lines = list(archive.lines)
    if archive.bare:
        files = [file for of_image in archive.bare.values() for file in of_image]
        kinds = Counter("draft" if _tag_and_time(file)[0] == _DRAFT else "label" for file in files)
        counted = " and ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in sorted(kinds.items()))
        lines.append(
            f"{counted} of {len(archive.bare)} images have no record beside them, as earlier versions wrote none: who "
            "drew them and on which slices is not known. They are kept as history; what lies in "
            f"{project.view_folder / 'labels' / FINAL} is taken in again at the next start, as its listing says"
        )
    models = list(project.models_folder.glob(f"*{MODEL_ENDING}"))
    if models:
        lines.append(
            f"models are not told by labels: the next training makes a new one; {len(models)} files are still in "
            f"{project.models_folder}, and one can be sent again with PUT /model/segmentation"
        )
    lines.append("scores, skips, and what was found out of the images' modality are made anew")
    return tuple(lines)


def _remove(ledger: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        ledger.with_name(f"{ledger.name}{ending}").unlink(missing_ok=True)


def check_there_is_none(ledger: Ledger) -> None:
    """Refuse to rebuild a ledger that can be read: it knows more than the records.

    Raises:
        InvalidInputError: the ledger can be read.
    """
    if ledger.file is not None and ledger.file.exists():
        try:
            ledger.check()
        except InvalidInputError:
            return
        raise InvalidInputError(
            f"ledger {ledger.shown_url}: it is there and whole, and knows more than its labels tell: move it away "
            "first if it is to be made anew"
        )
