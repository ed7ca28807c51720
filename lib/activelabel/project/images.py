"""Interfaces for finding the images of a project; the host's datastores implement them."""

from typing import Any, Protocol


class Images(Protocol):
    """Finds the file of an image."""

    def get_image_uri(self, image_id: str) -> str:
        """The file of an image."""


class DescribedImages(Images, Protocol):
    """Images with further information."""

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """The information about an image, such as the tags of a series."""
