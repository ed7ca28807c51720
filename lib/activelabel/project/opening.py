"""Opening a project: settings, recipe, channels and label names are checked, then its folder and ledger are made."""

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from activelabel.data.files.folder_reading import LEDGER_FILE
from activelabel.data.files.guard import limit_images
from activelabel.data.files.image_files import AnyImage
from activelabel.data.labels.label_map import label_map_of
from activelabel.data.labels.label_texts import entries_of
from activelabel.errors import InvalidInputError
from activelabel.prediction.prepared.images import remove_all_prepared
from activelabel.project.database_url import database_url
from activelabel.project.folders import project_folder
from activelabel.project.given.channels import find_layout, fix_channels, with_channels
from activelabel.project.in_force.recipe_in_force import check_device, with_settings
from activelabel.project.labels.kept_names import check_names, kept_names, name_older_labels
from activelabel.project.labels.names import resolve_label_names
from activelabel.project.models.network_check import check_network
from activelabel.project.project import Project
from activelabel.project.settings import parse_settings
from activelabel.project.studies import is_pacs
from activelabel.recipes import check_recipe, load_recipe
from activelabel.recipes.strategy_traits import raced_kind
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)


def plan_project(
    app_dir: str, studies: str, conf: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> Project:
    """Read settings, recipe and label names; write nothing, and open the ledger only if no other source has names.

    `environment` may name the ledger's database: see `settings.database_url`.

    Raises:
        ActiveLabelError: settings, recipe or label names are wrong; the message says what.
    """
    project = plan_without_labels(app_dir, studies, conf, environment)
    settings, ledger = project.settings, project.ledger
    labels = resolve_label_names(
        settings.labels,
        studies,
        lambda: kept_names(ledger) if ledger.exists() else None,
        links_out=settings.links_out_of_studies,
    )
    return replace(project, labels=labels)


def plan_without_labels(
    app_dir: str, studies: str, conf: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> Project:
    """Do the same as `plan_project`, but without label names, which may not be known yet.

    Raises:
        ActiveLabelError: settings or recipe are wrong; the message says what.
    """
    settings = parse_settings(conf)
    limit_images(settings.largest_image_voxels)
    recipe = with_settings(load_recipe(settings.recipe), settings)
    check_recipe(recipe)
    if recipe.prediction.racing:
        raced_kind(recipe.query.strategy)  # raises now, not at the first scoring, if the strategy cannot race
    check_device(settings.device)
    folder = project_folder(app_dir, studies, settings)
    url = database_url(settings, environment) or sqlite_url(folder / LEDGER_FILE)
    ledger = Ledger(url, only_approved=settings.review, seed=settings.seed)
    layout = find_layout(recipe, settings, studies, ledger)
    recipe = with_channels(recipe, layout)
    check_recipe(recipe)
    return Project(settings, recipe, label_map_of(()), folder, ledger, studies=studies, layout=layout)


def open_project(
    app_dir: str, studies: str, conf: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> Project:
    """A project ready for work, with folder and ledger. The arguments are those of `plan_project`.

    Raises:
        ActiveLabelError: settings, recipe, label names or ledger are wrong; the message says what.
    """
    project = plan_project(app_dir, studies, conf, environment)
    make_folder(project)
    prepare_project(project)
    if not is_pacs(studies):  # which is asked when it is opened
        vote_on_modality(project)
    return project


def make_folder(project: Project) -> None:
    """Make the project's folder.

    Raises:
        InvalidInputError: the folder cannot be made.
    """
    try:
        project.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(
            f"the project folder {project.folder} cannot be made ({error.strerror}): mend that, or name another with "
            "--conf project_dir"
        ) from error


def prepare_project(project: Project) -> None:
    """Open the ledger of a planned project whose folder exists, and log what the project is.

    The recipe's network is checked first. The label names are compared with those in the ledger, and the modality is
    recorded if it is not yet, and anything says it but the images themselves (`vote_on_modality`).
    """
    check_network(project.recipe, project.labels.channels)
    project.ledger.open()
    _ = project.identity  # it is there from now on, and no request waits for it
    if project.settings.prepared_gb == 0:
        remove_all_prepared(project.prepared_folder)
    check_names(project.ledger, project.labels)
    fix_channels(project.ledger, project.layout)
    name_older_labels(project.ledger, project.labels)
    project.fixed_modality(())
    logger.info(
        "project in %s: recipe %s, labels %s",
        project.folder,
        project.recipe.name,
        ", ".join(entries_of(project.labels)),
    )
    logger.info("networks run on %s in %s", project.device, project.precision)


def vote_on_modality(project: Project, images: Iterable[AnyImage] | None = None) -> None:
    """Let the images of the studies folder, or these, say the modality for good if nothing has said it yet.

    Raises:
        InvalidInputError: the `dataset.json` beside the images names an unknown modality.
    """
    if project.fixed_modality(images) is None:
        logger.warning("nobody has said what the images are, and there is none yet: the first ones will say it")
