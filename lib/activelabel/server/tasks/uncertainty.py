"""Uncertainty maps for the clients: bands of uncertainty as segments."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from torch import Tensor

from activelabel.acquisition.uncertainty import MEASURES, measures_with
from activelabel.data.files.one_case import one_case
from activelabel.data.preprocessing import restore_maps
from activelabel.errors import InvalidInputError
from activelabel.project.models.loaded import LoadedModel
from activelabel.project.project import Project
from activelabel.recipes import LEAST_REPEATS
from activelabel.server.tasks.mask_files import wanted_format, write_mask

BAND_EDGES = (0.25, 0.5, 0.75)
"""Edges of the bands, as fractions of the volume's largest value. Values below the first edge have no band."""


class UncertaintyInfer(InferTask):
    """Computes an uncertainty map of an image, graded into segments that are named by their range."""

    def __init__(self, project: Project, loaded: LoadedModel) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,  # the clients list no other type that gives segments
            labels=[],
            dimension=3,
            description="Where the model in use is uncertain: bands of uncertainty, each named with its range",
            config={"measure": list(measures_with(project.recipe.prediction.repeats))},
        )
        self._project = project
        self._loaded = loaded

    def is_valid(self) -> bool:
        """True even before there is a model, so that clients list the task."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Compute bands of `request["measure"]` (default variance, entropy without repeats) for the path in `image`.

        Raises:
            NotReadyError: there is no model yet.
            InvalidInputError: the image cannot be read, or the measure is unknown, or it needs more repeats.
        """
        measure = chosen_measure(request.get("measure"), self._project.recipe.prediction.repeats)
        wanted = wanted_format(request)
        files = self._project.layout.files(request["image"])
        with one_case(files.name):
            image = self._project.prepared_images().get(files, self._project.preprocessing, keep=False)
        with self._loaded.predictor() as (version, predictor):
            statistics = predictor.sample(
                image.tensor, self._project.recipe.prediction.repeats, self._project.settings.seed
            )
        map = restore_maps(MEASURES[measure](statistics)[None].cpu(), image)[0]
        mask, names = bands(map, measure)
        file = write_mask(mask.numpy(), image.original.affine_ras, wanted)
        return file, {"label_names": names, "model_version": version, "measure": measure}


def bands(map: Tensor, measure: str, edges: Sequence[float] = BAND_EDGES) -> tuple[Tensor, dict[str, int]]:
    """The bands of a map `(*S)` of values >= 0: uint8 `(*S)`, 0 below the first edge, and the value of each name.

    Edges are fractions of the map's largest value, so that the bands show *where* the uncertainty is, for any image and
    any measure; their names say how large it is. A map that is 0 everywhere has no bands.
    """
    largest = float(map.max())
    limits = [edge * largest for edge in edges]
    graded = torch.zeros(map.shape, dtype=torch.uint8)
    if largest > 0:
        for limit in limits:
            graded += (map >= limit).to(torch.uint8)
    ends = [*limits[1:], largest]
    title = measure.replace("_", " ")
    names = {
        f"{title} {low:.2g} to {high:.2g}": value for value, (low, high) in enumerate(zip(limits, ends, strict=True), 1)
    }
    return graded, names if largest > 0 else {}


def chosen_measure(asked: object, repeats: int = LEAST_REPEATS) -> str:
    """The measure that a client asks for. The client's form sends a name, or the whole list if nothing was chosen.

    Raises:
        InvalidInputError: the measure is unknown, or it would be 0 everywhere after so few `repeats`.
    """
    known = measures_with(repeats)
    name = asked[0] if isinstance(asked, list) and asked else asked or known[0]
    if not isinstance(name, str) or name not in known:
        why = f", as prediction.repeats is {repeats}" if isinstance(name, str) and name in MEASURES else ""
        raise InvalidInputError(f"measure {name!r}: use one of {', '.join(known)}{why}")
    return name
