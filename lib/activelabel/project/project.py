"""A project: the settings, recipe, label names, folders and ledger that all parts of a running server share."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from activelabel.data.files.guard import limit_images
from activelabel.data.files.studies_folder import LEDGER_FILE
from activelabel.data.modality import ProjectModality
from activelabel.data.slices import SlicePlane
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.names import ScoreKind
from activelabel.prediction.precision import choose_precision
from activelabel.prediction.predictor import Predictor
from activelabel.project.existing import existing_ledger as existing_ledger
from activelabel.project.folders import default_folder as default_folder
from activelabel.project.folders import project_folder as project_folder
from activelabel.project.folders import view_folder as view_folder
from activelabel.project.labels.kept_names import check_names, kept_names, name_older_labels
from activelabel.project.labels.names import resolve_label_names
from activelabel.project.modality import fixed_modality, known_modality
from activelabel.project.recipe_in_force import check_device
from activelabel.project.recipe_in_force import with_settings as with_settings
from activelabel.project.settings import Settings, database_url, parse_settings
from activelabel.project.studies import is_pacs
from activelabel.project.thresholds import Thresholds, thresholds
from activelabel.recipes import PreprocessingSettings, ProxySettings, Recipe, check_recipe, load_recipe
from activelabel.recipes.strategy_traits import raced_kind
from activelabel.store.ledger import Ledger
from activelabel.store.location import sqlite_url
from activelabel.store.records import ModelKind, ModelVersion
from activelabel.training.checkpoints import ModelDescription, load_model
from activelabel.training.transfer import proxy_description

logger = logging.getLogger(__name__)

MODELS = "models"


@dataclass(frozen=True)
class Project:
    """What every task of the server is given. It can be pickled: the ledger connects when it is first used."""

    settings: Settings
    recipe: Recipe
    labels: tuple[str, ...]
    folder: Path
    ledger: Ledger
    scored_all: set[tuple[int, ScoreKind]] = field(default_factory=set, repr=False)
    """Model versions known to have scored everything there was, and by what: a memory, not a fact of its own."""
    studies: str = ""

    @property
    def models_folder(self) -> Path:
        """Published model versions; nothing in it is ever changed."""
        return self.folder / MODELS

    @property
    def labels_folder(self) -> Path:
        """Every version of every label."""
        return self.folder / "labels"

    @property
    def view_folder(self) -> Path:
        """Where the host's listing and the labels as the host lays them out are."""
        return view_folder(self.folder, self.studies)

    @property
    def log_file(self) -> Path:
        """What the server of this project has logged."""
        return self.folder / "logs" / "server.log"

    @property
    def runs_folder(self) -> Path:
        """What trainings write while they run."""
        return self.folder / "runs"

    @property
    def predictions_folder(self) -> Path:
        """The masks that models showed of each image: what an annotator who starts from one has not drawn."""
        return self.folder / "predictions"

    @property
    def pseudo_labels_folder(self) -> Path:
        """The pseudo-label of each image, from which the proxy model learns."""
        return self.folder / "pseudo_labels"

    @property
    def features_folder(self) -> Path:
        """What models see in the images: a file a version, of those whose strategies go by it."""
        return self.folder / "features"

    @property
    def slice_plane(self) -> SlicePlane:
        """The plane whose slices are annotated."""
        return self.recipe.preprocessing.slice_plane

    @property
    def modality(self) -> ProjectModality | None:
        """What the images are, as it was found out when the project began; None as long as there is no image."""
        return known_modality(self.ledger)

    def fixed_modality(self) -> ProjectModality | None:
        """As `modality`, found out now if it was not yet, and then for good. Raises as `project_modality` says."""
        settings = self.settings
        return fixed_modality(self.ledger, settings.modality, self.studies, settings.links_out_of_studies)

    @property
    def preprocessing(self) -> PreprocessingSettings:
        """How images are prepared, all alike: where the recipe leaves it to the images, by the project's modality."""
        settings = self.recipe.preprocessing
        if settings.intensity != "auto":
            return settings
        modality = self.modality or self.fixed_modality()
        return settings if modality is None else settings.model_copy(update={"intensity": modality.intensity})

    def proxy_settings(self, settings: ProxySettings) -> ProxySettings:
        """Those of a recipe; where they leave the modality to the images, `--conf modality` outranks these."""
        if settings.modality != "auto" or self.settings.modality == "auto":
            return settings
        said = self.modality or self.fixed_modality()
        return settings if said is None else settings.model_copy(update={"modality": said.kind.lower()})

    @property
    def device(self) -> torch.device:
        """Where networks run."""
        if self.settings.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.settings.device)

    @property
    def model_description(self) -> ModelDescription:
        """What a model of this project's task must have been trained for."""
        return ModelDescription(
            recipe=self.recipe.name,
            labels=self.labels,
            network=self.recipe.network,
            preprocessing=self.preprocessing,
        )

    def description_of(self, kind: ModelKind) -> ModelDescription:
        """What a model of that kind must have been trained for."""
        return proxy_description(self.model_description) if kind == "proxy" else self.model_description

    @property
    def thresholds(self) -> Thresholds:
        """How many labels make a training due."""
        return thresholds(self.recipe.query, self.settings.start, self.settings.retrain_after)

    def settings_in_force(self) -> dict[str, object]:
        """Every setting with the value that counts, as JSON, and no password."""
        modality = self.modality
        return {
            **self.settings.model_dump(mode="json"),
            "modality": self.settings.modality if modality is None else modality.name,
            "labels": list(self.labels),
            "database_url": self.ledger.shown_url,
            "project_dir": str(self.folder),
            "device": str(self.device),
            "precision": str(choose_precision(self.settings.precision, self.device)),
            "repeats": self.recipe.prediction.repeats,
            "racing": self.recipe.prediction.racing,
            "strategy": self.recipe.query.strategy,
            "start": self.thresholds.start,
            "slice_plane": self.slice_plane,
            "query_size": self.recipe.query.size,
            "retrain_after": self.thresholds.retrain_after,
        }

    def has_scored_all(self, version: int, kind: ScoreKind) -> bool:
        """Whether a model's scoring has come to its end. Once it has, images added later do not count against it."""
        if (version, kind) not in self.scored_all and not self.ledger.unscored(version, kind):
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
        """What the first training waits for, and what there is of it."""
        progress, needed = self.ledger.progress(), self.thresholds.start
        by_slices = self.recipe.query.starts_with_slices
        there = progress.new_training_slices if by_slices else progress.new_training_annotations
        unit = f"training {'slice' if by_slices else 'case'}{'' if needed == 1 else 's'}"
        validation = progress.new_annotations - progress.new_training_annotations
        todo = "label more, or start a training yourself"
        if there >= needed:
            todo = "the first training is due" if self.settings.autopilot else "start a training"
        return f"the first takes {needed} {unit}, you have {there}, and {validation} for validation: {todo}"

    def asking_models(self) -> list[ModelVersion]:
        """The model in use, and the one that was before it, which is asked while the new one knows nothing yet.

        The one before is the last that led to it: not one that was withdrawn, or that an older one beats.
        """
        use = self.ledger.model_use()
        if use is None or use.model_version is None:
            return []
        sound = self.ledger.sound_models() - {use.model_version}
        before = [item.model_version for item in self.ledger.model_uses() if item.model_version in sound]
        return [self.ledger.model(version) for version in [use.model_version, *before[-1:]] if version is not None]

    def network(self, model: ModelVersion) -> nn.Module:
        """The network of a model version; names of labels may have been added since it was trained.

        Raises:
            InvalidInputError: its file is missing or damaged, or holds another network or other labels.
        """
        expected = self.description_of(model.kind)
        if model.kind == "task" and expected.labels[: len(model.labels)] == model.labels:
            expected = expected.model_copy(update={"labels": model.labels})
        return load_model(self.models_folder / model.file, expected, model.sha256)

    def predictor(self, model: ModelVersion) -> Predictor:
        """The network of a model version, ready to run over volumes. Raises as `network`."""
        return self.predictor_of(self.network(model), self.device)

    def predictor_of(self, network: nn.Module, device: torch.device) -> Predictor:
        """Any network, ready to run over volumes as recipe and settings say."""
        settings = self.recipe.prediction
        return Predictor(
            network,
            window_size=settings.window_size,
            window_overlap=settings.window_overlap,
            device=device,
            precision=self.settings.precision,
            skip_outside_body=settings.skip_outside_body,
            margin=settings.window_margin,
        )


