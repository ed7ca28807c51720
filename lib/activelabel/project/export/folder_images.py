"""The images of a studies folder, found by their names as the server finds them."""

from pathlib import Path

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.studies_folder import find_images
from activelabel.errors import NotFoundError
from activelabel.project.listing import listed_files
from activelabel.project.project import Project
from activelabel.project.studies import require_studies


class FolderImages:
    """Finds the files of a folder; the ids are those of the server's listing."""

    def __init__(self, project: Project) -> None:
        """List the folder of `project`.

        Raises:
            InvalidInputError: there is no such folder.
        """
        studies = Path(project.studies)
        require_studies(project.studies)
        known = listed_files(project.view_folder) or listed_files(studies)
        self._found = find_images(
            studies, known, links_out=project.settings.links_out_of_studies, layout=project.layout
        )

    def image_files(self, image_id: str) -> ImageFiles:
        """The files of an image.

        Raises:
            NotFoundError: it is gone.
        """
        if image_id not in self._found.files:
            raise NotFoundError(f"image '{image_id}': its file is gone from the studies folder: put it back")
        return self._found.image(image_id)
