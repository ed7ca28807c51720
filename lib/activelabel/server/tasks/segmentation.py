"""Segmentation by the model in use, as an inference task of the host."""

from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from activelabel.data.files.one_case import one_case
from activelabel.data.preprocessing import restore_label
from activelabel.project.models.loaded import LoadedModel
from activelabel.project.models.standing import read_standing
from activelabel.project.project import Project
from activelabel.server.tasks.mask_files import wanted_format, write_mask


class SegmentationInfer(InferTask):
    """Computes the mask of an image on its own grid, with the values that the project's label files have."""

    def __init__(self, project: Project, loaded: LoadedModel) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=dict(project.labels.predicted_names),
            dimension=3,
            description=f"Segmentation by the model in use ({project.recipe.title})",
        )
        self._project = project
        self._loaded = loaded

    def is_valid(self) -> bool:
        """True even before there is a model: clients list the task, and an inference then says what is missing."""
        return True

    def info(self) -> dict[str, Any]:
        """The host's entry, with the model in use and its quality in the description, which both viewers show."""
        return {**super().info(), "description": f"{self.description}. {read_standing(self._project.ledger)}"}

    def get_path(self, validate: bool = True) -> str | None:
        """The file of the model in use."""
        model = self._project.ledger.model_in_use()
        return str(self._project.models_folder / model.file) if model else None

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Segment `request["image"]`, a path, with model `request["model_version"]`, by default the model in use.

        Returns:
            A temporary file with the mask (NIfTI, or as `result_extension` says), and the meaning of its values.

        Raises:
            NotReadyError: there is no model yet.
            InvalidInputError: the image cannot be read, `result_extension` or `result_dtype` is not supported, or
                there is no such model.
        """
        wanted = wanted_format(request)
        files = self._project.layout.files(request["image"])
        with one_case(files.name):
            image = self._project.prepared_images().get(files, self._project.preprocessing, keep=False)
        with self._loaded.predictor(request.get("model_version")) as (version, predictor):
            mask = restore_label(predictor.probabilities(image.tensor), image, self._project.labels)
        file = write_mask(mask, image.original.affine_ras, wanted)
        names = dict(self._project.labels.shown_predicted_names)
        return file, {"label_names": names, "model_version": version}
