"""The cases of an experiment: images with labels, of which the test cases are set aside before the first query."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.labels_folder import find_labels
from activelabel.data.files.links import make_link
from activelabel.data.files.names import ENDINGS
from activelabel.data.files.studies_folder import FolderContent, find_images, lines_on
from activelabel.data.given_splits import GivenSplit
from activelabel.data.patients.by_name import BY_NAMES, NAMES, shared_by_name
from activelabel.data.patients.given import GivenPatients, check_parts, patients_by_names
from activelabel.data.splits import choose_validation
from activelabel.errors import InvalidInputError


@dataclass(frozen=True)
class Cases:
    """Images and their true labels by id: strategies ask for cases of `pool`; those of `test` only judge the models.

    `passed_over`: one line for each reason why files of the two folders are not used. `label_names`: the names of the
    segmented structures; None until they are known.
    """

    images: Mapping[str, ImageFiles]
    labels: Mapping[str, Path]
    pool: tuple[str, ...]
    test: tuple[str, ...]
    passed_over: tuple[str, ...] = ()
    label_names: Sequence[str] | None = None


def find_cases(
    images: Path,
    labels: Path,
    test_cases: int | None,
    smallest_pool: int,
    without: Collection[Path] = (),
    split: GivenSplit | None = None,
    patients: GivenPatients | None = None,
    layout: ChannelLayout = ONE_CHANNEL,
    *,
    by_names: bool = False,
) -> Cases:
    """Pair the files of two folders by name and set the test cases aside, by a hash of their patients alone.

    No label is opened: its content must stay unknown until a query asks for it.

    Args:
        images: a folder of images.
        labels: a folder with a label for each image, of the same name or of that name with a word for label.
        test_cases: how many are set aside, default one in four.
        smallest_pool: how many cases must be left at least.
        without: folders in `images` that hold something else.
        split: a given split: its test cases are set aside, or its validation cases, as in nnU-Net, where none of its
            test cases is here. Images that it does not name take no part.
        patients: the given patients: all images of one are test cases, or none is. Images of unknown patients take no
            part. Without them, each image is a patient of its own.
        layout: how the channels of an image lie in files.
        by_names: without given patients, those that have several images by their names are split as given ones.

    Raises:
        InvalidInputError: a folder is missing or empty, an image has no label, there are too few cases, a split and
            a number of test cases are given, or a split gives a patient two roles.
    """
    for option, folder in (("--images", images), ("--labels", labels)):
        if not folder.is_dir():
            raise InvalidInputError(f"{option} {folder}: there is no such folder")
    together = images.resolve() == labels.resolve()
    apart = () if together else (labels,)
    content = find_images(images, without=(*apart, *without), links_out=True, layout=layout)
    if not content.files:
        raise InvalidInputError(f"--images {images}: expected files that end in {', '.join(ENDINGS)}, found none")
    pictures = {path for image_id in content.files for path in content.image(image_id).paths} if together else set()
    drawn = find_labels(images if together else labels, content.files, without=pictures)
    if together:
        beside = {path: why for path, why in content.passed_over.items() if path not in drawn.files.values()}
        content = replace(content, passed_over=beside)
    if not drawn.files and not drawn.passed_over:
        raise InvalidInputError(f"--labels {labels}: expected files that end in {', '.join(ENDINGS)}, found none")
    content, patients = _with_patients(content, patients, by_names)
    listed, unlisted = _listed(content.files, split)
    found = {image_id: content.image(image_id) for image_id in listed}
    true_labels = {image_id: drawn.path(image_id) for image_id in drawn.files}
    unlabelled = sorted(found.keys() - true_labels.keys())
    if unlabelled:
        raise InvalidInputError(
            f"--labels {labels}: {len(unlabelled)} of {len(found)} images have no label of their name, the first is "
            f"'{unlabelled[0]}': add it, or take the image out of {images}"
        )
    test = _test_cases(found, test_cases, split, patients)
    if not test and test_cases != 0:
        raise InvalidInputError(
            f"--conf patients: all {len(found)} images are of one patient, and none of a patient that is learnt from "
            "can test: add other patients, or say whose the images are"
        )
    if len(found) - len(test) < smallest_pool:
        raise InvalidInputError(
            f"--images {images}: {len(found)} cases, of which {len(test)} are set aside to test; expected at least "
            f"{smallest_pool} others to validate, begin with and ask for: add cases, or lower --test, --start, "
            "--query-size or --rounds"
        )
    passed_over = tuple(lines_on({**content.passed_over, **drawn.unused, **unlisted}))
    return Cases(found, true_labels, tuple(sorted(found.keys() - test)), tuple(sorted(test)), passed_over)


def _with_patients(
    content: FolderContent, patients: GivenPatients | None, by_names: bool
) -> tuple[FolderContent, GivenPatients | None]:
    """The images that take part, and their patients."""
    if patients is None and by_names and shared_by_name(content.files):
        patients = patients_by_names(NAMES, BY_NAMES)
    if patients is None:
        return content, None
    patients.require_some(content.files)
    return patients.known_only(content), patients


def _listed(files: Mapping[str, str], split: GivenSplit | None) -> tuple[list[str], dict[str, str]]:
    """The images that take part, and the reason by path for each that does not."""
    if split is None:
        return list(files), {}
    listed = [image_id for image_id in files if split.role_of(image_id) is not None]
    out = {path: f"{split.file} does not name it" for image_id, path in files.items() if image_id not in listed}
    if not listed:
        raise InvalidInputError(
            f"{split.file}: it names none of the {len(files)} images, of which the first is '{next(iter(files))}': "
            "name cases as their files"
        )
    return listed, out


def _test_cases(
    found: Collection[str], count: int | None, split: GivenSplit | None, patients: GivenPatients | None
) -> frozenset[str]:
    told = {} if patients is None else patients.of_all(found)
    if split is None:
        return choose_validation(found, max(1, len(found) // 4) if count is None else count, told)
    check_parts(split, told, "--conf splits", by_names=patients is not None and patients.others_alone)
    return _given_test(split, found, count)


def _given_test(split: GivenSplit, found: Collection[str], test_cases: int | None) -> frozenset[str]:
    if test_cases is not None:
        raise InvalidInputError(f"--test {test_cases}: {split.file} says which cases test: leave one of both out")
    given = split.of("test", found) or split.of("validation", found)
    if not given:
        raise InvalidInputError(
            f"{split.file}: none of its test or validation cases is here: add their images and labels"
        )
    return given


def link_images(cases: Cases, ids: Collection[str], studies: Path) -> None:
    """Make a studies folder of links to the images of these ids, under their ids.

    A link that is there stays, unless the image has moved since.
    """
    studies.mkdir(parents=True, exist_ok=True)
    for image_id in ids:
        # The link's own name is that of the image: its target may have any name.
        for file, link in cases.images[image_id].moved(studies, image_id).items():
            if not link.exists():
                link.unlink(missing_ok=True)
                make_link(link, file.resolve())
