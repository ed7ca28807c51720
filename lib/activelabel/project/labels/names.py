"""The annotated structures: from `--conf labels`, a `dataset.json`, or the existing labels.

From its first label on, a project keeps its names: a value never changes its meaning.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from activelabel.data.dataset_json import IGNORE, DatasetDescription, read_dataset
from activelabel.data.files.names import ENDINGS, ending_of
from activelabel.data.files.opening import open_voxels
from activelabel.data.files.studies_folder import label_files
from activelabel.data.segmentations import names_by_value, segments_of
from activelabel.errors import InvalidInputError
from activelabel.project.studies import is_pacs

logger = logging.getLogger(__name__)

BACKGROUND = "background"
_VALUE_0 = frozenset(
    {"background", "bg", "air", "clear", "clear label", "empty", "exterior", "none", "nothing", "other", "outside",
     "unlabeled", "unlabelled", "void", "0", ""}
)  # fmt: skip
"""The names that data sets give value 0. Any other name is a structure with a wrong value."""


def resolve_label_names(
    configured: Sequence[str],
    studies: str,
    kept: Callable[[], tuple[str, ...] | None] = lambda: None,
    links_out: bool = False,
) -> tuple[str, ...]:
    """Names of the structures in the order of their values 1..N.

    The first source that has names wins: `configured` (`--conf labels`); a `dataset.json` in the studies folder
    or beside it, as the Medical Segmentation Decathlon or nnU-Net write it; the names that the project has `kept` with
    its labels; the labels already in `labels/final`, including links out of the studies folder if `links_out`.

    Raises:
        InvalidInputError: no source has names (a PACS never does), or a source is contradictory.
    """
    if configured:
        return _checked(configured, "--conf labels")
    if not is_pacs(studies):
        folder = Path(studies)
        for path in (folder / "dataset.json", folder.parent / "dataset.json"):
            if path.is_file():
                return _checked(_from_dataset_json(path), str(path))
    names = kept()
    if names is None and is_pacs(studies):
        raise InvalidInputError("no label names: a PACS has none, so start with --conf labels liver,spleen")
    names = names or _from_existing_labels(Path(studies), links_out)
    if names:
        return names
    raise InvalidInputError(
        "no label names: start with --conf labels liver,spleen (a simulation with --label-names liver,spleen), or put "
        f'a dataset.json with "labels" into {studies}'
    )


def check_same_names(names: Sequence[str], kept: Sequence[str], by: str) -> None:
    """Check that `names` give each value the name that it has in `kept`: names may only be added at the end.

    Raises:
        InvalidInputError: a value would change its meaning; the message has both lists, and `by` for the kept one.
    """
    if tuple(names[: len(kept)]) == tuple(kept):
        return
    given, known = ",".join(names), ",".join(kept)
    raise InvalidInputError(
        f"labels {given}: {by} the names {known}, in this order, and values would mean something else: start with "
        f"--conf labels {known} (more names may follow), or begin another project with --conf project_dir"
    )


def _checked(names: Sequence[str], origin: str) -> tuple[str, ...]:
    cleaned = tuple(str(name).strip() for name in names)
    doubled = {name for name in cleaned if cleaned.count(name) > 1}
    if doubled:
        raise InvalidInputError(f"{origin}: the label '{sorted(doubled)[0]}' is named twice; give each its own name")
    if not cleaned or "" in cleaned:
        raise InvalidInputError(f"{origin}: expected at least one name and no empty one, got {list(names)}")
    hidden = [name for name in cleaned if not name.isprintable()]
    if hidden:
        raise InvalidInputError(
            f"{origin}: the label {hidden[0]!a} has characters that cannot be shown; name it without them"
        )
    structures = [name for name in cleaned if name.casefold() != BACKGROUND]
    if len(structures) < len(cleaned):
        raise InvalidInputError(
            f"{origin} {','.join(cleaned)}: background is value 0 and is never listed: "
            f"--conf labels {','.join(structures) or 'liver'}"
        )
    return cleaned


def _from_dataset_json(path: Path) -> list[str]:
    """The names by ascending value, without value 0, the background.

    The Medical Segmentation Decathlon writes {"1": "liver"}, nnU-Net {"liver": 1}.
    """
    dataset = read_dataset(path)
    _check_understood(dataset)
    by_value = {values[0]: name for name, values in dataset.labels.items()}
    if by_value.get(0, "").strip().casefold() not in _VALUE_0:
        raise InvalidInputError(
            f"{path}: value 0 is '{by_value[0]}', expected the background: give the structures the values 1..N"
        )
    values = sorted(value for value in by_value if value != 0)
    if values != list(range(1, len(values) + 1)):
        raise InvalidInputError(f"{path}: label values must be 1..N without a gap, got {values}")
    return [by_value[value] for value in values]


def _check_understood(dataset: DatasetDescription) -> None:
    """Refuse options of a data set that this package does not support: they would be learned wrongly."""
    if dataset.regions:
        name, values = next(iter(dataset.regions.items()))
        raise InvalidInputError(
            f"{dataset.path}: '{name}' is a region of the values {', '.join(map(str, values))}, expected one value a "
            "structure: name what each value itself is, in their order, with --conf labels a,b,c"
        )
    if any(name.strip().casefold() == IGNORE for name in dataset.labels):
        raise InvalidInputError(
            f"{dataset.path}: it has a label '{IGNORE}', whose voxels nobody judges, and it would be learnt as a "
            "structure: take it out of the labels"
        )
    if dataset.file_ending and not ending_of(f"x{dataset.file_ending}"):
        raise InvalidInputError(
            f"{dataset.path}: its files end in {dataset.file_ending}, expected one of {', '.join(ENDINGS)}: convert "
            "them"
        )


def _from_existing_labels(studies: Path, links_out: bool) -> tuple[str, ...]:
    """The names in the label files of a studies folder by value; values without a name are called `label_N`.

    A file that cannot be read is skipped with a warning. The result is empty if there is no file.
    """
    named: list[str] = []
    largest = 0
    for path in sorted(label_files(studies / "labels" / "final", None if links_out else studies)):
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
