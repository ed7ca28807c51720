"""Opens the datastore of a project."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from activelabel.annotation.archive import open_archive
from activelabel.data.given_splits import GivenSplit
from activelabel.data.patients.given import GivenPatients
from activelabel.project.given.patients import fix_patients, given_patients, patients_at_start
from activelabel.project.given.roles import check_roles
from activelabel.project.given.split import check_split, given_split
from activelabel.project.modality import images_to_try
from activelabel.project.opening import vote_on_modality
from activelabel.project.project import Project
from activelabel.project.studies import is_pacs
from activelabel.server.datastores.folder import LedgerDatastore


def open_datastore(project: Project, studies: str, *, follow_changes: bool) -> LedgerDatastore:
    """The datastore of a folder or a PACS; `follow_changes` is true in the server and false in its children.

    Raises:
        InvalidInputError: a given split or given patients are wrong, or contradict each other or the ledger.
    """
    ledger, archive = project.ledger, open_archive(project)
    validation_cases = project.recipe.training.validation_cases
    if not is_pacs(studies):
        view = project.view_folder
        split, patients = given_split(project.settings), patients_at_start(project.settings, ledger)
        return LedgerDatastore(
            str(view),
            ledger,
            archive,
            validation_cases=validation_cases,
            follow_changes=follow_changes,
            images=None if view == Path(studies) else Path(studies),
            links_out=project.settings.links_out_of_studies,
            split=split,
            patients=patients,
            layout=project.layout,
            prepared=project.prepared_images(),
            check_images=partial(_check_images, project, split, patients),
            begin=partial(fix_patients, project.settings, ledger),
        )
    split, patients = given_split(project.settings), given_patients(project.settings)
    if split is not None:
        check_split(split, ledger)
    # The DICOMweb client takes a second to import.
    from activelabel.server.datastores.pacs import PacsDatastore
    from activelabel.server.pacs.channel_series import SeriesRule
    from activelabel.server.pacs.client import Pacs
    from activelabel.server.pacs.series_cache import SeriesCache, cache_folder

    pacs = Pacs(studies, project.settings.largest_image_voxels)
    rule = SeriesRule(project.layout, project.settings.channel_files or project.layout.names)
    return PacsDatastore(
        pacs,
        SeriesCache(pacs, cache_folder(pacs)),
        project.view_folder,
        ledger,
        archive,
        validation_cases=validation_cases,
        follow_changes=follow_changes,
        split=split,
        patients=patients,
        rule=rule,
    )


def _check_images(
    project: Project, split: GivenSplit | None, patients: GivenPatients | None, files: Mapping[str, str]
) -> None:
    """Check the images that a folder is found to have, and let them say their modality if nothing has.

    A server does not read the folder once more for that, which takes two seconds of a first start with a million files.
    """
    check_roles(project.settings, split, patients, project.ledger, files)
    if project.modality is None:
        vote_on_modality(project, images_to_try(Path(project.studies), files.values(), project.layout))
