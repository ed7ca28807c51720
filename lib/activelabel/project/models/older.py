"""Models of earlier versions, which are pickles: converted once, when a server starts, into what is read today."""

import hashlib
import logging
from pathlib import Path

from filelock import FileLock

from activelabel.data.files.writing import write_atomically
from activelabel.errors import InvalidInputError
from activelabel.project.project import Project
from activelabel.store.records import ModelVersion
from activelabel.training.checkpoints import ENDING
from activelabel.training.older_models import ENDING as OLDER_ENDING
from activelabel.training.older_models import read_older_model

logger = logging.getLogger(__name__)

SET_ASIDE = "before_safetensors"
"""Below the folder of models: the files that were converted. Nothing reads them again."""
_LOCK = "conversion.lock"


def convert_older_models(project: Project) -> None:
    """Write each model of the project whose file is a pickle anew, name the new file in the ledger, move the old aside.

    In this order, so that a crash in between loses nothing: the next start goes on. A model whose file is missing,
    damaged or was changed stays as it is, cannot be used, and is named in the log.

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
    """A conversion that was cut off has perhaps written it: the same bytes."""
    if not target.is_file() or target.read_bytes() != content:
        write_atomically(target, content)


def _set_aside(project: Project) -> None:
    """Move the older files away of which the ledger names the newer ones."""
    named = {model.file for kind in ("task", "proxy") for model in project.ledger.models(kind)}
    for file in project.models_folder.glob(f"*{OLDER_ENDING}"):
        if f"{file.stem}{ENDING}" in named and file.name not in named:
            aside = project.models_folder / SET_ASIDE
            aside.mkdir(exist_ok=True)
            file.replace(aside / file.name)
