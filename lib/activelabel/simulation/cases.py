"""The cases of an experiment: images with their labels, those that judge set aside before anything is asked."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from activelabel.data.splits import choose_validation
from activelabel.data.volumes import ITK_SUFFIXES, NIFTI_SUFFIXES
from activelabel.errors import InvalidInputError
from activelabel.server.datastore import IMAGE_PATTERNS

_IMAGES = tuple(pattern.removeprefix("*") for pattern in IMAGE_PATTERNS)
_LABELS = (*reversed(NIFTI_SUFFIXES), *ITK_SUFFIXES)  # .nii.gz ends in no other of them


@dataclass(frozen=True)
class Cases:
    """Images and their true labels by id: `pool` are asked for, `test` judge the models and are never asked for."""

    images: Mapping[str, Path]
    labels: Mapping[str, Path]
    pool: tuple[str, ...]
    test: tuple[str, ...]


def find_cases(images: Path, labels: Path, test_cases: int | None, smallest_pool: int) -> Cases:
    """Pair the files of two folders by name and set the test cases aside, by a hash of their ids alone.

    No label is opened: what one holds nobody may know before it is asked for.

    Args:
        images: a folder of images.
        labels: a folder with a label of the same name for each of them.
        test_cases: how many are set aside, default one in four.
        smallest_pool: how many cases must be left at least.

    Raises:
        InvalidInputError: a folder is missing or empty, an image has no label, or there are too few cases.
    """
    found, truth = _by_id(images, "--images", _IMAGES), _by_id(labels, "--labels", _LABELS)
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
    return Cases(found, {name: truth[name] for name in found}, tuple(sorted(found.keys() - test)), tuple(sorted(test)))


def link_images(cases: Cases, ids: Collection[str], studies: Path) -> None:
    """Make a studies folder of links to the images of these ids, under their ids.

    A link that is there stays, unless the image has moved since.
    """
    studies.mkdir(parents=True, exist_ok=True)
    for image_id in ids:
        image = cases.images[image_id]
        link = studies / f"{image_id}{_ending(image, _IMAGES)}"  # its own: what a link leads to may have any name
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(image.resolve())


def _by_id(folder: Path, option: str, endings: Sequence[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise InvalidInputError(f"{option} {folder}: there is no such folder")
    files = [path for path in sorted(folder.iterdir()) if _ending(path, endings) and not path.name.startswith(".")]
    if not files:
        raise InvalidInputError(f"{option} {folder}: expected files that end in {', '.join(endings)}, found none")
    by_id: dict[str, Path] = {}
    for path in files:
        name = path.name.removesuffix(_ending(path, endings))
        if name in by_id:
            raise InvalidInputError(f"{option} {folder}: {by_id[name].name} and {path.name} are both '{name}'")
        by_id[name] = path
    return by_id


def _ending(path: Path, endings: Sequence[str]) -> str:
    return next((ending for ending in endings if path.name.endswith(ending)), "")
