"""The images of a project, as much as it takes to find one: the host's datastores have it, and so may others."""

from typing import Any, Protocol


class Images(Protocol):
    """Where images are."""

    def get_image_uri(self, image_id: str) -> str:
        """The file of an image."""


class DescribedImages(Images, Protocol):
    """Images of which more is known."""

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is known of an image, as the tags of a series."""
