"""A folder of DICOM files, as scanners and planning systems export it: series as images, SEG and RTSTRUCT as labels.

A client is sent one file an image, so each series becomes a NIfTI in a folder of ours, once. A label stays the DICOM
object that it is, under the name of its image.
"""

import csv
import hashlib
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom.dataset import Dataset

from activelabel.data.dicom.guard import check_file, open_object
from activelabel.data.dicom_objects.labels import referenced_series
from activelabel.data.dicom_objects.series import read_series, write_volume
from activelabel.data.files.folder_reading import PROJECT_FOLDER
from activelabel.data.files.links import make_link
from activelabel.data.files.names import DICOM_ENDING, is_hidden
from activelabel.data.files.studies_folder import LABEL_ENDING, holds_images, lines_on
from activelabel.data.files.writing import write_atomically
from activelabel.data.patients.given import cleaned
from activelabel.errors import InvalidInputError

PATIENTS = "patients.csv"
LABELS = Path("labels", "final")
_IMAGES = ("CT", "MR", "PT", "NM")
_LABELS = ("SEG", "RTSTRUCT")
_TAGS = ["Modality", "SeriesInstanceUID", "PatientID", "StudyInstanceUID"]
_MAGIC = slice(128, 132)


@dataclass
class _Found:
    """What a folder holds: files and patient of each series, labels, and why files are not used."""

    files: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    patients: dict[str, str] = field(default_factory=dict)
    labels: list[Path] = field(default_factory=list)
    passed_over: dict[str, str] = field(default_factory=dict)


def is_dicom_folder(folder: Path) -> bool:
    """Whether a folder holds DICOM files, and no images of another format."""
    return folder.is_dir() and not holds_images(folder) and next(_dicom_files(folder), None) is not None


def convert(sources: Sequence[Path], target: Path) -> list[str]:
    """Make an image of each series of these folders in `target`, and put the labels beside them.

    The images are `target/ID.nii.gz`, their labels `target/labels/final/ID.dcm`, and `target/patients.csv` has their
    patients. What is there from before stays, so that a later call adds what is new.

    Returns:
        One line for each reason why files were not used.

    Raises:
        OSError: the target cannot be written.
    """
    found = _Found()
    for source in dict.fromkeys(folder.resolve() for folder in sources):
        _sort(source, found)
    (target / LABELS).mkdir(parents=True, exist_ok=True)
    ids = {}
    for uid in sorted(found.files):
        image_id = _id(found.patients[uid], uid)
        try:
            _write_image(found.files[uid], target / f"{image_id}{LABEL_ENDING}")
            ids[uid] = image_id
        except InvalidInputError as error:
            found.passed_over[image_id] = str(error)
    for label in sorted(found.labels):
        _put_label(label, ids, target / LABELS, found.passed_over)
    table = StringIO()
    rows = sorted((image_id, found.patients[uid]) for uid, image_id in ids.items())
    csv.writer(table, lineterminator="\n").writerows([("image", "patient"), *rows])
    write_atomically(target / PATIENTS, table.getvalue().encode())
    return lines_on(found.passed_over)


def _dicom_files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name) and name != PROJECT_FOLDER)
        for name in sorted(files):
            path = Path(parent, name)
            if not is_hidden(name) and path.suffix.lower() in ("", DICOM_ENDING, ".ima") and _is_dicom(path):
                yield path


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_MAGIC.stop)[_MAGIC] == b"DICM"


def _sort(folder: Path, found: _Found) -> None:
    for path in _dicom_files(folder):
        try:
            header = _header(path)
        except InvalidInputError as error:
            found.passed_over[path.name] = str(error)
            continue
        modality = str(header.get("Modality"))
        if modality in _LABELS:
            found.labels.append(path)
        elif modality not in _IMAGES:
            reason = f"its modality is {modality[:16]}, expected {', '.join(_IMAGES)} or a label"
            found.passed_over[str(path.relative_to(folder))] = reason
        else:
            uid = str(header.get("SeriesInstanceUID"))
            found.files[uid].append(path)
            found.patients[uid] = cleaned(str(header.get("PatientID") or header.get("StudyInstanceUID") or "")) or uid


def _header(path: Path) -> Dataset:
    check_file(path)
    try:
        return open_object(path, stop_before_pixels=True, specific_tags=_TAGS)
    except Exception as error:  # a damaged file may raise anything
        raise InvalidInputError(f"cannot be read as DICOM ({type(error).__name__}): export it again") from error


def _id(patient: str, uid: str) -> str:
    """A name for people that no other series has, whatever comes later."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", patient).strip("-.")[:40] or "series"
    return f"{readable}_{hashlib.sha256(uid.encode()).hexdigest()[:8]}"


def _write_image(files: Sequence[Path], image: Path) -> None:
    if image.is_file():
        return
    with TemporaryDirectory(dir=image.parent, prefix=".series-") as folder:
        series = Path(folder, image.name.removesuffix(LABEL_ENDING))
        series.mkdir()
        for number, file in enumerate(files):
            make_link(series / f"{number:05d}{DICOM_ENDING}", file)
        write_volume(image, read_series(series))


def _put_label(label: Path, ids: dict[str, str], folder: Path, passed_over: dict[str, str]) -> None:
    try:
        series = referenced_series(open_object(label, stop_before_pixels=True))
    except Exception as error:  # noqa: BLE001 - a damaged file may raise anything, and concerns its own image only
        passed_over[label.name] = f"cannot be read as DICOM ({type(error).__name__}): export it again"
        return
    drawn_on = [ids[uid] for uid in series if uid in ids]
    if not drawn_on:
        passed_over[label.name] = "it refers to no series that is here: put the series beside it"
    for image_id in drawn_on:
        target = folder / f"{image_id}{DICOM_ENDING}"
        if not target.is_file():
            shutil.copyfile(label, target)
        elif target.read_bytes() != label.read_bytes():
            passed_over[label.name] = "another label of the same series is used: leave one"
