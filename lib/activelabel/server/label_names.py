"""Which structures are annotated: from `--conf labels`, a `dataset.json`, or the labels that are already there."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from activelabel.data.opening import open_voxels
from activelabel.data.segmentations import names_by_value, segments_of
from activelabel.data.studies_folder import label_files
from activelabel.errors import InvalidInputError
from activelabel.server.studies import is_pacs

logger = logging.getLogger(__name__)


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
    """The names that label files in `folder` hold, in the order of their values, then `label_N` to the largest value.

    A file that cannot be read says nothing: it is named when labels are taken in. Nothing if there is no file.
    """
    named: list[str] = []
    largest = 0
    for path in sorted(label_files(folder)):
        try:
            array, header = open_voxels(path)
            segments = segments_of(path.name, header.fields)
        except InvalidInputError as error:
            logger.warning("%s says nothing of the label names: %s", path, error)
            continue
        if segments is None:
            largest = max(largest, int(array.max(initial=0)))
        else:
            named += [name for name in names_by_value(segments) if name not in named]
    return (*named, *(f"label_{value}" for value in range(len(named) + 1, largest + 1)))
