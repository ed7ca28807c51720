"""Segmentation with the model in use, as the host's clients ask for it."""

import logging
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.transform.writer import write_itk
from numpy.typing import NDArray
from torch import Tensor

from activelabel.data.preprocessing import PreparedImage, prepare_image, restore_maps
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.prediction.predictor import Predictor
from activelabel.server.project import Project

logger = logging.getLogger(__name__)

EXTENSIONS = (".nii.gz", ".nii", ".nrrd")
DTYPES = ("uint8", "uint16")


class SegmentationInfer(InferTask):
    """The mask of an image on the image's own grid, values 1..N in the order of the labels."""

    def __init__(self, project: Project) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels={name: value for value, name in enumerate(project.labels, start=1)},
            dimension=3,
            description=f"Segmentation by the latest model ({project.recipe.title})",
        )
        self._project = project
        self._lock = threading.Lock()
        self._loaded: tuple[int, Predictor] | None = None

    def is_valid(self) -> bool:
        """Shown to clients also before there is a model: asking for it then says what is missing."""
        return True

    def get_path(self, validate: bool = True) -> str | None:
        """File of the model in use."""
        model = self._project.ledger.latest_model()
        return str(self._project.models_folder / model.file) if model else None

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Segment `request["image"]`, a path.

        Returns:
            A temporary file with the mask (NIfTI, or what `result_extension` says), and the meaning of its values.

        Raises:
            NotReadyError: there is no model yet.
            InvalidInputError: the image cannot be read, or `result_extension` or `result_dtype` is none that we write.
        """
        extension, dtype = _wanted_format(request)
        volume = read_volume(request["image"])
        started = time.monotonic()
        # One at a time: two inferences side by side take twice the memory and no less time.
        with self._lock:
            version, predictor = self._current_predictor()
            image = prepare_image(volume, self._project.recipe.preprocessing)
            mask = most_probable(predictor.probabilities(image.tensor), image).numpy().astype(dtype)
        logger.info("segmented %s in %.1f s", volume.path.name, time.monotonic() - started)
        file = _write_mask(mask, volume.affine_ras, extension, bool(request.get("result_compress", False)))
        return file, {"label_names": self.labels, "model_version": version}

    def _current_predictor(self) -> tuple[int, Predictor]:
        model = self._project.current_model()
        if self._loaded is None or self._loaded[0] != model.version:
            self._loaded = (model.version, self._project.predictor(model))
        return self._loaded


def most_probable(probabilities: Tensor, image: PreparedImage) -> Tensor:
    """The most probable class of each voxel on the original grid: (C, *S) gives uint8 (W, H, D).

    Class by class, as all classes of a large CT at its own resolution at once would not fit into memory.
    """
    best = restore_maps(probabilities[:1], image)[0]
    classes = torch.zeros(best.shape, dtype=torch.uint8)
    for value in range(1, len(probabilities)):
        restored = restore_maps(probabilities[value : value + 1], image)[0]
        classes[restored > best] = value
        best = torch.maximum(best, restored)
    return classes


def _wanted_format(request: Mapping[str, Any]) -> tuple[str, str]:
    extension = request.get("result_extension") or ".nii.gz"
    if extension not in EXTENSIONS:
        raise InvalidInputError(f"result_extension '{extension}': use one of {', '.join(EXTENSIONS)}")
    dtype = request.get("result_dtype") or "uint8"
    if dtype not in DTYPES:
        raise InvalidInputError(f"result_dtype '{dtype}': use one of {', '.join(DTYPES)}")
    return extension, dtype


def _write_mask(
    mask: NDArray[np.uint8] | NDArray[np.uint16], affine_ras: NDArray[np.float64], extension: str, compress: bool
) -> str:
    """The host removes the file when it was sent; a compressed NIfTI is one whatever `compress` says."""
    file = Path(tempfile.mkstemp(suffix=extension)[1])
    write_itk(mask, str(file), affine_ras, None, compress or extension == ".nii.gz")
    return str(file)
