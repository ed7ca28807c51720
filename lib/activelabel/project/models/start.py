"""Weights from elsewhere with which all trainings of a project begin: a file that never changes, and a fact."""

import hashlib
import json
import logging
from collections.abc import Mapping

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from activelabel.data.files.writing import write_atomically
from activelabel.errors import InvalidInputError
from activelabel.names import MODEL_ENDING
from activelabel.networks import build_network
from activelabel.project.project import Project

logger = logging.getLogger(__name__)

FACT = "start weights"
FOLDER = "start"


def keep_start(project: Project, weights: Mapping[str, Tensor], reason: str) -> str:
    """Keep weights of the project's network, and begin all later trainings with them; return the name of their file.

    Weights that were kept before stay in their file.
    """
    content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()})
    sha256 = hashlib.sha256(content).hexdigest()
    file = project.folder / FOLDER / f"{sha256[:12]}{MODEL_ENDING}"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.is_file():
        write_atomically(file, content)
    project.ledger.fix_fact(FACT, json.dumps({"file": file.name, "sha256": sha256}), reason, again=True)
    return file.name


def forget_start(project: Project) -> None:
    """Begin later trainings without weights from elsewhere; their file stays."""
    project.ledger.fix_fact(FACT, "", "taken back", again=True)


def start_weights(project: Project) -> dict[str, Tensor] | None:
    """The weights of a new network, those from elsewhere in their places; None if there are none.

    None, with a line in the log, if their file is missing, was changed, or is of another network than the recipe's. The
    other weights come from PyTorch's global random generator.
    """
    fact = project.ledger.fact(FACT)
    if fact is None or not fact.value:
        return None
    description = project.model_description
    own = build_network(description.network, description.classes, description.inputs).state_dict()
    try:
        taken = _read(project, json.loads(fact.value))
        _check(taken, own)
    except InvalidInputError as error:
        logger.warning("training does not begin with the weights of %s: %s", fact.reason, error)
        return None
    logger.info("training begins with %d of %d tensors from %s", len(taken), len(own), fact.reason)
    return {**own, **taken}


def _read(project: Project, entry: Mapping[str, str]) -> dict[str, Tensor]:
    file = project.folder / FOLDER / entry["file"]
    if not file.is_file():
        raise InvalidInputError(f"start {file.name}: there is no such file: import the weights again")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise InvalidInputError(f"start {file.name}: the file has changed: import the weights again")
    try:
        return load(content)
    except SafetensorError as error:
        raise InvalidInputError(f"start {file.name}: cannot be read ({error}): import the weights again") from error


def _check(taken: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    for name, tensor in taken.items():
        if name not in own or own[name].shape != tensor.shape:
            raise InvalidInputError(
                f"start: {name!r} is no weight of the recipe's network: import the weights again, for this recipe"
            )
