"""Writes a model as a MONAI bundle: a folder that segments images where this app is not installed."""

import importlib
import io
import json
import re
import shutil
from pathlib import Path

import torch

from activelabel.errors import InvalidInputError
from activelabel.exchange.bundle_configs import inference_config, metadata
from activelabel.exchange.exported import LICENCE_NOT_GIVEN, Exported
from activelabel.exchange.traced import torchscript

COPIED = {
    "activelabel.acquisition.overlapping": "overlapping",
    "activelabel.data.grids": "grids",
    "activelabel.data.intensities": "intensities",
    "activelabel.data.labels.label_map": "label_map",
    "activelabel.data.reflection": "reflection",
    "activelabel.data.slices": "slices",
    "activelabel.errors": "errors",
    "activelabel.exchange.bundle_scripts.images": "images",
    "activelabel.exchange.bundle_scripts.inferer": "inferer",
    "activelabel.exchange.bundle_scripts.transforms": "transforms",
    "activelabel.prediction.blending": "blending",
    "activelabel.prediction.windows": "windows",
}
"""The modules that a bundle gets, each with its name in the folder `scripts`. They import no others of this app."""

_OWN_IMPORT = re.compile(r"^from (activelabel(?:\.\w+)*) import ", re.MULTILINE)


def write_bundle(model: Exported, folder: Path) -> None:
    """Write the bundle into a new folder, whole or not at all.

    Raises:
        InvalidInputError: something of that name exists, the folder cannot be made, or the network has no TorchScript
            form.
    """
    if folder.exists():
        raise InvalidInputError(f"--out {folder}: exists already, and nothing is overwritten: name a new folder")
    files = _files(model)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)  # of an export that was interrupted
        for name, content in files.items():
            path = unfinished / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        unfinished.rename(folder)
    except OSError as error:
        raise InvalidInputError(f"--out {folder}: cannot be written ({error.strerror}): name another folder") from error


def _files(model: Exported) -> dict[str, bytes]:
    """The content of each file of the bundle, by its path."""
    weights = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in model.network.state_dict().items()}, weights)
    texts = {
        "configs/inference.json": json.dumps(inference_config(model), indent=4),
        "configs/metadata.json": json.dumps(metadata(model), indent=4),
        "docs/README.md": model.card,
        "scripts/__init__.py": '"""What the bundle needs beside MONAI\'s own transforms."""\n',
        **{f"scripts/{name}.py": script(module) for module, name in COPIED.items()},
    }
    if model.licence != LICENCE_NOT_GIVEN:
        texts["docs/license.txt"] = f"{model.licence}\n"
    scripted = {"models/model.ts": torchscript(model), "models/model.pt": weights.getvalue()}
    return {**{name: text.encode() for name, text in texts.items()}, **scripted}


def script(module: str) -> str:
    """The source of a module, which imports the other modules of the bundle instead of this app's.

    Raises:
        ValueError: it imports a module that a bundle does not get.
    """
    file = importlib.import_module(module).__file__
    assert file is not None
    source = Path(file).read_text(encoding="utf-8")
    missing = [name for name in _OWN_IMPORT.findall(source) if name not in COPIED]
    if missing:
        raise ValueError(f"{module} is part of every bundle, and imports {missing[0]}, which is not")
    return _OWN_IMPORT.sub(lambda found: f"from scripts.{COPIED[found[1]]} import ", source)
