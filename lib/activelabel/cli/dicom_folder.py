"""Folders of DICOM series as `--studies` and `--images`: they are used by way of the images that are made of them."""

from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from activelabel.cli.consoles import say

PATIENTS = "patients"


def made_of(studies: str) -> str:
    """The folder of the images that an earlier start has made of a folder of DICOM series, or the studies as given.

    Raises:
        InvalidInputError: the folder does not answer.
    """
    from activelabel.data.dicom_objects.folders import PATIENTS as TABLE
    from activelabel.data.files.folder_reading import PROJECT_FOLDER
    from activelabel.data.files.names import CONVERTED
    from activelabel.project.studies import require_answer

    require_answer(studies)  # before any command looks there
    made = Path(studies) / PROJECT_FOLDER / CONVERTED
    return str(made) if (made / TABLE).is_file() else studies


def images_to_serve(studies: str, settings: MutableMapping[str, str]) -> str:
    """The studies with which a server starts: a folder of DICOM series is made into images first, as far as it is new.

    The setting of patients is added if there is none.

    Raises:
        InvalidInputError: the images cannot be written.
    """
    from activelabel.data.dicom_objects.folders import is_dicom_folder
    from activelabel.data.files.folder_reading import PROJECT_FOLDER
    from activelabel.data.files.names import CONVERTED
    from activelabel.project.studies import is_pacs

    if is_pacs(studies) or not is_dicom_folder(Path(studies)):
        return studies
    project = settings.get("project_dir") or str(Path(studies) / PROJECT_FOLDER)
    return str(make_images([Path(studies)], Path(project) / CONVERTED, settings))


def make_images(sources: Sequence[Path], target: Path, settings: MutableMapping[str, str]) -> Path:
    """Make images of folders of DICOM series, say what was passed over, and return `target`.

    Raises:
        InvalidInputError: the images cannot be written.
    """
    from activelabel.data.dicom_objects.folders import PATIENTS as TABLE
    from activelabel.data.dicom_objects.folders import convert
    from activelabel.errors import InvalidInputError

    say(f"making images of the DICOM series in {sources[0]}, in {target}")
    try:
        lines = convert(sources, target)
    except OSError as error:
        raise InvalidInputError(
            f"{target}: the images of the DICOM series cannot be written there ({error.strerror}): mend that, or name "
            "another folder with --conf project_dir"
        ) from error
    for line in lines:
        say(line, "yellow")
    settings.setdefault(PATIENTS, str((target / TABLE).resolve()))
    return target


@contextmanager
def images_to_look_at(studies: str, settings: MutableMapping[str, str]) -> Iterator[str]:
    """The studies for a look that writes nothing: of a folder of DICOM series, images that are removed afterwards."""
    from activelabel.data.dicom_objects.folders import is_dicom_folder
    from activelabel.data.files.names import CONVERTED
    from activelabel.project.studies import is_pacs

    if is_pacs(studies) or made_of(studies) != studies or not is_dicom_folder(Path(studies)):
        yield made_of(studies)
        return
    with TemporaryDirectory() as folder:
        yield str(make_images([Path(studies)], Path(folder) / CONVERTED, settings))
