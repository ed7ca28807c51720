"""Reads the images of a project, and records their content in the ledger.

All code that reads an image of the project uses this module. An error while a case is read concerns only this case,
which `setting_aside` then leaves out.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from activelabel.data.files.image_files import AnyImage, ImageFiles
from activelabel.data.files.one_case import one_case
from activelabel.data.files.state import FileState, state_of
from activelabel.data.intensities import (
    FEWEST,
    NO_HOUNSFIELD,
    ChannelIntensities,
    from_numbers,
    measure_channels,
    odd_channels,
    offset_images,
)
from activelabel.data.modality import ProjectModality
from activelabel.data.preprocessing import PreparedImage
from activelabel.data.volumes import Volume, read_volume
from activelabel.errors import InvalidInputError
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.prediction.prepared.one_reader import OneReader
from activelabel.recipes import PreprocessingSettings
from activelabel.store.ledger import Ledger
from activelabel.store.records.images import Image
from activelabel.store.records.labels import Annotation

logger = logging.getLogger(__name__)

MODALITY = "modality"
"""The fact of the ledger that says what the images of the project are."""
MOST_REMEMBERED = 50_000
"""The number of images of which a pass over all of them remembers what the ledger knew."""
COMPARED = 64
"""The number of other images with which the intensities of a new image are compared."""
_READING = OneReader()
"""The images that threads of this process read to record their content."""


def read_case(image_id: str, image: AnyImage, ledger: Ledger) -> Volume:
    """An image of the project, whose current content is recorded in the ledger.

    Raises:
        InvalidInputError: the image cannot be read, or is not the one on which its label was drawn.
    """
    with one_case(image_id):
        volume = read_volume(image)
        note_image(image_id, image, ledger, volume)
        check_unchanged(image_id, ledger)
        return volume


@dataclass(frozen=True)
class Snapshot:
    """What the ledger knew when a pass over many images began, so that it is not asked again for each image.

    Of more than `MOST_REMEMBERED` images it holds none, since they would take gigabytes.
    """

    images: Mapping[str, Image]
    labelled: frozenset[str]

    @classmethod
    def of(cls, ledger: Ledger) -> "Snapshot":
        """What the ledger knows now."""
        labelled = frozenset(label.image_id for label in ledger.current_labels())
        few = ledger.count_usable() <= MOST_REMEMBERED
        return cls({image.id: image for image in ledger.images()} if few else {}, labelled)

    def has_noted(self, image_id: str, image: ImageFiles) -> bool:
        """Whether the present files of an image have been recorded."""
        known = self.images.get(image_id)
        return known is not None and _is_as_noted(known, state_of(image))


def prepare_case(
    image_id: str,
    image: AnyImage,
    ledger: Ledger,
    settings: PreprocessingSettings,
    kept: PreparedImages,
    snapshot: Snapshot | None = None,
) -> PreparedImage:
    """The network's input made from an image of the project, whose current content is recorded in the ledger.

    An image that is `kept` is not read, unless the ledger does not know this state of its files. The ledger is asked
    only for what the `snapshot` does not tell.

    Raises:
        InvalidInputError: as `read_case`, or the image cannot be resampled.
    """
    with one_case(image_id):
        prepared = kept.get(image, settings, lambda volume: note_image(image_id, image, ledger, volume))
        if snapshot is None or not snapshot.has_noted(image_id, ImageFiles.of(image)):
            note_image(image_id, image, ledger)
        if snapshot is None or image_id in snapshot.labelled:
            check_unchanged(image_id, ledger)
        return prepared


def note_image(image_id: str, image: AnyImage, ledger: Ledger, volume: Volume | None = None) -> None:
    """Record the content of an image's files in the ledger, unless their size and times are as they were recorded.

    An image whose intensities differ from those of the others is logged. If another thread reads the same image, this
    waits for it.

    Raises:
        InvalidInputError: the image cannot be read.
    """
    if _has_noted(image_id, image, ledger):
        return
    if volume is not None:
        _note(image_id, image, ledger, volume)
        return
    ledger.look_anew()
    with _READING.alone(ImageFiles.of(image).path) as has_waited:
        if not (has_waited and _has_noted(image_id, image, ledger)):
            _note(image_id, image, ledger)


def _has_noted(image_id: str, image: AnyImage, ledger: Ledger) -> bool:
    state, known = state_of(ImageFiles.of(image)), ledger.image(image_id)
    if not _is_as_noted(known, state):
        return False
    if known.file_changed_ns is None and state.changed_ns:  # an earlier version has noted it
        ledger.note_file_changed(image_id, state.changed_ns)
    return True


def _note(image_id: str, image: AnyImage, ledger: Ledger, volume: Volume | None = None) -> None:
    """Record the content of an image's files, which are read unless their `volume` is given."""
    state = state_of(ImageFiles.of(image))  # before they are read: they may change meanwhile
    volume = volume or read_volume(image)
    intensities = measure_channels(volume.channels)
    numbers = [number for channel in intensities for number in channel.as_tuple()]
    size, modified_ns, changed_ns = state
    ledger.record_file(image_id, content_sha256(volume), size, modified_ns, numbers, changed_ns or None)
    others = known_intensities(ledger, COMPARED)
    names = [channel.name for channel in ImageFiles.of(image).channels]
    odd = odd_channels({**others, image_id: intensities}, names).get(image_id)
    if odd is not None:
        logger.warning("%s: %s", image_id, odd)
    fact = ledger.fact(MODALITY)
    if fact is not None:
        modality = ProjectModality(fact.value, fact.reason)
        offset = offset_images({**others, image_id: intensities}, lambda place: modality.kind_of(place) == "CT")
        if image_id in offset and len(offset) <= FEWEST:  # not a line for each of thousands
            logger.warning("%s: %s", image_id, NO_HOUNSFIELD)


