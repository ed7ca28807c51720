"""The quality of a model on the test cases: every metric of every structure in every case."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.one_case import one_case
from activelabel.data.label_checking import check_label
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.labels.label_map import label_map_of
from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import InvalidInputError
from activelabel.simulation.cases import Cases
from activelabel.simulation.metrics import dice, hausdorff_distance, mean_surface_distance, relative_volume_error


def sound_test_cases(cases: Cases, labels: Sequence[str]) -> tuple[Cases, dict[str, str]]:
    """The cases with their label names, without unusable ones of `test`, and a line on why each of these is unusable.

    This check comes before the first model is trained.

    Raises:
        InvalidInputError: no test case is usable; the line is that of the first.
    """
    problems: dict[str, str] = {}
    for case in cases.test:
        try:
            with one_case(case):
                check_label(cases.labels[case], read_volume(cases.images[case]).grid, labels)
        except InvalidInputError as error:
            if len(problems) + 1 == len(cases.test):
                raise
            problems[case] = str(error)
    sound = tuple(case for case in cases.test if case not in problems)
    return replace(cases, test=sound, label_names=label_map_of(labels)), problems


def measure_test_cases(
    segment: Callable[[ImageFiles], LabelArray], cases: Cases, labels: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """A row for each test case and structure. Where a structure is in neither mask, its Dice is NaN.

    Args:
        segment: maps the files of an image to a label on the image's own grid.
        cases: the model segments those of `test`.
        labels: the label map, or names of the values 1..N. Voxels that the reference ignores are in no mask.

    Raises:
        InvalidInputError: an image or label cannot be read, or the label does not belong to the image.
    """
    for case in cases.test:
        grid = read_grid(cases.images[case])
        reference = check_label(cases.labels[case], grid, labels).array
        predicted = segment(cases.images[case])
        values = label_map_of(labels)
        not_ignored = values.judged(reference)
        for index, name in enumerate(values):
            masks = values.structure(index, predicted) & not_ignored, values.structure(index, reference)
            judged = masks[0].any() or masks[1].any()
            yield {
                "case": case,
                "label": name,
                "dice": dice(*masks, grid.spacing_mm) if judged else float("nan"),
                "relative_volume_error": relative_volume_error(*masks, grid.spacing_mm),
                "mean_surface_distance": mean_surface_distance(*masks, grid.spacing_mm),
                "hausdorff_distance": hausdorff_distance(*masks, grid.spacing_mm),
            }
