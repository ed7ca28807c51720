"""Cases on disk: image and label as NIfTI, each stamped with what it was made from, and the lists beside them."""

import gzip
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from abdomen_phantom.patient import LABELS, Patient
from abdomen_phantom.scanner import Scan, scan

VERSION = 1
"""Raise it when the phantoms change, so that files of an earlier generator are seen as such."""

_HEADER_BYTES = 348
_DESCRIPTION = slice(148, 228)  # the field `descrip` of a NIfTI-1 header


@dataclass(frozen=True)
class Folders:
    """Images, and apart from them, so that a server of the images cannot see them, the labels."""

    images: Path
    labels: Path

    @classmethod
    def below(cls, parent: Path) -> "Folders":
        """The two folders' fixed names."""
        return cls(parent / "abdomen", parent / "abdomen-labels")

    def files_of(self, patient: Patient) -> tuple[Path, Path]:
        """The image and the label."""
        return self.images / file_name(patient), self.labels / file_name(patient)


def file_name(patient: Patient) -> str:
    """The name of the image and of its label."""
    return f"abdomen_{patient.number + 1:02d}.nii.gz"


def stamp(patient: Patient, seed: int) -> str:
    """What a file says of itself: enough to make it again, nothing of what can be seen in it."""
    return f"abdomen phantom v{VERSION} seed={seed} case={patient.number}"


def read_stamp(path: Path) -> str | None:
    """The stamp of a file; None if there is no file, "" if it is not gzipped NIfTI or cut off in its header."""
    if not path.exists():
        return None
    try:
        with gzip.open(path) as stream:
            header = stream.read(_HEADER_BYTES)
    except (EOFError, gzip.BadGzipFile):
        return ""
    return header[_DESCRIPTION].rstrip(b"\0").decode("ascii", errors="replace")


def write_case(patient: Patient, seed: int, folders: Folders) -> None:
    """Scan a patient and write the two files: the label first, so that an image in place has its label."""
    made = scan(patient, seed)
    text = stamp(patient, seed)
    image, label = folders.files_of(patient)
    write_whole(label, _nifti(made, made.label, text))
    write_whole(image, _nifti(made, made.volume_hu, text))


def write_lists(patients: list[Patient], folders: Folders) -> None:
    """`dataset.json` beside the images, as the Decathlon has it for images without labels; `cases.json`, which says
    what each case shows, beside the labels.
    """
    dataset = {
        "name": "abdomen",
        "description": "Synthetic abdominal CT with liver, spleen, kidneys and liver tumours",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {str(value): name for value, name in LABELS.items()},
        "numTraining": 0,
        "numTest": len(patients),
        "training": [],
        "test": [f"./{file_name(patient)}" for patient in patients],
    }
    cases = {
        file_name(patient): {
            "phase": patient.phase,
            "habitus": patient.habitus,
            "findings": sorted(patient.findings),
        }
        for patient in patients
    }
    write_whole(folders.images / "dataset.json", _json(dataset))
    write_whole(folders.labels / "cases.json", _json(cases))


def write_whole(path: Path, content: bytes) -> None:
    """Write under another name first, so that `path` never holds half a file; unchanged content is left alone."""
    if path.exists() and path.read_bytes() == content:
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _json(content: Mapping[str, object]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _nifti(made: Scan, voxels: npt.NDArray[np.int16] | npt.NDArray[np.uint8], text: str) -> bytes:
    image = nibabel.Nifti1Image(voxels, made.affine_ras)
    image.set_sform(made.affine_ras, code="scanner")
    image.set_qform(made.affine_ras, code="scanner")
    image.header.set_xyzt_units(xyz="mm")
    image.header["descrip"] = text.encode("ascii")
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)  # no time inside: the same seed, the same bytes