def check_unchanged(image_id: str, ledger: Ledger) -> None:
    """Check that, according to the ledger, an image is the one on which its label was drawn.

    Raises:
        InvalidInputError: it is another one.
    """
    image, label = ledger.image_and_label(image_id)
    if label is not None:
        require_same_image(label, image.content_sha256)


def require_same_image(label: Annotation, content: str | None) -> None:
    """Check that an image of this content, if it is known, is the one on which a label was drawn.

    Raises:
        InvalidInputError: it is another one.
    """
    if label.image_sha256 is None or content in (None, label.image_sha256):
        return
    raise InvalidInputError(
        f"{label.image_id}: its image has changed since its label was drawn ({label.created_at:%Y-%m-%d}), so that "
        "nothing is learnt from it: put the earlier file back, or draw its label again on this one"
    )


def content_sha256(volume: Volume) -> str:
    """The SHA-256 of an image's shape and voxels, which does not depend on the compression of the file.

    All channels count; one that lay on another grid counts as its file has it, see `Volume.resampled`.
    """
    channels = volume.channels
    digest = hashlib.sha256(repr(volume.array.shape if len(channels) == 1 else channels.shape).encode())
    for place, channel in enumerate(channels):
        if place in volume.resampled:
            digest.update(volume.resampled[place].encode())
        else:
            digest.update(np.ascontiguousarray(channel).data)
    return digest.hexdigest()


def known_intensities(ledger: Ledger, limit: int) -> dict[str, ChannelIntensities]:
    """The intensities of the channels of the first images that were read."""
    return {image_id: from_numbers(numbers) for image_id, numbers in ledger.measured_intensities(limit).items()}


def has_changed(image: Image, files: ImageFiles) -> bool:
    """Whether size or times of an image's files differ from those at its last reading, if there was one."""
    if image.file_size is None or not files.all_exist():
        return False
    return not _is_as_noted(image, state_of(files))


def may_be_touched_only(image: Image, files: ImageFiles) -> bool:
    """Whether nothing tells that the content of an image's files `has_changed`: their size and time are the same.

    So it is of all images of a folder that was copied or restored with its times, and of a file in which a program has
    changed something and put the time back.
    """
    state = state_of(files)
    return (image.file_size, image.file_modified_ns) == (state.size, state.modified_ns)


def _is_as_noted(image: Image, state: FileState) -> bool:
    """Whether files in this state are as the ledger knows them. When they changed counts where both sides know it."""
    if (image.file_size, image.file_modified_ns) != (state.size, state.modified_ns):
        return False
    return image.file_changed_ns in (None, state.changed_ns) or not state.changed_ns
