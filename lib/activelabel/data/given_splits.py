"""A given split: the cases for training, validation and test, from a file.

The file is nnU-Net's `splits_final.json`, a `dataset.json` of the Medical Segmentation Decathlon, or a text file with
one case and its role on each line: `case_1 training`, `case_2 validation`, `case_3 test`.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from activelabel.data.case_names import names_of, written_name
from activelabel.errors import InvalidInputError

SplitRole = Literal["training", "validation", "test"]
_ROLES: Mapping[str, SplitRole] = {
    "train": "training", "training": "training", "tr": "training",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test", "ts": "test",
}  # fmt: skip


@dataclass(frozen=True)
class GivenSplit:
    """Roles by the names of cases. `file` names their source in messages."""

    file: str
    roles: Mapping[str, SplitRole]

    def role_of(self, image_id: str) -> SplitRole | None:
        """The role of an image; None if the file does not name it.

        The file may name an image by its id, by its name without folders, or by either without the first channel's
        number.
        """
        return next((self.roles[name] for name in names_of(image_id) if name in self.roles), None)

    def is_validation(self, image_id: str) -> bool:
        """Whether an image is for validation."""
        return self.role_of(image_id) == "validation"

    def without_test(self, image_ids: Iterable[str]) -> list[str]:
        """The images that are not test cases."""
        return [image_id for image_id in image_ids if self.role_of(image_id) != "test"]

    def of(self, role: SplitRole, image_ids: Collection[str]) -> frozenset[str]:
        """The images that have this role."""
        return frozenset(image_id for image_id in image_ids if self.role_of(image_id) == role)


def read_split(file: Path, fold: int = 0) -> GivenSplit:
    """The split in a file; `fold` chooses one of the splits of a `splits_final.json`.

    Raises:
        InvalidInputError: the file cannot be read, has another format, has no such fold, or gives a case two roles.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        content = json.loads(text) if file.suffix.lower() == ".json" else text
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{file}: cannot be read ({error}): name a file with the roles of the cases") from error
    named = list(_of_json(file, content, fold) if file.suffix.lower() == ".json" else _of_text(file, text))
    roles: dict[str, SplitRole] = {}
    for name, role in named:
        if roles.setdefault(name, role) != role:
            raise InvalidInputError(f"{file}: '{name}' is for {roles[name]} and for {role}: give each case one role")
    if not roles:
        raise InvalidInputError(f"{file}: it names no case: expected lines like 'case_1 training'")
    return GivenSplit(str(file), roles)


def _of_json(file: Path, content: Any, fold: int) -> Iterator[tuple[str, SplitRole]]:
    try:
        if isinstance(content, list):
            yield from _of_fold(file, content, fold)
            return
        for key in content:
            role = _ROLES.get(key)
            if role is not None and isinstance(content[key], list):
                for item in content[key]:
                    yield written_name(item["image"] if isinstance(item, dict) else item), role
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f'{file}: expected [{{"train": ["case_1"], "val": ["case_2"]}}] as nnU-Net writes it, or "training" and '
            f'"test" as the Decathlon does, got {type(error).__name__}: {error}'
        ) from error


def _of_fold(file: Path, folds: list[Any], fold: int) -> Iterator[tuple[str, SplitRole]]:
    if fold >= len(folds):
        raise InvalidInputError(
            f"{file}: fold {fold} is asked for, expected 0 to {len(folds) - 1}: choose another --conf splits_fold"
        )
    for key in ("train", "val"):
        for name in folds[fold][key]:
            yield written_name(name), _ROLES[key]


def _of_text(file: Path, text: str) -> Iterator[tuple[str, SplitRole]]:
    for number, line in enumerate(text.splitlines(), start=1):
        row = line.partition("#")[0].strip()
        if not row:
            continue
        found = re.fullmatch(r"(?P<name>.*\S)[\s,;]+(?P<role>\w+)", row)
        role = _ROLES.get(found["role"].lower()) if found else None
        if found is None or role is None:
            raise InvalidInputError(
                f"{file}, line {number}: expected a case and its role (training, validation or test), got '{row[:80]}'"
            )
        yield written_name(found["name"].rstrip(" ,;\t").strip("\"'")), role
