"""Converts model files of earlier program versions, which are pickles, once at a server's start."""

import hashlib
import logging
from pathlib import Path

from filelock import FileLock

from activelabel.data.files.writing import write_atomically
from activelabel.errors import InvalidInputError
from activelabel.project.project import Project
from activelabel.store.records.models import ModelVersion
from activelabel.training.checkpoints import ENDING
from activelabel.training.older_models import ENDING as OLDER_ENDING
from activelabel.training.older_models import read_older_model

logger = logging.getLogger(__name__)

SET_ASIDE = "before_safetensors"
"""The subfolder of the models' folder for the converted files. Nothing reads them again."""
_LOCK = "conversion.lock"


def convert_older_models(project: Project) -> None:
    """Convert each pickled model of the project: write a new file, record it in the ledger, move the old file aside.

    This order loses nothing in a crash: the next start continues. A model whose file is missing, damaged or changed
    stays as it is, cannot be used, and is logged.

    Raises:
        OSError: the folder of models cannot be written.
    """
    ledger = project.ledger
    older = [model for kind in ("task", "proxy") for model in ledger.models(kind) if _is_older(model)]
    if not older and not any(project.models_folder.glob(f"*{OLDER_ENDING}")):
        return
    project.models_folder.mkdir(parents=True, exist_ok=True)
    with FileLock(project.models_folder / _LOCK):  # two servers may share a ledger on PostgreSQL
        for model in older:
            try:
                _convert(project, model)
            except InvalidInputError as error:
                logger.warning("model %d cannot be used any more: %s", model.version, error)
        _set_aside(project)


def _is_older(model: ModelVersion) -> bool:
    return model.file.endswith(OLDER_ENDING)


def _convert(project: Project, model: ModelVersion) -> None:
    name = f"{model.file.removesuffix(OLDER_ENDING)}{ENDING}"
    places = (project.models_folder / model.file, project.models_folder / SET_ASIDE / model.file)
    source = next((path for path in places if path.is_file()), None)
    if source is None:
        raise InvalidInputError(f"model {model.file}: there is no such file: put it back, or train a new model")
    content = read_older_model(source, model.sha256)
    _write_once(project.models_folder / name, content)
    project.ledger.rename_model_file(model.version, model.file, name, hashlib.sha256(content).hexdigest())
    logger.info("model %d: %s is %s now", model.version, model.file, name)


def _write_once(target: Path, content: bytes) -> None:
    """Write a file unless it exists: an interrupted conversion may have written the same bytes."""
    if not target.is_file() or target.read_bytes() != content:
        write_atomically(target, content)


def _set_aside(project: Project) -> None:
    """Move each old file aside whose new file the ledger names."""
    named = {model.file for kind in ("task", "proxy") for model in project.ledger.models(kind)}
    for file in project.models_folder.glob(f"*{OLDER_ENDING}"):
        if f"{file.stem}{ENDING}" in named and file.name not in named:
            aside = project.models_folder / SET_ASIDE
            aside.mkdir(exist_ok=True)
            file.replace(aside / file.name)
