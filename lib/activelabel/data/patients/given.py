"""Patients of images, as people say them: a pattern that finds the patient in an image's id, or a table.

Images of one patient are alike, so all of them learn, or all of them judge.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from activelabel.data.case_names import names_of, written_name
from activelabel.data.files.studies_folder import FolderContent
from activelabel.data.given_splits import GivenSplit, SplitRole
from activelabel.data.patients.by_name import BY_NAMES, IMAGES, NAMES, that_may_tell
from activelabel.data.patients.wording import like_others
from activelabel.errors import InvalidInputError

TABLE_ENDINGS = (".csv", ".tsv", ".txt")
SETTING = "--conf patients"
LONGEST_PATIENT = 64  # as a PatientID in DICOM
_COLUMNS = ("image", "patient")
_DELIMITERS = "\t;,"
_ADVICE = r"give one group in parentheses around the patient, like (patient\d+)_frame"


@dataclass(frozen=True)
class GivenPatients:
    """Patients by a pattern with one group, or by a table from the names of images.

    Attributes:
        setting: the value of the setting, for messages.
        others_alone: whether an image whose patient is not told is a patient of its own; else it is passed over.
    """

    setting: str
    pattern: re.Pattern[str] | None = None
    table: Mapping[str, str] = field(default_factory=dict)
    others_alone: bool = False

    def of(self, image_id: str) -> str | None:
        """The patient of an image; None if the pattern does not find one, or the table does not name the image."""
        return self.found_in(image_id) or (self.named(image_id) if self.table else None)

    @property
    def tells_any(self) -> bool:
        """Whether there is anything that may tell the patient of an image."""
        return self.pattern is not None or bool(self.table)

    @property
    def rule(self) -> str | None:
        """What tells the same patients again, where it is a pattern; None where a table may have changed."""
        return None if self.pattern is None or self.table else self.pattern.pattern

    def found_in(self, text: str) -> str | None:
        """What the pattern finds in a text."""
        found = None if self.pattern is None else self.pattern.search(text)
        return cleaned(found.group(1) or "") if found else None

    def named(self, image_id: str) -> str | None:
        """What the table names for an image."""
        return next((self.table[name] for name in names_of(image_id) if name in self.table), None)

    def of_all(self, image_ids: Iterable[str]) -> dict[str, str]:
        """The patient of each image that has one."""
        few = image_ids
        if self.pattern is not None and self.pattern.pattern == BY_NAMES and not self.table:
            few = that_may_tell(image_ids)
        return {image_id: patient for image_id in few if (patient := self.of(image_id)) is not None}

    def known_only(self, content: FolderContent) -> FolderContent:
        """The images whose patient is known; the others are passed over, as they may be anybody's."""
        if self.others_alone:
            return content
        unknown = {image_id: path for image_id, path in content.files.items() if self.of(image_id) is None}
        reason = f"{SETTING} {self.setting} says no patient for it: name it there"
        return replace(
            content,
            files={image_id: path for image_id, path in content.files.items() if image_id not in unknown},
            passed_over={**content.passed_over, **dict.fromkeys(unknown.values(), reason)},
        )

    def require_some(self, image_ids: Iterable[str]) -> None:
        """Check that a patient is known of at least one image, if there is any and others are not alone.

        Raises:
            InvalidInputError: no patient of any image is known.
        """
        first = None
        for image_id in image_ids:
            if self.others_alone or self.of(image_id) is not None:
                return
            first = first or image_id
        if first is not None:
            raise InvalidInputError(
                f"{SETTING} {self.setting}: it says the patient of no image, of which the first is '{first}': "
                f"{_ADVICE}, or name a table with the columns image and patient"
            )


