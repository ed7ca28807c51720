"""A network of a user's own: a function that a recipe names, or the network of a MONAI bundle.

Only the recipe of whoever runs the app names code; neither a request nor the file of a model does.
"""

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from activelabel.errors import InvalidInputError
from activelabel.recipes import NetworkSettings, first_problem

CONFIGS = ("inference.json", "train.json", "inference.yaml", "train.yaml")
"""The configurations of a bundle in which its network is looked for, in this order."""
NETWORK = "network_def"
BUNDLED = "activelabel"


def build_named(settings: NetworkSettings, classes: int, inputs: int = 1) -> nn.Module:
    """The network that the function `network.type` builds.

    The function is called as `function(in_channels=…, out_channels=…, **network.settings)`.

    Raises:
        InvalidInputError: there is no such module or function, it fails, or what it returns is no module of torch.
    """
    assert settings.type is not None
    module, _, name = settings.type.partition(":")
    subject = f"network.type '{settings.type}'"
    with _in_one_line(subject):
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise InvalidInputError(
                f"{subject}: there is no module '{error.name}': install it, or name its folder in PYTHONPATH"
            ) from error
        function = getattr(found, name, None)
        if not callable(function):
            known = sorted(key for key, value in vars(found).items() if callable(value) and not key.startswith("_"))
            raise InvalidInputError(
                f"{subject}: {module} has no function '{name}': use one of {', '.join(known) or 'none, it has none'}"
            )
        return _module(subject, function(in_channels=inputs, out_channels=classes, **settings.settings))


def build_from_bundle(settings: NetworkSettings, classes: int, inputs: int = 1) -> nn.Module:
    """The network of the MONAI bundle in the folder `network.bundle`, with random weights.

    Its `in_channels` and `out_channels` become those of the project, `network.settings` replace its other arguments.
    The configuration of a bundle is code, as its scripts are: it is run.

    Raises:
        InvalidInputError: there is no bundle, it has no network that can be trained, or building it fails.
    """
    assert settings.bundle is not None
    folder = Path(settings.bundle)
    subject = f"network.bundle '{settings.bundle}'"
    file = next((folder / "configs" / name for name in CONFIGS if (folder / "configs" / name).is_file()), None)
    if file is None:
        raise InvalidInputError(f"{subject}: expected a MONAI bundle, got no configs/{', configs/'.join(CONFIGS)}")
    own = _network_of_ours(folder)
    if own is not None:
        from activelabel.networks import build_network

        return build_network(own, classes, inputs)
    with _in_one_line(subject), _importable(folder):
        return _module(subject, _parsed(subject, file, folder, settings.settings, classes, inputs))


def _parsed(subject: str, file: Path, folder: Path, changes: Mapping[str, Any], classes: int, inputs: int) -> object:
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(file))
    definition = parser.get(NETWORK)
    if not isinstance(definition, dict) or "_target_" not in definition:
        raise InvalidInputError(f"{subject}: {file.name} has no {NETWORK} with a _target_: use another bundle")
    if "jit" in str(definition["_target_"]):
        raise InvalidInputError(f"{subject}: its network is TorchScript, which cannot be trained: use another bundle")
    if "out_channels" not in definition and "out_channels" not in changes:
        raise InvalidInputError(
            f"{subject}: its {NETWORK} has no out_channels, so it cannot get the project's labels: use network.type"
        )
    parser[NETWORK] = {**definition, "in_channels": inputs, **changes, "out_channels": classes}
    parser["bundle_root"] = str(folder)
    return parser.get_parsed_content(NETWORK)


def _network_of_ours(folder: Path) -> NetworkSettings | None:
    """The network of a bundle that this app has exported, which holds TorchScript; None for any other bundle.

    Raises:
        InvalidInputError: the network is code that this bundle only names.
    """
    try:
        metadata = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
        described = metadata[BUNDLED]["description"]["network"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    try:
        network = NetworkSettings.model_validate(described)
    except ValidationError as error:
        raise InvalidInputError(f"network.bundle '{folder}': {first_problem(error)}") from error
    if network.is_own:
        raise InvalidInputError(
            f"network.bundle '{folder}': its network is code from elsewhere, {network.code}: name that code itself"
        )
    return network


def _module(subject: str, made: object) -> nn.Module:
    if not isinstance(made, nn.Module):
        raise InvalidInputError(f"{subject}: expected a torch.nn.Module, got {type(made).__name__}")
    return made


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a bundle import its own scripts for as long as the context lasts."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@contextmanager
def _in_one_line(subject: str) -> Iterator[None]:
    """A context that turns whatever somebody's code raises into one line."""
    try:
        yield
    except InvalidInputError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise InvalidInputError(f"{subject}: {type(error).__name__}: {lines[-1][:200]}") from error