def plan_project(
    app_dir: str, studies: str, conf: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> Project:
    """Read settings, recipe and label names. Nothing is written, and the ledger is opened only if it alone has names.

    `environment` may name the ledger's database: see `settings.database_url`.

    Raises:
        ActiveLabelError: something of it is wrong; the line says what.
    """
    project = plan_without_labels(app_dir, studies, conf, environment)
    settings, ledger = project.settings, project.ledger
    labels = resolve_label_names(
        settings.labels,
        studies,
        lambda: kept_names(ledger) if ledger.exists() else None,
        links_out=settings.links_out_of_studies,
    )
    return replace(project, labels=labels)


def plan_without_labels(
    app_dir: str, studies: str, conf: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> Project:
    """As `plan_project`, for what needs no label names: they may not be known yet, and are none here.

    Raises:
        ActiveLabelError: settings or recipe are wrong; the line says what.
    """
    settings = parse_settings(conf)
    limit_images(settings.largest_image_voxels)
    recipe = with_settings(load_recipe(settings.recipe), settings)
    check_recipe(recipe)
    if recipe.prediction.racing:
        raced_kind(recipe.query.strategy)  # refuses what cannot race, before the first scoring does
    check_device(settings.device)
    folder = project_folder(app_dir, studies, settings)
    url = database_url(settings, environment) or sqlite_url(folder / LEDGER_FILE)
    return Project(settings, recipe, (), folder, Ledger(url), studies=studies)


def open_project(
    app_dir: str, studies: str, conf: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> Project:
    """A project ready for work: its folder and ledger are there. The arguments are those of `plan_project`.

    Raises:
        ActiveLabelError: settings, recipe, label names or ledger are wrong; the line says what.
    """
    project = plan_project(app_dir, studies, conf, environment)
    make_folder(project)
    prepare_project(project)
    return project


def make_folder(project: Project) -> None:
    """Make the project's folder.

    Raises:
        InvalidInputError: it cannot be made.
    """
    try:
        project.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(
            f"the project folder {project.folder} cannot be made ({error.strerror}): mend that, or name another with "
            "--conf project_dir"
        ) from error


def prepare_project(project: Project) -> None:
    """Open the ledger of a planned project whose folder is there, and say what the project is."""
    project.ledger.open()
    check_names(project.ledger, project.labels)
    name_older_labels(project.ledger, project.labels)
    if project.fixed_modality() is None and not is_pacs(project.studies):  # which is asked when it is opened
        logger.warning("nobody has said what the images are, and there is none yet: the first ones will say it")
    logger.info("project in %s: recipe %s, labels %s", project.folder, project.recipe.name, ", ".join(project.labels))
    precision = choose_precision(project.settings.precision, project.device)
    logger.info("networks run on %s in %s", project.device, precision)
