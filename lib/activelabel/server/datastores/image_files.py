"""Checks images that are added to the studies, and packs data sets for download."""

import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.names import ENDINGS, ending_of, label_words_off, no_image
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError


def require_new_image(image_id: str, source: Path, layout: ChannelLayout = ONE_CHANNEL) -> None:
    """Refuse a file that is not usable as an image with that id.

    Raises:
        InvalidInputError: the name or the id is not that of an image, or the file cannot be read.
    """
    problem = no_image(source.name)
    if problem == "":
        problem = f"expected a file that ends in {', '.join(ENDINGS)}: convert it"
    if problem is None and any(label_words_off(image_id)):
        problem = f"the id '{image_id}' is that of a label: choose another"
    if problem is not None:
        raise InvalidInputError(f"{source.name}: {problem}")
    if len(layout.files(source).paths) > 1:
        raise InvalidInputError(
            f"{source.name}: it is one channel of an image by its name, and one file is taken: put the files of all "
            "channels into the studies folder, or send one file with all of them as frames"
        )
    read_volume(layout.files(source))


def zip_of(cases: Iterable[tuple[str, ImageFiles, Path]], metadata: str) -> str:
    """Write images and labels, each under its id, and the JSON text `metadata` to a new ZIP file; return its path."""
    with (
        tempfile.NamedTemporaryFile(suffix=".zip", delete=False) as file,
        zipfile.ZipFile(file, mode="w") as archive,
    ):
        for image_id, image, label in cases:
            for path, name in image.moved(Path("image"), image_id).items():
                archive.write(
                    path, name.with_name(f"{name.name[: -len(ending_of(name.name))]}{ending_of(name.name).lower()}")
                )
            archive.write(label, f"label/{image_id}.nii.gz")
        archive.writestr("metadata.json", metadata)
    return file.name
