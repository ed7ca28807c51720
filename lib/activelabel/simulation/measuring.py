"""How well a model segments the test cases: every metric of every structure in every case."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from activelabel.data.labels import LabelArray, check_label
from activelabel.data.volumes import read_grid
from activelabel.simulation.cases import Cases
from activelabel.simulation.metrics import dice, hausdorff_distance, mean_surface_distance, relative_volume_error


def check_test_cases(cases: Cases, labels: Sequence[str]) -> None:
    """Read the truth of all test cases, so that what cannot judge a model is known before one is trained.

    Raises:
        InvalidInputError: an image or label cannot be read, or the label does not belong to the image.
    """
    for case in cases.test:
        check_label(cases.labels[case], read_grid(cases.images[case]), labels)


def measure_test_cases(
    segment: Callable[[Path], LabelArray], cases: Cases, labels: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """A row for each test case and structure. Where a structure is in neither mask there is nothing to judge: Dice NaN.

    Args:
        segment: from the file of an image to values 0..N on the image's own grid.
        cases: of which those of `test` are segmented.
        labels: names of the values 1..N.

    Raises:
        InvalidInputError: an image or label cannot be read, or the label does not belong to the image.
    """
    for case in cases.test:
        grid = read_grid(cases.images[case])
        reference = check_label(cases.labels[case], grid, labels).array
        predicted = segment(cases.images[case])
        for value, name in enumerate(labels, start=1):
            masks = predicted == value, reference == value
            judged = masks[0].any() or masks[1].any()
            yield {
                "case": case,
                "label": name,
                "dice": dice(*masks, grid.spacing_mm) if judged else float("nan"),
                "relative_volume_error": relative_volume_error(*masks, grid.spacing_mm),
                "mean_surface_distance": mean_surface_distance(*masks, grid.spacing_mm),
                "hausdorff_distance": hausdorff_distance(*masks, grid.spacing_mm),
            }
