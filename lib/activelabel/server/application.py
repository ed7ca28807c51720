"""What the app does beyond the host's own: everything that the routes and the host's hooks ask of it.

`apps/activelabel/main.py` mixes `ProjectActions` into the host's base class.
"""

import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.config import settings as host_settings
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from activelabel.data.labels import check_label, write_label
from activelabel.data.volumes import read_grid
from activelabel.errors import InvalidInputError
from activelabel.server.access import AccessGuard
from activelabel.server.advice import advice
from activelabel.server.autopilot import Autopilot, Work, work_due
from activelabel.server.batch_infer import ReadableBatchInfer
from activelabel.server.checks import require_known
from activelabel.server.datastore import LedgerDatastore
from activelabel.server.infer import SegmentationInfer
from activelabel.server.label_archive import open_archive
from activelabel.server.loaded_model import LoadedModel
from activelabel.server.pacs import Pacs
from activelabel.server.pacs_datastore import PacsDatastore
from activelabel.server.processes import end_children_with_server, is_child, one_line_in_child
from activelabel.server.project import Project
from activelabel.server.proxy_model import current_proxy
from activelabel.server.proxy_scoring import ProxyScoring
from activelabel.server.proxy_train import ProxyTrainTask
from activelabel.server.publishing import publish_model
from activelabel.server.scoring import build_scoring_methods
from activelabel.server.series_cache import SeriesCache, cache_folder
from activelabel.server.situation import read_situation
from activelabel.server.strategies import build_strategies
from activelabel.server.studies import is_pacs
from activelabel.server.tasks import HostTasks
from activelabel.server.train import SegmentationTrainTask
from activelabel.server.train_stats import model_stats
from activelabel.server.trust import read_trust
from activelabel.server.uncertainty_infer import UncertaintyInfer
from activelabel.server.welcome import welcome
from activelabel.store.records import Progress
from activelabel.training.checkpoints import load_model

logger = logging.getLogger(__name__)

TRAINER = "segmentation"
PROXY = "proxy"
"""The trainer and the scoring method of the proxy model."""
MODEL = "segmentation"
SCORING_METHOD = "variance"
"""What the autopilot starts; whichever of the methods runs, scores for all of them."""


