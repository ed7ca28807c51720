"""The modality of a project's images: determined once, when the project begins, and kept in the ledger."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from activelabel.data.files.studies_folder import find_images
from activelabel.data.files.volumes import read_volume
from activelabel.data.intensities import Intensities, measure_intensities
from activelabel.data.modality import (
    AUTO,
    ProjectModality,
    dataset_modality,
    named_modality,
    voted_modality,
)
from activelabel.data.splits import stable_fraction
from activelabel.errors import InvalidInputError
from activelabel.project.studies import is_pacs
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)

FACT = "modality"
VOTERS = 64
"""The most images that vote, chosen by a hash of their names if there are more: reading thousands takes hours."""


def known_modality(ledger: Ledger) -> ProjectModality | None:
    """The modality in the ledger; None if it was not determined yet."""
    fact = ledger.fact(FACT)
    return None if fact is None else ProjectModality(fact.value, fact.reason)


def fixed_modality(ledger: Ledger, configured: str, studies: str, links_out: bool = False) -> ProjectModality | None:
    """The modality of a project: the recorded one, else it is determined now and recorded for good.

    `configured` (`--conf modality`) may correct it as long as no model has learned from images that were prepared
    otherwise. None if there is no image yet. `links_out`: see `find_images`.

    Raises:
        InvalidInputError: `configured` or `dataset.json` names an unknown modality, or `configured` comes too late.
    """
    given = None if configured == AUTO else named_modality(configured, "--conf modality")
    known = known_modality(ledger)
    if known is not None and (given is None or given.name == known.name):
        return known
    if known is not None and given is not None and given.kind != known.kind and _has_models(ledger):
        raise InvalidInputError(
            f"--conf modality {configured}: the project began with {known.name} ({known.reason}), and its models "
            "learned from images prepared as such: leave it out, or begin another project with --conf project_dir"
        )
    found = given or find_modality(studies, links_out=links_out)
    return None if found is None else fix_modality(ledger, found, again=given is not None)


def fix_modality(ledger: Ledger, found: ProjectModality, *, again: bool = False) -> ProjectModality:
    """Record the modality and return it. A recorded one stays and is returned, unless `again` replaces it."""
    fact = ledger.fix_fact(FACT, found.name, found.reason, again=again)
    fixed = ProjectModality(fact.value, fact.reason)
    logger.info("modality of the project: %s", fixed)
    return fixed


def find_modality(
    studies: str, images: Sequence[Path] | None = None, links_out: bool = False
) -> ProjectModality | None:
    """The modality by a `dataset.json` in the studies folder or beside it, else by a vote of the images.

    `images` are those of the folder, if they are known. None if no image can be read, and for a PACS, which is asked
    when it is opened.

    Raises the errors of `fixed_modality`.
    """
    if is_pacs(studies):
        return None
    folder = Path(studies)
    if images is None:
        found = find_images(folder, links_out=links_out) if folder.is_dir() else None
        images = [] if found is None else [found.path(image_id) for image_id in found.files]
    return declared_or_voted(folder, _voters(images))


def declared_or_voted(folder: Path, images: Iterable[Intensities]) -> ProjectModality | None:
    """The modality by a `dataset.json` in a folder or beside it, else by a majority of the images.

    Raises:
        InvalidInputError: the `dataset.json` names an unknown modality.
    """
    declared = dataset_modality((folder, folder.parent))
    if declared is not None:
        return declared
    votes = [bool(image.hounsfield) for image in images]
    return voted_modality(votes) if votes else None


def _voters(images: Iterable[Path]) -> Iterator[Intensities]:
    drawn = sorted(images, key=lambda path: (stable_fraction(path.name), path.name))
    count = 0
    for path in drawn:
        try:
            intensities = measure_intensities(read_volume(path).array)
        except InvalidInputError as error:
            logger.warning("%s", error)
            continue
        yield intensities
        count += 1
        if count == VOTERS:
            return


def _has_models(ledger: Ledger) -> bool:
    return bool(ledger.models("task") or ledger.models("proxy"))
