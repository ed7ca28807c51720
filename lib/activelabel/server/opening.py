"""The parts of an app that its processes share: the studies, and what scores them."""

from pathlib import Path

from monailabel.interfaces.tasks.scoring import ScoringMethod

from activelabel.annotation.archive import open_archive
from activelabel.loop.proxy_scoring import ProxyScoring
from activelabel.loop.scoring import build_scoring_methods
from activelabel.project.project import Project
from activelabel.project.studies import is_pacs
from activelabel.server.datastores.folder import LedgerDatastore

PROXY = "proxy"
"""The trainer and the scoring method of the proxy model."""


def open_datastore(project: Project, studies: str, *, follow_changes: bool) -> LedgerDatastore:
    """The studies: a folder, or a PACS; followed as they change by the server, and not by its children."""
    ledger, archive = project.ledger, open_archive(project)
    validation_cases = project.recipe.training.validation_cases
    if not is_pacs(studies):
        view = project.view_folder
        return LedgerDatastore(
            str(view),
            ledger,
            archive,
            validation_cases=validation_cases,
            follow_changes=follow_changes,
            images=None if view == Path(studies) else Path(studies),
            links_out=project.settings.links_out_of_studies,
        )
    # What speaks DICOMweb takes a second to import.
    from activelabel.server.datastores.pacs import PacsDatastore
    from activelabel.server.pacs.client import Pacs
    from activelabel.server.pacs.series_cache import SeriesCache, cache_folder

    pacs = Pacs(studies, project.settings.largest_image_voxels)
    return PacsDatastore(
        pacs,
        SeriesCache(pacs, cache_folder(pacs)),
        project.view_folder,
        ledger,
        archive,
        validation_cases=validation_cases,
        follow_changes=follow_changes,
    )


def scoring_methods(project: Project) -> dict[str, ScoringMethod]:
    """A scoring method a measure, and that of the proxy model if the recipe has one."""
    methods = build_scoring_methods(project)
    if project.recipe.proxy is not None:
        methods[PROXY] = ProxyScoring(project, project.recipe.proxy)
    return methods
