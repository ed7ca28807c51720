"""Interfaces for finding the images of a project; the host's datastores implement them."""

from typing import Any, Protocol

from activelabel.data.files.image_files import ImageFiles


class Images(Protocol):
    """Finds the files of an image."""

    def image_files(self, image_id: str) -> ImageFiles:
        """The files of an image."""


class DescribedImages(Images, Protocol):
    """Images with further information."""

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """The information about an image, such as the tags of a series."""