class ProjectActions:
    """The app's side of a project. Mixed in before the host's `MONAILabelApp`, whose attributes it uses."""

    project: Project
    studies: str
    _datastore: LedgerDatastore
    _infers: dict[str, InferTask]
    _trainers: dict[str, TrainTask]
    _strategies: dict[str, Strategy]
    _scoring_methods: dict[str, ScoringMethod]
    _autopilot: Autopilot | None = None

    # What the host builds an app from

    def open_datastore(self, follow_changes: bool | None = None) -> LedgerDatastore:
        """The studies: a folder, or a PACS; followed as they change by the server, and not by its children."""
        ledger = self.project.ledger
        if follow_changes is None:
            follow_changes = not is_child()
        archive = open_archive(self.project)
        validation_cases = self.project.recipe.training.validation_cases
        if not is_pacs(self.studies):
            return LedgerDatastore(
                self.studies, ledger, archive, validation_cases=validation_cases, follow_changes=follow_changes
            )
        pacs = Pacs(self.studies)
        return PacsDatastore(
            pacs,
            SeriesCache(pacs, cache_folder(pacs)),
            self.project.folder / "view",
            ledger,
            archive,
            validation_cases=validation_cases,
            follow_changes=follow_changes,
        )

    def build_infers(self) -> dict[str, InferTask]:
        """The model in use: what it sees, and where it doubts."""
        loaded = LoadedModel(self.project)
        return {MODEL: SegmentationInfer(self.project, loaded), "uncertainty": UncertaintyInfer(self.project, loaded)}

    def build_trainers(self) -> dict[str, TrainTask]:
        """That of the task, and that of the proxy model if the recipe has one."""
        trainers: dict[str, TrainTask] = {TRAINER: SegmentationTrainTask(self.project)}
        if self.project.recipe.proxy is not None:
            trainers[PROXY] = ProxyTrainTask(self.project, self.project.recipe.proxy)
        return trainers

    def build_strategies(self) -> dict[str, Strategy]:
        """All strategies, and the recipe's own as `random`."""
        return build_strategies(self.project)

    def build_scoring_methods(self) -> dict[str, ScoringMethod]:
        """A scoring method a measure, and that of the proxy model if the recipe has one."""
        methods = build_scoring_methods(self.project)
        if self.project.recipe.proxy is not None:
            methods[PROXY] = ProxyScoring(self.project, self.project.recipe.proxy)
        return methods

    def build_batch_infer(self) -> BatchInferTask:
        """Inference of many images."""
        return ReadableBatchInfer(self.project.ledger)

    # What the routes ask

    def info(self) -> dict[str, Any]:
        """The host's description of the app, with the settings in force and how far the project is."""
        progress, model = self.project.ledger.progress(), self.project.ledger.latest_model()
        due = work_due(read_situation(self.project, SCORING_METHOD), self.project.thresholds)
        host: dict[str, Any] = super().info()  # type: ignore[misc]  # the host's base class is mixed in behind this one
        return {
            **host,
            "description": f"{host['description']}. {_said(progress)}",
            "settings": self.project.settings_in_force(),
            "recipe": self.project.recipe.model_dump(mode="json"),
            "progress": vars(progress),
            "passed_over": self._datastore.passed_over(),
            "model": None if model is None else {**model_stats(model), "file": model.file, "sha256": model.sha256},
            "autopilot": {
                "due": None if due is None else due.value,
                "rests": self._autopilot is not None and self._autopilot.rests,
            },
            "effort": vars(self.project.ledger.effort(self._patients())),
            "doubt": read_trust(self.project).as_json(),
            "advice": advice(self.project),
        }

    def _patients(self) -> dict[str, str]:
        """Whose the images are, where a PACS says it."""
        if not is_pacs(self.studies):
            return {}
        images = {image_id: self._datastore.get_image_info(image_id) for image_id in self._datastore.list_images()}
        return {image_id: str(info["PatientID"]) for image_id, info in images.items() if info.get("PatientID")}

    def info_names(self, kind: str) -> list[str]:
        """Names of what `GET /info/` lists as `models`, `trainers`, `strategies` or `scoring`."""
        return list(
            {
                "models": self._infers,
                "trainers": self._trainers,
                "strategies": self._strategies,
                "scoring": self._scoring_methods,
            }[kind]
        )

    def require_model(self) -> None:
        """Refuse what needs a model as long as there is none."""
        self.project.current_model()

    def require_model_of(self, scoring_method: str) -> None:
        """Refuse a scoring as long as there is no model that could do it."""
        if scoring_method == PROXY:
            current_proxy(self.project)
        else:
            self.require_model()

    def require_labels_of(self, model: str) -> None:
        """Refuse to keep what a model shows where that is no label."""
        if model != MODEL:
            raise InvalidInputError(f"what '{model}' shows is no label that could be kept: use model '{MODEL}'")

    def check_training(self, trainer: str, params: Mapping[str, Any]) -> None:
        """Refuse a training that could not begin."""
        task = self._trainers[trainer]
        assert isinstance(task, SegmentationTrainTask | ProxyTrainTask)
        task.check_request(params)

    def train(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Train now, in this process."""
        with one_line_in_child():
            return dict(super().train(request))  # type: ignore[misc]

    def scoring(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Score now, in this process."""
        with one_line_in_child():
            return dict(super().scoring(request, datastore))  # type: ignore[misc]

    def infer(self, request: Mapping[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Run a model over an image of the studies, or over the file of an upload or a session.

        The host takes an image id for a path when a file of that name lies in the working folder; here an id is an id.
        """
        require_known(str(request.get("model")), self._infers, "model")
        task, image = self._infers[request["model"]], request["image"]
        if request.get("save_label"):
            self.require_labels_of(request["model"])
        in_studies = image in self._datastore.list_images()
        path = self._datastore.get_image_uri(image) if in_studies else image
        file, params = task({**copy.deepcopy(dict(request)), "image": path})
        if in_studies and request["model"] == MODEL:
            self._remember_prediction(image, file, int(params["model_version"]))
        label = file
        if request.get("save_label") and in_studies:
            tag = request.get("label_tag") or DefaultLabelTag.ORIGINAL.value
            label = self._datastore.save_label(image, file, tag, {"model": request["model"], "params": params})
        return {"label": label, "tag": DefaultLabelTag.ORIGINAL.value, "file": file, "params": params}

    def _remember_prediction(self, image_id: str, file: str, model_version: int) -> None:
        """Keep what an annotator may start from, so that no slice of it is taken for hers."""
        kept = self.project.predictions_folder / image_id / f"{model_version}.nii.gz"
        if not kept.is_file():
            mask = check_label(file, read_grid(self._datastore.get_image_uri(image_id)), self.project.labels)
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_label(kept, mask.array, mask.affine_ras)

    def on_save_label(self, image_id: str, label_id: str) -> dict[str, Any]:
        """A label came back: train if it was the last that was missing."""
        if self._autopilot is not None:
            self._autopilot.nudge()
        return {}

    def on_remove_label(self, image_id: str) -> None:
        """A label was taken back: the case is in the pool again and may have to be scored."""
        if self._autopilot is not None:
            self._autopilot.nudge()

    def adopt_model(self, file: Path) -> dict[str, Any]:
        """Publish an uploaded model as a new version, if it is one for this network and these labels."""
        weights = load_model(file, self.project.model_description).state_dict()
        if not all(weight.isfinite().all() for weight in weights.values()):
            raise InvalidInputError(f"model {file.name}: its weights are not finite numbers: train a new model")
        model = publish_model(self.project, weights, metrics={}, seen=self.project.ledger.annotations())
        return {"checksum": f"SHA256:{model.sha256}", "modified_time": int(model.created_at.timestamp())}

    def withdraw_model(self) -> dict[str, Any]:
        """Take the model in use out of service."""
        model = self.project.current_model()
        self.project.ledger.withdraw_model(model.version)
        return {"withdrawn": model.version}

    # The life of the server

    def on_init_complete(self) -> None:
        """Start what only the server does: its routes, its guard, its autopilot."""
        super().on_init_complete()  # type: ignore[misc]
        guard_host(self.project)
        end_children_with_server()
        progress = self.project.ledger.progress()
        waiting = progress.images - progress.annotated - progress.unreadable
        logger.info(welcome(host_settings.MONAI_LABEL_SERVER_PORT, self.studies, waiting))
        if self.project.settings.autopilot:
            self._autopilot = Autopilot(
                lambda: read_situation(self.project, SCORING_METHOD),
                HostTasks(
                    {Work.TRAIN: TRAINER, Work.TRAIN_PROXY: PROXY},
                    {Work.SCORE: SCORING_METHOD, Work.SCORE_PROXY: PROXY},
                ),
                self.project.thresholds,
            )
            self._autopilot.start()


def _said(progress: Progress) -> str:
    """How far the project is, in slices and volumes, for those who see no more than a description."""
    return (
        f"Annotated: {progress.annotated_slices} slices; {progress.annotated} of {progress.images} volumes wholly, "
        f"{progress.partly_annotated} in part"
    )


def guard_host(project: Project) -> None:
    """Put our routes before the host's and our guard before everything."""
    from monailabel.app import app as host

    from activelabel.server.routes import ROUTES

    host.router.routes[:0] = ROUTES
    host.middleware_stack = AccessGuard(
        host.middleware_stack,
        local_only=not (project.settings.allow_remote or host_settings.MONAI_LABEL_AUTH_ENABLE),
        allowed_origins=project.settings.allowed_origins,
    )
