"""A project: the settings, recipe, label names, folders and ledger that all parts of a running server share."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from activelabel.data.files.channels import ONE_CHANNEL, ChannelLayout
from activelabel.data.files.image_files import AnyImage
from activelabel.data.labels.label_map import LabelMap
from activelabel.data.labels.label_texts import entries_of, read_stored
from activelabel.data.modality import ProjectModality
from activelabel.data.slices import SlicePlane
from activelabel.errors import NotReadyError
from activelabel.names import ScoreKind
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.project.folders import view_folder
from activelabel.project.given.patients import patients_setting_in_force
from activelabel.project.identity import fixed_identity
from activelabel.project.in_force.thresholds import Thresholds, thresholds
from activelabel.project.in_force.used_precision import used_precision
from activelabel.project.modality import fixed_modality, known_modality
from activelabel.project.settings import Settings
from activelabel.recipes import PreprocessingSettings, ProxySettings, Recipe
from activelabel.recipes.sections import Intensity
from activelabel.store.ledger import Ledger
from activelabel.store.records.models import ModelKind, ModelVersion
from activelabel.training.checkpoints import ModelDescription, load_model
from activelabel.training.transfer import proxy_description

logger = logging.getLogger(__name__)

MODELS = "models"
PREPARED = "prepared"
MAPS = "maps"
PSEUDO_LABELS = "pseudo_labels"
FEATURES = "features"
CHOICES = "layouts.json"


@dataclass(frozen=True)
class Project:
    """The object that every task of the server gets. It can be pickled: the ledger connects at its first use."""

    settings: Settings
    recipe: Recipe
    labels: LabelMap
    folder: Path
    ledger: Ledger
    scored_all: set[tuple[int, ScoreKind]] = field(default_factory=set, repr=False)
    """Model versions whose scoring is known to be complete, each with the kind of score: a cache of the ledger."""
    studies: str = ""
    layout: ChannelLayout = ONE_CHANNEL
    """How the channels of an image lie in files."""
    shared_choices_file: Path | None = None
    """The `choices_file` of projects that are compared."""
    folder_goes: bool = False
    """Whether the folder is this process's own, and goes with it."""

    @cached_property
    def identity(self) -> str:
        """What tells the project, whose folder exists, from all others: read once, as every request may ask for it."""
        return fixed_identity(self.ledger, self.folder)

    @property
    def models_folder(self) -> Path:
        """The folder of published model versions; no file in it ever changes."""
        return self.folder / MODELS

    @property
    def labels_folder(self) -> Path:
        """The folder of all versions of all labels."""
        return self.folder / "labels"

    @property
    def view_folder(self) -> Path:
        """The folder of the host's listing and of the labels in the host's layout."""
        return view_folder(self.folder, self.studies)

    @property
    def log_file(self) -> Path:
        """The log of this project's server."""
        return self.folder / "logs" / "server.log"

    @property
    def runs_folder(self) -> Path:
        """The folder to which trainings write while they run."""
        return self.folder / "runs"

    @property
    def predictions_folder(self) -> Path:
        """The folder of the masks that models showed of each image, which no annotator has drawn."""
        return self.folder / "predictions"

    @property
    def pseudo_labels_folder(self) -> Path:
        """The folder of the images' pseudo-labels, from which the proxy model learns."""
        return self.folder / PSEUDO_LABELS

    @property
    def features_folder(self) -> Path:
        """The folder of image features: one file per model version."""
        return self.folder / FEATURES

    @property
    def maps_folder(self) -> Path:
        """The folder of maps of uncertainty and probability that clients have asked for; it may be removed."""
        return self.folder / MAPS

    @property
    def prepared_folder(self) -> Path:
        """The folder of prepared images, which can be made again from the images at any time."""
        return (self.settings.prepared_dir or self.folder / PREPARED).resolve()

    def prepared_images(self) -> PreparedImages:
        """The prepared images that are kept, for one pass over images."""
        most_gb = self.settings.prepared_gb
        return PreparedImages(self.prepared_folder, None if most_gb is None else int(most_gb * 1e9))

    @property
    def slice_plane(self) -> SlicePlane:
        """The plane of the annotated slices."""
        return self.recipe.preprocessing.slice_plane

    @property
    def modality(self) -> ProjectModality | None:
        """The recorded modality of the images; None as long as there is no image."""
        return known_modality(self.ledger)

    def fixed_modality(self, images: Iterable[AnyImage] | None = None) -> ProjectModality | None:
        """The modality; if not recorded yet, it is determined now for good, by a vote of `images` if nothing else says.

        Without `images` those of the studies folder vote. Raises as the function `fixed_modality`.
        """
        settings = self.settings
        links_out = settings.links_out_of_studies
        return fixed_modality(self.ledger, settings.modality, self.studies, links_out, self.layout, images)

    @property
    def preprocessing(self) -> PreprocessingSettings:
        """The settings by which all images are prepared; `auto` in the recipe is replaced by the project's modality."""
        settings = self.recipe.preprocessing
        if not settings.decides_itself:
            return settings
        modality = self.modality or self.fixed_modality()
        return settings if modality is None else settings.model_copy(update={"intensity": self._intensity(modality)})

    def _intensity(self, modality: ProjectModality) -> Intensity | tuple[Intensity, ...]:
        """The intensity setting with `auto` replaced by what the modality says: of all channels, or of each."""
        own, found = self.recipe.preprocessing.intensity, modality.intensity
        if isinstance(own, str):
            return found
        by_modality = found if isinstance(found, tuple) else (found,) * len(own)
        return tuple(there if chosen == "auto" else chosen for chosen, there in zip(own, by_modality, strict=True))

    def proxy_settings(self, settings: ProxySettings) -> ProxySettings:
        """The proxy settings of a recipe; if their modality is `auto`, `--conf modality` replaces it."""
        if settings.modality != "auto" or self.settings.modality == "auto":
            return settings
        modality = self.modality or self.fixed_modality()
        return (
            settings
            if modality is None
            else settings.model_copy(update={"modality": modality.kind_of(self.layout.shown).lower()})
        )

    @property
    def device(self) -> torch.device:
        """The device on which networks run."""
        if self.settings.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.settings.device)

    @property
    def precision(self) -> str:
        """The precision in which networks run, and why."""
        return used_precision(self.settings.precision, self.device, self.recipe, self.choices_file)

    @property
    def model_description(self) -> ModelDescription:
        """The description that a model of this project's task must have."""
        return ModelDescription(
            recipe=self.recipe.name,
            labels=self.labels,
            network=self.recipe.network,
            preprocessing=self.preprocessing,
            channels=self.recipe.channels,
        )

    def description_of(self, kind: ModelKind) -> ModelDescription:
        """The description that a model of this kind must have."""
        return proxy_description(self.model_description) if kind == "proxy" else self.model_description

    @property
    def thresholds(self) -> Thresholds:
        """The numbers of labels that make a training due."""
        return thresholds(self.recipe.query, self.settings.start, self.settings.retrain_after)

    def settings_in_force(self) -> dict[str, object]:
        """Every setting with the value in force, as JSON without passwords."""
        modality = self.modality
        return {
            **self.settings.model_dump(mode="json"),
            "modality": self.settings.modality if modality is None else modality.name,
            "labels": list(entries_of(self.labels)),
            "patients": patients_setting_in_force(self.settings, self.ledger),
            "channels": list(self.recipe.channels),
            "shown_channel": self.recipe.shown_channel,
            "database_url": self.ledger.shown_url,
            "project_dir": str(self.folder),
            "device": str(self.device),
            "precision": self.precision,
            "repeats": self.recipe.prediction.repeats,
            "racing": self.recipe.prediction.racing,
            "strategy": self.recipe.query.strategy,
            "start": self.thresholds.start,
            "slice_plane": self.slice_plane,
            "query_size": self.recipe.query.size,
            "retrain_after": self.thresholds.retrain_after,
        }

    def has_scored_all(self, version: int, kind: ScoreKind) -> bool:
        """Whether a model's scoring is complete. Images that are added after its end do not make it incomplete."""
        if (version, kind) not in self.scored_all and not self.ledger.count_unscored(version, kind):
            self.scored_all.add((version, kind))
        return (version, kind) in self.scored_all

    def current_model(self) -> ModelVersion:
        """The model in use.

        Raises:
            NotReadyError: none was trained yet.
        """
        model = self.ledger.model_in_use()
        if model is None:
            raise NotReadyError(f"no model yet: {self._missing_for_first_model()}")
        return model

    def _missing_for_first_model(self) -> str:
        """A text on the labels that the first training waits for, and the labels there are."""
        progress, needed = self.ledger.progress(), self.thresholds.start
        by_slices = self.recipe.query.starts_with_slices
        available = progress.new_training_slices if by_slices else progress.new_training_annotations
        unit = f"training {'slice' if by_slices else 'case'}{'' if needed == 1 else 's'}"
        validation = progress.new_annotations - progress.new_training_annotations
        todo = "label more, or start a training yourself"
        if available >= needed:
            todo = "the first training is due" if self.settings.autopilot else "start a training"
        return f"the first takes {needed} {unit}, you have {available}, and {validation} for validation: {todo}"

    def asking_versions(self) -> Iterator[int]:
        """The version of the model in use, then that of its predecessor, which ranks until the former has scored.

        The predecessor is the newest older model that was neither withdrawn nor beaten by an older one. It is looked
        for only if it is wanted.
        """
        use = self.ledger.model_use()
        if use is None or use.model_version is None:
            return
        yield use.model_version
        sound = self.ledger.sound_models() - {use.model_version}
        before = [item.model_version for item in self.ledger.model_uses()]
        yield from [version for version in before if version in sound and version is not None][-1:]

    def asking_models(self) -> list[ModelVersion]:
        """The models of `asking_versions`."""
        return [self.ledger.model(version) for version in self.asking_versions()]

    def network(self, model: ModelVersion) -> nn.Module:
        """The network of a model version; label names may have been added since its training.

        Raises:
            InvalidInputError: its file is missing or damaged, or has another network or other labels.
        """
        expected = self.description_of(model.kind)
        learnt = read_stored(model.labels)
        if model.kind == "task" and not expected.labels.overlaps and expected.labels.begins_with(learnt):
            expected = expected.model_copy(update={"labels": learnt})
        return load_model(self.models_folder / model.file, expected, model.sha256)

    @property
    def choices_file(self) -> Path | None:
        """The file that keeps the layout and the precision in which each network is fastest on each device.

        None on a CPU if the folder goes: each start would measure anew, and near the threshold choose otherwise, so
        that scores of two precisions would be ranked together. There the processor's flags decide.
        """
        if self.folder_goes and self.device.type == "cpu":
            return None
        return self.shared_choices_file or self.folder / CHOICES

    def predictor(self, model: ModelVersion) -> Predictor:
        """The network of a model version, ready to run over volumes. Raises the errors of `network`."""
        return self.predictor_of(self.network(model), self.device, self.description_of(model.kind))

    def predictor_of(
        self, network: nn.Module, device: torch.device, model: ModelDescription | None = None
    ) -> Predictor:
        """A network, ready to run over volumes by recipe and settings; `model` describes it, by default the task's."""
        settings, labels = self.recipe.prediction, (model or self.model_description).labels
        return Predictor(
            network,
            window_size=settings.window_size,
            window_overlap=settings.window_overlap,
            device=device,
            precision=self.settings.precision,
            choices_file=self.choices_file,
            skip_outside_body=settings.skip_outside_body,
            margin=settings.window_margin,
            overlapping=labels.overlaps,
            channels=self.recipe.channel_count,
            last_layers=settings.random_layers,
        )
