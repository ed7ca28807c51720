"""Maps of a model over an image, voxel by voxel, for clients: its uncertainty, and the probability of a structure."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from activelabel.acquisition.uncertainty import MEASURES, measures_with
from activelabel.data.dicom_objects.quantity import Quantity
from activelabel.data.files.one_case import one_case
from activelabel.data.preprocessing import PreparedImage, restore_maps
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError
from activelabel.prediction.predictor import Predictor
from activelabel.project.models.kept_maps import KeptMaps, map_file
from activelabel.project.models.loaded import LoadedModel
from activelabel.project.project import Project
from activelabel.project.readability import note_image
from activelabel.recipes.strategy_traits import traits_of
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.tasks.uncertainty import chosen_measure
from activelabel.store.records.models import ModelVersion

MapForm = Literal["nifti", "dicom"]
_NIFTI, _DICOM = ".nii.gz", ".dcm"
_IN_NATS = ("entropy", "mutual_information")


@dataclass(frozen=True)
class ModelMap:
    """A map that a model made: its file, what its numbers are, and the version of the model."""

    file: Path
    ending: str
    quantity: str
    model_version: int


class MapActions:
    """Maps of the model in use, which the routes give to clients; each is computed once and then kept for a while."""

    def __init__(self, project: Project, datastore: LedgerDatastore, loaded: LoadedModel) -> None:
        """Map images of `datastore` with `loaded`, the model in use of `project`."""
        self._project = project
        self._datastore = datastore
        self._loaded = loaded
        self._kept = KeptMaps(project.maps_folder)

    def uncertainty(self, image_id: str, measure: str | None = None, form: MapForm | None = None) -> ModelMap:
        """The uncertainty of the model in use at each voxel of an image, by default as its strategy measures it.

        Raises:
            NotReadyError: there is no model yet; the line says what the first one waits for.
            InvalidInputError: the image cannot be read, the measure is unknown, or `form` is not one of this project.
            NotFoundError: the PACS no longer has the image.
            UnavailableError: the image has to be fetched, and the PACS does not answer.
        """
        settings, seed = self._project.recipe.prediction, self._project.settings.seed
        name = self._measure(measure)

        def compute(predictor: Predictor, image: PreparedImage) -> Tensor:
            return MEASURES[name](predictor.sample(image.tensor, settings.repeats, seed))

        words = name.replace("_", " ")
        quantity = Quantity(name, f"{words[:1].upper()}{words[1:]} of the prediction", name in _IN_NATS)
        return self._map(image_id, quantity, (settings, seed), compute, form)

    def probability(self, image_id: str, label: str, form: MapForm | None = None) -> ModelMap:
        """The probability of a structure at each voxel of an image, by the model in use with dropout off.

        Raises as `uncertainty`; InvalidInputError also if there is no such structure.
        """
        names = self._project.labels.names
        if label not in names:
            raise InvalidInputError(f"label {label!r}: there is no such structure; use one of {', '.join(names)}")
        place = names.index(label) + 1

        def compute(predictor: Predictor, image: PreparedImage) -> Tensor:
            return predictor.probabilities(image.tensor)[place]

        quantity = Quantity("probability", f"Probability of {label}")
        return self._map(image_id, quantity, (self._project.recipe.prediction, place), compute, form)

    def _measure(self, asked: str | None) -> str:
        """The measure that a client names, else that of the recipe's strategy if there are enough repeats for it."""
        repeats = self._project.recipe.prediction.repeats
        own = traits_of(self._project.recipe.query.strategy).measure
        return chosen_measure(asked or (own if own in measures_with(repeats) else None), repeats)

    def _map(
        self,
        image_id: str,
        quantity: Quantity,
        how: tuple[object, ...],
        compute: Callable[[Predictor, PreparedImage], Tensor],
        form: MapForm | None,
    ) -> ModelMap:
        """The map of an image, kept or computed now; `how` is all else on which its numbers depend."""
        on_pacs = self._datastore.has_series
        if form == "dicom" and not on_pacs:
            raise InvalidInputError("form 'dicom': the images are files, not series of a PACS: use nifti")
        model = self._project.current_model()
        files = self._datastore.image_files(image_id)
        with one_case(image_id):
            note_image(image_id, files, self._project.ledger)  # reads the image only if its files have changed
        content = self._project.ledger.image(image_id).content_sha256
        identity = (content, model.sha256, quantity, self._project.preprocessing, *how)
        file = self._kept.find(image_id, identity, _NIFTI) or self._compute(
            image_id, model, quantity, identity, compute
        )
        if form == "dicom" or (form is None and on_pacs):
            made = self._kept.find(image_id, identity, _DICOM)
            made = made or self._as_dicom(image_id, file, quantity, model, identity)
            return ModelMap(made, _DICOM, quantity.code, model.version)
        return ModelMap(file, _NIFTI, quantity.code, model.version)

    def _compute(
        self,
        image_id: str,
        model: ModelVersion,
        quantity: Quantity,
        identity: tuple[object, ...],
        compute: Callable[[Predictor, PreparedImage], Tensor],
    ) -> Path:
        with one_case(image_id):
            files = self._datastore.image_files(image_id)
            image = self._project.prepared_images().get(files, self._project.preprocessing, keep=False)
        with self._loaded.predictor(model.version) as (_, predictor):
            kept = self._kept.find(image_id, identity, _NIFTI)  # another request may have computed it meanwhile
            if kept is not None:
                return kept
            values = restore_maps(compute(predictor, image)[None].cpu(), image)[0].numpy()
        if not np.isfinite(values).all():
            raise InvalidInputError(f"the {quantity.code} of model {model.version} is no number: train a new model")
        title = f"{quantity.meaning}, model {model.version}"
        return self._kept.keep(image_id, identity, _NIFTI, map_file(values, image.original.affine_ras, title))

    def _as_dicom(
        self, image_id: str, file: Path, quantity: Quantity, model: ModelVersion, identity: tuple[object, ...]
    ) -> Path:
        # highdicom takes a second to import.
        from activelabel.data.dicom_objects.parametric_map import parametric_map

        series = self._datastore.series_folder(image_id)
        content = parametric_map(read_volume(file), series, quantity, model.version, repr((image_id, *identity)))
        return self._kept.keep(image_id, identity, _DICOM, content)
