"""The channel that viewers show, as a file of its own, of an image whose channels are frames of one file."""

import os
from pathlib import Path

from filelock import FileLock

from activelabel.data.dicom_objects.series import write_volume
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.state import is_made_from, note_made_from, state_of
from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.data.volumes import read_volume

SHOWN = "shown"
"""The folder, below that of the project, of the files for viewers."""


def shown_channel(image: ImageFiles, folder: Path, image_id: str) -> Path:
    """A file in `folder` with the shown channel of an image, made anew if the image's file or the channel has changed.

    It has the time of the image's file, so that who asks for it notices a change.

    Raises:
        InvalidInputError: the image cannot be read.
    """
    file = folder / f"{image.channels[image.shown].frame}" / f"{image_id}{LABEL_ENDING}"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        if not is_made_from(file, image):
            state = state_of(image)
            unfinished = file.with_name(f".{file.name}")
            write_volume(unfinished, read_volume(image))
            os.utime(unfinished, ns=(state.modified_ns, state.modified_ns))
            unfinished.replace(file)
            note_made_from(file, state)
    return file
