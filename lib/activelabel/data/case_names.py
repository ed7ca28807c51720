"""Names by which files that people write call the image of a case."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from activelabel.data.files.names import BETWEEN_FOLDERS, stem_of

FIRST_CHANNEL = "_0000"


def names_of(image_id: str) -> Iterator[str]:
    """The names that a file may give to an image, the most exact first.

    They are its id and its name without folders, each also without the number of the first channel.
    """
    for name in (image_id, image_id.rpartition(BETWEEN_FOLDERS)[2]):
        yield name
        yield name.removesuffix(FIRST_CHANNEL)


def written_name(path: object) -> str:
    """The name of a case, which may be written as the path of its image.

    Raises:
        TypeError: it is no text.
    """
    if not isinstance(path, str):
        raise TypeError(f"a case is {path!r}, no text")
    return stem_of(PurePosixPath(path.replace("\\", "/")).name)