class PatientsOf(Mapping[str, str]):
    """The patient of each image that has one, found when somebody asks: of a million that takes seconds."""

    def __init__(self, given: GivenPatients, image_ids: Collection[str]) -> None:
        """`image_ids` are those that are gone through; of others it is told too."""
        self._given = given
        self._image_ids = image_ids

    def __getitem__(self, image_id: str) -> str:
        patient = self._given.of(image_id)
        if patient is None:
            raise KeyError(image_id)
        return patient

    def __iter__(self) -> Iterator[str]:
        return iter(self.among(self._image_ids))

    def among(self, image_ids: Iterable[str]) -> dict[str, str]:
        """The patient of each of these images that has one."""
        return self._given.of_all(image_ids)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def read_patients(setting: str) -> GivenPatients:
    """The patients that a setting says: a pattern, the path of a table, `names`, or `images`.

    Raises:
        InvalidInputError: the pattern is none or has not one group; or the table cannot be read, lacks a column, or
            says two patients for an image.
    """
    if setting in (NAMES, IMAGES):
        return patients_by_names(setting, BY_NAMES if setting == NAMES else "")
    if setting.lower().endswith(TABLE_ENDINGS) or Path(setting).is_file():
        return GivenPatients(setting, table=_read_table(Path(setting)))
    try:
        pattern = re.compile(setting)
    except re.error as error:
        raise InvalidInputError(f"{SETTING} {setting}: no regular expression ({error}): {_ADVICE}") from error
    if pattern.groups != 1:
        raise InvalidInputError(f"{SETTING} {setting}: it has {pattern.groups} groups: {_ADVICE}")
    return GivenPatients(setting, pattern)


def patients_by_names(setting: str, pattern: str) -> GivenPatients:
    """Patients by a pattern of the app's own; each other image is a patient of its own, without a pattern every one."""
    return GivenPatients(setting, re.compile(pattern) if pattern else None, others_alone=True)


def cleaned(patient: str) -> str | None:
    """A patient's name as the ledger keeps it: one line without double spaces; None for nothing."""
    return " ".join(patient.replace("\0", " ").split())[:LONGEST_PATIENT].rstrip() or None


def check_parts(split: GivenSplit, patients: Mapping[str, str], where: str, *, by_names: bool = False) -> None:
    """Check that no patient has two roles in a given split.

    Args:
        split: the roles.
        patients: by the id of an image, or a name in the split, its patient.
        where: the option that gave the split, for messages.
        by_names: whether only the names of images tell the patients, so that they may be others'.

    Raises:
        InvalidInputError: a patient has two roles; the line names them.
    """
    parts = defaultdict[str, dict[SplitRole, str]](dict)
    for name, patient in sorted(patients.items()):
        role = split.role_of(name)
        if role is not None:
            parts[patient].setdefault(role, name)
    shared = {patient: roles for patient, roles in sorted(parts.items()) if len(roles) > 1}
    for patient, roles in shared.items():
        shown = " and ".join(f"{role} ('{name}')" for role, name in roles.items())
        others = like_others(shared, "is", "are")
        otherwise = f", or, if the names mislead, say {SETTING} {IMAGES}" if by_names else ""
        raise InvalidInputError(
            f"{where} {split.file}: patient '{patient}' is for {shown}{others}: give all images of a patient "
            f"one role{otherwise}"
        )


def _read_table(file: Path) -> dict[str, str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            lines = opened.read().replace("\0", " ").splitlines()  # Python before 3.11 reads no table with a NUL
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"{SETTING} {file}: cannot be read ({error}): name a table with the columns image and patient"
        ) from error
    patients: dict[str, str] = {}
    try:
        for number, image, patient in _rows(file, lines):
            if patients.setdefault(image, patient) != patient:
                raise InvalidInputError(
                    f"{SETTING} {file}, line {number}: '{image}' is of '{patients[image]}' and of '{patient}': leave "
                    "one"
                )
    except csv.Error as error:
        raise InvalidInputError(f"{SETTING} {file}: no table ({error}): write it with commas or tabs") from error
    if not patients:
        raise InvalidInputError(f"{SETTING} {file}: it names no image: expected lines like 'case_1,patient_7'")
    return patients


def _rows(file: Path, lines: list[str]) -> Iterator[tuple[int, str, str]]:
    header = lines[0] if lines else ""
    delimiter = next((character for character in _DELIMITERS if character in header), ",")
    columns = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    if any(columns.count(name) != 1 for name in _COLUMNS):
        raise InvalidInputError(
            f"{SETTING} {file}: expected a first line with image and patient, got '{header[:80]}': write it so"
        )
    places = [columns.index(name) for name in _COLUMNS]
    for number, row in enumerate(csv.reader(lines[1:], delimiter=delimiter), start=2):
        if not any(cell.strip() for cell in row):
            continue
        image, patient = (row[place].strip() if place < len(row) else "" for place in places)
        name, who = written_name(image), cleaned(patient)
        if not name or who is None:
            raise InvalidInputError(
                f"{SETTING} {file}, line {number}: expected an image and its patient, got '{delimiter.join(row)[:80]}'"
            )
        yield number, name, who
