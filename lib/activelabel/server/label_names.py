"""Which structures are annotated: from `--conf labels`, a `dataset.json`, or the labels that are already there."""

import json
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np

from activelabel.errors import InvalidInputError
from activelabel.server.studies import is_pacs


def resolve_label_names(configured: Sequence[str], studies: str) -> tuple[str, ...]:
    """Names of the structures in the order of their values 1..N.

    The first of these that says something wins: `configured` (`--conf labels`); a Decathlon style `dataset.json` in
    the studies folder or beside it; the labels already in `labels/final`.

    Raises:
        InvalidInputError: none of them says anything (a PACS cannot), or what it says is contradictory.
    """
    if configured:
        return _checked(configured, "--conf labels")
    if is_pacs(studies):
        raise InvalidInputError("no label names: a PACS has none, so start with --conf labels liver,spleen")
    folder = Path(studies)
    for path in (folder / "dataset.json", folder.parent / "dataset.json"):
        if path.is_file():
            return _checked(_from_dataset_json(path), str(path))
    existing = _from_existing_labels(folder / "labels" / "final")
    if existing:
        return existing
    raise InvalidInputError(
        "no label names: start with --conf labels liver,spleen (a simulation with --label-names liver,spleen), or put "
        f'a dataset.json with "labels" into {studies}'
    )


def _checked(names: Sequence[str], origin: str) -> tuple[str, ...]:
    cleaned = tuple(str(name).strip() for name in names)
    doubled = {name for name in cleaned if cleaned.count(name) > 1}
    if doubled:
        raise InvalidInputError(f"{origin}: the label '{sorted(doubled)[0]}' is named twice; give each its own name")
    if not cleaned or "" in cleaned:
        raise InvalidInputError(f"{origin}: expected at least one name and no empty one, got {list(names)}")
    return cleaned


def _from_dataset_json(path: Path) -> list[str]:
    """Names by ascending value; value 0 is background and left out."""
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))["labels"]
        by_value = {int(value): str(name) for value, name in labels.items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InvalidInputError(
            f'{path}: expected "labels" like {{"0": "background", "1": "liver"}}, got {type(error).__name__}: {error}'
        ) from error
    values = sorted(value for value in by_value if value != 0)
    if values != list(range(1, len(values) + 1)):
        raise InvalidInputError(f"{path}: label values must be 1..N without a gap, got {values}")
    return [by_value[value] for value in values]


def _from_existing_labels(folder: Path) -> tuple[str, ...]:
    """`label_1` .. `label_N`, N the largest value in any label file of `folder`; nothing if there is no file."""
    largest = 0
    for path in sorted(folder.glob("*.nii*")):
        try:
            largest = max(largest, int(np.asanyarray(nibabel.load(path).dataobj).max(initial=0)))
        except (OSError, EOFError, nibabel.filebasedimages.ImageFileError) as error:
            raise InvalidInputError(f"{path}: expected a NIfTI label, got {error}; repair or remove it") from error
    return tuple(f"label_{value}" for value in range(1, largest + 1))
