"""The annotated structures and their values: from `--conf labels`, a `dataset.json`, or the existing labels.

From its first label on, a project keeps its names and values: a value never changes its meaning.
"""

import itertools
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activelabel.data.dataset_json import DatasetDescription, read_dataset
from activelabel.data.files.labels_folder import label_files
from activelabel.data.files.names import ENDINGS, ending_of
from activelabel.data.files.opening import finite, open_voxels
from activelabel.data.label_checking import whole_numbers
from activelabel.data.labels.label_map import IGNORE, LARGEST_VALUE, LabelMap, label_map_of
from activelabel.data.labels.label_texts import BACKGROUND, checked_map, parse_labels, text_of
from activelabel.data.segmentations import names_by_value, segments_of
from activelabel.errors import InvalidInputError
from activelabel.project.studies import is_pacs, require_studies

logger = logging.getLogger(__name__)

_VALUE_0 = frozenset(
    {"background", "bg", "air", "clear", "clear label", "empty", "exterior", "none", "nothing", "other", "outside",
     "unlabeled", "unlabelled", "void", "0", ""}
)  # fmt: skip
"""The names that data sets give value 0. Any other name is a structure with a wrong value."""
_MOST_STRUCTURES = 256
"""A file with more values is an image: the finest atlases of the brain have two hundred."""


def resolve_label_names(
    configured: Sequence[str],
    studies: str,
    kept: Callable[[], Sequence[str] | None] = lambda: None,
    links_out: bool = False,
) -> LabelMap:
    """The structures, and what the values of label files mean.

    The first source that has names wins: `configured` (`--conf labels`); a `dataset.json` in the studies folder
    or beside it, as the Medical Segmentation Decathlon or nnU-Net write it; the names that the project has `kept` with
    its labels; the labels already in `labels/final`, including links out of the studies folder if `links_out`.

    Raises:
        InvalidInputError: no source has names (a PACS never does), a source is contradictory, or the folder that is to
            have them is not there.
    """
    if configured:
        return parse_labels(configured, "--conf labels")
    if not is_pacs(studies):
        folder = Path(studies)
        for path in (folder / "dataset.json", folder.parent / "dataset.json"):
            if path.is_file():
                return _from_dataset_json(path)
    names = kept()
    if names is None and is_pacs(studies):
        raise InvalidInputError("no label names: a PACS has none, so start with --conf labels liver,spleen")
    if not names:
        require_studies(studies)
        names = _from_existing_labels(Path(studies), links_out)
    if names:
        return label_map_of(names)
    raise InvalidInputError(
        "no label names: start with --conf labels liver,spleen (a simulation with --label-names liver,spleen), or put "
        f'a dataset.json with "labels" into {studies}'
    )


def check_same_names(names: Sequence[str], kept: Sequence[str], by: str) -> None:
    """Check that `names` give each value the meaning that it has in `kept`: names may only be added at the end.

    Raises:
        InvalidInputError: a value would change its meaning; the message has both lists, and `by` for the kept one.
    """
    given, known = label_map_of(names), label_map_of(kept)
    if given.begins_with(known):
        return
    now, before = text_of(given), text_of(known)
    raise InvalidInputError(
        f"labels {now}: {by} the names {before}, in this order, and values would mean something else: start with "
        f"--conf labels {before} (more names may follow), or begin another project with --conf project_dir"
    )


def _from_dataset_json(path: Path) -> LabelMap:
    """The structures of a data set: by rising value, or in the order of the file if some have several values.

    The Medical Segmentation Decathlon writes {"1": "liver"}, nnU-Net {"liver": 1} or {"liver": [1, 2]}.
    """
    dataset = read_dataset(path)
    _check_understood(dataset)
    structures, background, ignored = dict[str, tuple[int, ...]](), tuple[int, ...](), tuple[int, ...]()
    for name, values in dataset.labels.items():
        if 0 in values and (len(values) == 1 or name.strip().casefold() == BACKGROUND):
            if name.strip().casefold() not in _VALUE_0:
                raise InvalidInputError(
                    f"{path}: value 0 is '{name}', expected the background: give the structures the values 1..N"
                )
            background = values
        elif name.strip().casefold() == IGNORE:
            ignored = values
        else:
            structures[name.strip()] = values
    if not dataset.regions:
        structures = dict(sorted(structures.items(), key=lambda item: item[1]))
    labels = LabelMap(tuple(structures), tuple(structures.values()), ignored, background, dataset.regions_class_order)
    return checked_map(labels, str(path))


def _check_understood(dataset: DatasetDescription) -> None:
    """Refuse options of a data set that this package does not support: they would be learned wrongly."""
    if dataset.file_ending and not ending_of(f"x{dataset.file_ending}"):
        raise InvalidInputError(
            f"{dataset.path}: its files end in {dataset.file_ending}, expected one of {', '.join(ENDINGS)}: convert "
            "them"
        )


def _from_existing_labels(studies: Path, links_out: bool) -> LabelMap | None:
    """The structures in the label files of a studies folder: named segments, and `label_N` for values without a name.

    Values that no file has are no structures: nobody could learn or judge them. A file that cannot be read, or is no
    label map, is skipped with a warning. None if there is no file.
    """
    named: list[str] = []
    values: set[int] = set()
    for path in sorted(label_files(studies / "labels" / "final", None if links_out else studies)):
        try:
            array, header = open_voxels(path)
            segments = segments_of(path.name, header.fields)
            if segments is None:
                values |= _drawn_values(path, array)
        except InvalidInputError as error:
            logger.warning("%s says nothing of the label names: %s", path, error)
            continue
        named += [name for name in names_by_value(segments or ()) if name not in named]
    by_value = dict(enumerate(named, start=1))
    for value in sorted(values - by_value.keys()):
        by_value[value] = _free_name(f"label_{value}", by_value.values())
    if not by_value:
        return None
    labels = LabelMap(tuple(by_value.values()), tuple((value,) for value in by_value))
    return checked_map(labels, str(studies / "labels" / "final"))


def _free_name(name: str, used: Collection[str]) -> str:
    """A name, with a number behind it if a segment is called so too."""
    taken = {other.casefold() for other in used}
    numbered = (f"{name}_{number}" for number in itertools.count(2))
    return name if name.casefold() not in taken else next(one for one in numbered if one.casefold() not in taken)


def _drawn_values(path: Path, array: NDArray[np.float32]) -> set[int]:
    """The values above 0 of a label map.

    Raises:
        InvalidInputError: they are no whole numbers from 0 to the largest that a label may have, or too many.
    """
    values = np.unique(whole_numbers(path, finite(path, array)))
    if values.min() < 0 or values.max() > LARGEST_VALUE or len(values) > _MOST_STRUCTURES:
        raise InvalidInputError(
            f"{path.name}: it holds {len(values):,} values from {values.min():g} to {values.max():g}, expected at most "
            f"{_MOST_STRUCTURES} from 0 to {LARGEST_VALUE}: it looks like an image, take it out or name the structures "
            "with --conf labels"
        )
    return {int(value) for value in values if value}
