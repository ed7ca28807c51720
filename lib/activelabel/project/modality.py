"""The modality of a project's images: determined once, when the project begins, and kept in the ledger."""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import compress
from pathlib import Path

import numpy as np

from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.data.files.image_files import AnyImage, ImageFiles
from activelabel.data.files.studies_folder import find_images
from activelabel.data.intensities import ChannelIntensities, measure_channels
from activelabel.data.modality import (
    AUTO,
    ProjectModality,
    channel_modality,
    dataset_modality,
    named_modality,
    voted_modality,
)
from activelabel.data.splits import smallest_by_hash
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.project.readability import MODALITY
from activelabel.project.studies import is_pacs
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)

VOTERS = 64
"""The most images that vote, chosen by a hash of their names if there are more: reading thousands takes hours."""
MOST_TRIED = 16 * VOTERS
"""How many images are tried if some cannot be read."""
MOST_HASHED = 64 * MOST_TRIED
"""Of how many images the names are hashed for that."""


def known_modality(ledger: Ledger) -> ProjectModality | None:
    """The modality in the ledger; None if it was not determined yet."""
    fact = ledger.fact(MODALITY)
    return None if fact is None else ProjectModality(fact.value, fact.reason)


def fixed_modality(
    ledger: Ledger,
    configured: str,
    studies: str,
    links_out: bool = False,
    layout: ChannelLayout = ONE_CHANNEL,
    images: Iterable[AnyImage] | None = None,
) -> ProjectModality | None:
    """The modality of a project: the recorded one, else it is determined now and recorded for good.

    `configured` (`--conf modality`) may correct it as long as no model has learned from images that were prepared
    otherwise. None if there is no image yet. `links_out` and
    `layout`: see `find_images`; `images`: see `find_modality`.

    Raises:
        InvalidInputError: `configured` or `dataset.json` names an unknown modality, or `configured` comes too late.
    """
    given = None if configured == AUTO else configured_modality(configured, layout)
    known = known_modality(ledger)
    if known is not None and (given is None or given.name == known.name):
        return known
    if known is not None and given is not None and given.kinds != known.kinds and _has_models(ledger):
        raise InvalidInputError(
            f"--conf modality {configured}: the project began with {known.name} ({known.reason}), and its models "
            "learned from images prepared as such: leave it out, or begin another project with --conf project_dir"
        )
    found = given or find_modality(studies, images, links_out=links_out, layout=layout)
    return None if found is None else fix_modality(ledger, found, again=given is not None)


def fix_modality(ledger: Ledger, found: ProjectModality, *, again: bool = False) -> ProjectModality:
    """Record the modality and return it. A recorded one stays and is returned, unless `again` replaces it."""
    fact = ledger.fix_fact(MODALITY, found.name, found.reason, again=again)
    fixed = ProjectModality(fact.value, fact.reason)
    logger.info("modality of the project: %s", fixed)
    return fixed


def configured_modality(configured: str, layout: ChannelLayout) -> ProjectModality:
    """The modality of `--conf modality`, one for all channels or one for each.

    Raises:
        InvalidInputError: a modality is unknown, or their number is another.
    """
    given = named_modality(configured, "--conf modality")
    if len(given.kinds) not in (1, max(1, len(layout.names))):
        raise InvalidInputError(
            f"--conf modality {configured}: {len(given.kinds)} modalities, expected one, or one for each channel "
            f"({', '.join(layout.names) or 'there is one'})"
        )
    return given


def find_modality(
    studies: str,
    images: Iterable[AnyImage] | None = None,
    links_out: bool = False,
    layout: ChannelLayout = ONE_CHANNEL,
) -> ProjectModality | None:
    """The modality by the names of channels, else by a `dataset.json` in the studies folder or beside it, else by a
    vote of the images.

    `images` are those of the folder, if they are known. None if no image can be read, and for a PACS, which is asked
    when it is opened.

    Raises the errors of `fixed_modality`.
    """
    if is_pacs(studies):
        return None
    folder = Path(studies)
    voting = _images_in(folder, links_out, layout) if images is None else images
    return declared_or_voted(folder, _voters(voting), layout)


def declared_or_voted(
    folder: Path, images: Iterable[ChannelIntensities], layout: ChannelLayout = ONE_CHANNEL
) -> ProjectModality | None:
    """The modality by a `dataset.json` in a folder or beside it, else by a majority of the images.

    Where channels have names, each name decides, and a majority where it tells nothing.

    Raises:
        InvalidInputError: the `dataset.json` names an unknown modality.
    """
    if layout.names:
        return _of_channels(layout.names, images)
    declared = dataset_modality((folder, folder.parent))
    if declared is not None:
        return declared
    votes = [bool(image[0].hounsfield) for image in images]
    return voted_modality(votes) if votes else None


def _of_channels(names: Sequence[str], images: Iterable[ChannelIntensities]) -> ProjectModality | None:
    named = [channel_modality(name) for name in names]
    if None not in named:
        return ProjectModality(", ".join(map(str, named)), "the names of the channels")
    measured = [image for image in images if len(image) == len(names)]
    if not measured:
        return None
    voted = [voted_modality([bool(image[place].hounsfield) for image in measured]) for place in range(len(names))]
    found = [name or vote.name for name, vote in zip(named, voted, strict=True)]
    silent = ", ".join(name for name, modality in zip(names, named, strict=True) if modality is None)
    return ProjectModality(
        ", ".join(found), f"the names of the channels, for {silent} a vote of {len(measured)} images"
    )


def _images_in(folder: Path, links_out: bool, layout: ChannelLayout) -> Iterator[AnyImage]:
    """Those images of a folder that `_voters` tries.

    The folder is read only when the first is asked for, as many folders declare a modality.
    """
    if folder.is_dir():
        found = find_images(folder, links_out=links_out, layout=layout)
        yield from images_to_try(folder, found.files.values(), layout)


def images_to_try(folder: Path, paths: Collection[str], layout: ChannelLayout) -> Iterator[AnyImage]:
    """Those of the images at these paths below a folder that vote, or are tried if others cannot be read.

    Of more than `MOST_HASHED`, sorted, only as many that lie evenly among them are drawn from: to hash the names of a
    million takes a second.
    """
    drawn = smallest_by_hash(_evenly(paths), MOST_TRIED, lambda path: path.rpartition("/")[2])
    yield from (layout.files(folder / path) for path in drawn)


def _evenly(paths: Collection[str]) -> list[str]:
    """All paths, or `MOST_HASHED` at most that lie evenly among them.

    Their places are multiples of the golden ratio: every second or tenth file may be of one sequence.
    """
    if len(paths) <= MOST_HASHED:
        return list(paths)
    taken = np.zeros(len(paths), np.bool_)
    taken[(len(paths) * (np.arange(MOST_HASHED) * (5**0.5 - 1) / 2 % 1)).astype(np.int64)] = True
    return list(compress(paths, taken.tolist()))


def _voters(images: Iterable[AnyImage]) -> Iterator[ChannelIntensities]:
    """The intensities of `VOTERS` readable images, drawn by the hash of their names; of all if there are fewer."""
    count = 0
    for image in smallest_by_hash(list(images), MOST_TRIED, lambda image: ImageFiles.of(image).name):
        try:
            intensities = measure_channels(read_volume(image).channels)
        except InvalidInputError as error:
            logger.warning("%s", error)
            continue
        yield intensities
        count += 1
        if count == VOTERS:
            return


def _has_models(ledger: Ledger) -> bool:
    return bool(ledger.models("task") or ledger.models("proxy"))
