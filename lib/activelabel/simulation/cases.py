"""The cases of an experiment: images with their labels, those that judge set aside before anything is asked."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from activelabel.data.file_names import ENDINGS, ending_of
from activelabel.data.splits import choose_validation
from activelabel.data.studies_folder import find_images, find_labels, lines_on
from activelabel.errors import InvalidInputError


@dataclass(frozen=True)
class Cases:
    """Images and their true labels by id: `pool` are asked for, `test` judge the models and are never asked for.

    `passed_over`: one line a reason for which files of the two folders are not used. `label_names`: what is segmented;
    None until it is known.
    """

    images: Mapping[str, Path]
    labels: Mapping[str, Path]
    pool: tuple[str, ...]
    test: tuple[str, ...]
    passed_over: tuple[str, ...] = ()
    label_names: tuple[str, ...] | None = None


def find_cases(
    images: Path, labels: Path, test_cases: int | None, smallest_pool: int, without: Collection[Path] = ()
) -> Cases:
    """Pair the files of two folders by name and set the test cases aside, by a hash of their ids alone.

    No label is opened: what one holds nobody may know before it is asked for.

    Args:
        images: a folder of images.
        labels: a folder with a label for each of them, of the same name or of that with a word for label.
        test_cases: how many are set aside, default one in four.
        smallest_pool: how many cases must be left at least.
        without: folders in `images` that hold something else.

    Raises:
        InvalidInputError: a folder is missing or empty, an image has no label, or there are too few cases.
    """
    for option, folder in (("--images", images), ("--labels", labels)):
        if not folder.is_dir():
            raise InvalidInputError(f"{option} {folder}: there is no such folder")
    apart = () if images.resolve() == labels.resolve() else (labels,)
    content = find_images(images, without=(*apart, *without), links_out=True)
    if not content.files:
        raise InvalidInputError(f"--images {images}: expected files that end in {', '.join(ENDINGS)}, found none")
    drawn = find_labels(labels, content.files)
    if not drawn.files and not drawn.passed_over:
        raise InvalidInputError(f"--labels {labels}: expected files that end in {', '.join(ENDINGS)}, found none")
    found = {image_id: content.path(image_id) for image_id in content.files}
    truth = {image_id: drawn.path(image_id) for image_id in drawn.files}
    unlabelled = sorted(found.keys() - truth.keys())
    if unlabelled:
        raise InvalidInputError(
            f"--labels {labels}: {len(unlabelled)} of {len(found)} images have no label of their name, the first is "
            f"'{unlabelled[0]}': add it, or take the image out of {images}"
        )
    if test_cases is None:
        test_cases = max(1, len(found) // 4)
    if len(found) - test_cases < smallest_pool:
        raise InvalidInputError(
            f"--images {images}: {len(found)} cases, of which {test_cases} are set aside to test; expected at least "
            f"{smallest_pool} others to validate, begin with and ask for: add cases, or lower --test, --start, "
            "--query-size or --rounds"
        )
    test = choose_validation(found, test_cases)
    said = tuple(lines_on({**content.passed_over, **drawn.unused}))
    return Cases(found, truth, tuple(sorted(found.keys() - test)), tuple(sorted(test)), said)


def link_images(cases: Cases, ids: Collection[str], studies: Path) -> None:
    """Make a studies folder of links to the images of these ids, under their ids.

    A link that is there stays, unless the image has moved since.
    """
    studies.mkdir(parents=True, exist_ok=True)
    for image_id in ids:
        image = cases.images[image_id]
        link = studies / f"{image_id}{ending_of(image.name)}"  # its own: what a link leads to may have any name
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(image.resolve())
