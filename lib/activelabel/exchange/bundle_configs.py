"""The two configurations of a MONAI bundle: how it segments an image, and what it is."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from activelabel.data.labels.label_map import LabelMap
from activelabel.data.preprocessing import OUTLIER_PERCENT, OUTLIER_RANGE
from activelabel.exchange.exported import Exported
from activelabel.training.checkpoints import ModelDescription

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
NOTICE = "For research. Not a medical device: a mask of this model must be checked by somebody who can."
BUNDLED = "activelabel"
"""The key of the metadata under which `activelabel model import` finds what it needs."""
AXIS_ENDS = [["L", "R"], ["P", "A"], ["I", "S"]]
_LARGEST_BYTE = 255


def inference_config(model: Exported) -> dict[str, Any]:
    """The content of `configs/inference.json`.

    MONAI's own transforms are used where they give the same result as this app, those in `scripts` where they do not.
    """
    labels = model.description.labels
    return {
        "imports": ["$import sys"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "data": {
            "_target_": "scripts.images.list_images",
            "place": "@dataset_dir",
            "channels": model.description.inputs,
        },
        "network_def": {
            "_target_": "torch.jit.load",
            "f": "$@bundle_root + '/models/model.ts'",
            "map_location": "@device",
        },
        "network": "$@network_def.eval()",
        "inferer": _inferer(model),
        "preprocessing": {"_target_": "Compose", "transforms": _before(model.description)},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": "scripts.transforms.RestoreMaskd",
                    "keys": "pred",
                    "image_key": "image",
                    **({} if labels.is_plain else {"labels": asdict(labels)}),
                },
                {
                    "_target_": "scripts.transforms.SaveMaskd",
                    "keys": "pred",
                    "output_dir": "@output_dir",
                    "postfix": "seg",
                    "dtype": "uint8" if labels.highest <= _LARGEST_BYTE else "uint16",
                },
            ],
        },
        "initialize": ["$sys.path.insert(0, @bundle_root)"],
        "run": [
            "$[@postprocessing({**item, 'pred': @inferer(item['image'][None].to(@device), @network)[0]})"
            " for item in map(@preprocessing, @data)]"
        ],
    }


def _values(labels: LabelMap) -> dict[int, str]:
    """The values that a mask may have, each with the name of what it means."""
    return {0: "background", **{value: name for name, value in labels.predicted_names.items()}}


def _inferer(model: Exported) -> dict[str, Any]:
    settings, labels = model.prediction, model.description.labels
    return {
        "_target_": "scripts.inferer.WindowInferer",
        "window_size": list(settings.window_size),
        "overlap": settings.window_overlap,
        "margin": list(settings.window_margin),
        "skip_outside_body": settings.skip_outside_body,
        "classes": len(labels) + 1,
        **({"overlapping": True} if labels.overlaps else {}),
    }


def _before(model: ModelDescription) -> list[dict[str, Any]]:
    """The transforms from a file to the input of the network; intensities come first, on the image's own voxels."""
    settings, channels = model.preprocessing, model.inputs
    steps: list[dict[str, Any]] = [{"_target_": "LoadImaged"}, {"_target_": "EnsureChannelFirstd"}]
    kinds = settings.intensities(channels)
    if set(kinds) == {"window"}:
        low, high = settings.window_hu
        ends = {"a_min": low, "a_max": high, "b_min": 0.0, "b_max": 1.0}
        steps.append({"_target_": "ScaleIntensityRanged", **ends, "clip": True})
    else:
        scale = {"kinds": list(kinds), "window_hu": list(settings.window_hu)}
        clip = {"percent": OUTLIER_PERCENT, "beyond": OUTLIER_RANGE}
        steps.append({"_target_": "scripts.transforms.ScaleChannelsd", **scale, **clip})
    if settings.slices_last:
        order = {"axcodes": settings.orientation, "plane": settings.slice_plane}
        steps.append({"_target_": "scripts.transforms.SlicesLastd", **order})
    else:
        steps.append({"_target_": "Orientationd", "axcodes": settings.orientation, "labels": AXIS_ENDS})
    if settings.spacing_mm is not None:
        how = {"mode": "bilinear", "padding_mode": "border", "dtype": "$torch.float32"}
        steps.append({"_target_": "Spacingd", "pixdim": list(settings.spacing_mm), **how})
    return [{**step, "keys": "image"} for step in steps]


def metadata(model: Exported) -> dict[str, Any]:
    """The content of `configs/metadata.json`, as MONAI's schema wants it."""
    number, labels = f"{model.version}.0.0", model.description.labels
    names = ", ".join(labels)
    return {
        "schema": SCHEMA,
        "version": number,
        "changelog": {number: f"model {model.version} of its project"},
        "monai_version": version("monai"),
        "pytorch_version": str(torch.__version__).partition("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {name: version(name) for name in ("nibabel", "fire")},
        "name": model.name,
        "task": f"Segmentation of {names} in 3D images",
        "description": f"Segments {names} in 3D images ({model.modality}); docs/README.md is its model card.",
        "authors": "not given",
        "copyright": f"licence: {model.licence}",
        "intended_use": NOTICE,
        "data_type": "nibabel",
        "image_classes": ", ".join(model.description.channels) or f"one channel, {model.modality}",
        "label_classes": ", ".join(f"{value} {name}" for value, name in _values(labels).items()),
        "pred_classes": f"{model.description.classes} channels of logits, "
        + ("one for each structure, as they overlap" if labels.overlaps else "background first"),
        "eval_metrics": model.metrics,
        "network_data_format": _data_format(model),
        BUNDLED: {
            "description": model.description.model_dump(mode="json"),
            "prediction": model.prediction.model_dump(mode="json"),
            "licence": model.licence,
        },
    }


def _data_format(model: Exported) -> dict[str, Any]:
    description = model.description
    windowed = set(description.preprocessing.intensities(description.inputs)) == {"window"}
    labels = model.description.labels
    channels = labels if labels.overlaps else ("background", *labels)
    shape = list(model.prediction.window_size)
    image = {
        "type": "image",
        "format": "hounsfield" if windowed else "magnitude",
        "modality": model.modality,
        "num_channels": description.inputs,
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": [0, 1] if windowed else [],
        "is_patch_data": True,
        "channel_def": {str(place): name for place, name in enumerate(description.channels or ("image",))},
    }
    logits = {
        "type": "image",
        "format": "labels",
        "num_channels": len(channels),
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": True,
        "channel_def": {str(value): name for value, name in enumerate(channels)},
    }
    mask = {**logits, "format": "segmentation", "num_channels": 1, "spatial_shape": ["*", "*", "*"], "dtype": "uint8",
            "value_range": [0, max(_values(labels))], "is_patch_data": False,
            "channel_def": {str(value): name for value, name in _values(labels).items()}}  # fmt: skip
    return {"inputs": {"image": image}, "outputs": {"pred": logits}, "post_processed_outputs": {"mask": mask}}
