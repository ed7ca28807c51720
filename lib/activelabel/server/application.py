"""What the app does beyond the host's own: everything that the routes and the host's hooks ask of it.

`server.app` mixes `ProjectActions` into the host's base class.
"""

import copy
import logging
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from monailabel.config import settings as host_settings
from monailabel.endpoints.user.auth import get_current_user as host_user
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from activelabel.data.intensities import odd_ones
from activelabel.data.labels import check_label, write_label
from activelabel.data.volumes import read_grid
from activelabel.errors import InvalidInputError
from activelabel.loop.advice import advice
from activelabel.loop.autopilot import Autopilot
from activelabel.loop.due import Situation, Work, read_situation
from activelabel.loop.judging import judge_upload
from activelabel.loop.scoring import scored_measure
from activelabel.loop.waiting import autopilot_info
from activelabel.project.loaded_model import LoadedModel
from activelabel.project.model_standing import read_standing
from activelabel.project.project import Project
from activelabel.project.proxy_model import current_proxy
from activelabel.project.publishing import publish_model
from activelabel.project.readability import known_intensities
from activelabel.server.access import AccessGuard
from activelabel.server.case_actions import CaseActions
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.server.host_tasks import HostTasks
from activelabel.server.login.gate import Login
from activelabel.server.login.host_settings import host_provider
from activelabel.server.login.listening import place_asked_for
from activelabel.server.opening import open_datastore
from activelabel.server.port import when_listening
from activelabel.server.processes import end_children_with_server, is_child, one_line_in_child
from activelabel.server.routes.one_line_route import current_user
from activelabel.server.routes.request_checks import require_known
from activelabel.server.tasks.batch_infer import ReadableBatchInfer
from activelabel.server.tasks.scoring import PROXY, scoring_methods
from activelabel.server.tasks.segmentation import SegmentationInfer
from activelabel.server.tasks.strategy import host_strategies
from activelabel.server.tasks.uncertainty import UncertaintyInfer
from activelabel.server.training.proxy import ProxyTrainTask
from activelabel.server.training.segmentation import SegmentationTrainTask
from activelabel.server.training.stats import for_bars
from activelabel.server.upload_limits import UploadGuard, UploadLimits
from activelabel.server.welcome import welcome
from activelabel.store.records import Progress
from activelabel.strategies.trust import read_trust
from activelabel.training.checkpoints import largest_model_bytes, load_model

logger = logging.getLogger(__name__)

TRAINER = "segmentation"
MODEL = "segmentation"


class ProjectActions(CaseActions):
    """The app's side of a project. Mixed in before the host's `MONAILabelApp`, whose attributes it uses."""

    studies: str
    _infers: dict[str, InferTask]
    _trainers: dict[str, TrainTask]
    _strategies: dict[str, Strategy]
    _scoring_methods: dict[str, ScoringMethod]

    # What the host builds an app from

    def open_datastore(self, follow_changes: bool | None = None) -> LedgerDatastore:
        """The studies: a folder, or a PACS; followed as they change by the server, and not by its children."""
        following = not is_child() if follow_changes is None else follow_changes
        return open_datastore(self.project, self.studies, follow_changes=following)

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
        return host_strategies(self.project)

    def build_scoring_methods(self) -> dict[str, ScoringMethod]:
        """A scoring method a measure, and that of the proxy model if the recipe has one."""
        return scoring_methods(self.project)

    def build_batch_infer(self) -> BatchInferTask:
        """Inference of many images."""
        return ReadableBatchInfer(self.project.ledger)

    # What the routes ask

    def info(self) -> dict[str, Any]:
        """The host's description of the app, with the settings in force and how far the project is."""
        progress, standing = self.project.ledger.progress(), read_standing(self.project.ledger)
        situation = read_situation(self.project, scored_measure(self.project))
        host: dict[str, Any] = super().info()  # type: ignore[misc]  # the host's base class is mixed in behind this one
        return {
            **host,
            "description": f"{host['description']}. {_said(progress)}. {standing}",
            "train_stats": {name: for_bars(stats) for name, stats in host["train_stats"].items()},
            "settings": self.project.settings_in_force(),
            "recipe": self.project.recipe.model_dump(mode="json"),
            "progress": vars(progress),
            "passed_over": self._datastore.passed_over(),
            "standing": str(standing),
            "model": standing.in_full(standing.in_use),
            "newest_model": standing.in_full(standing.newest),
            "autopilot": autopilot_info(self.project, situation, self._autopilot),
            "effort": vars(self.project.ledger.effort(self._datastore.patients())),
            "set_aside": {image.id: image.unreadable_reason for image in self.project.ledger.images_set_aside()},
            "modality": self._modality(),
            "doubt": read_trust(self.project).as_json(),
            "advice": advice(self.project),
            "cases": self.cases(),
        }

    def _modality(self) -> dict[str, Any] | None:
        """What the images are and how that was found out, and which of them differ from the others."""
        modality = self.project.modality
        if modality is None:
            return None
        odd = odd_ones(known_intensities(self.project.ledger))
        return {"name": modality.name, "reason": modality.reason, "intensity": self.project.preprocessing.intensity,
                "differing": odd}  # fmt: skip

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
        self._look_for_work()
        return {}

    def on_remove_label(self, image_id: str) -> None:
        """A label was taken back: the case is in the pool again and may have to be scored."""
        self._look_for_work()

    def largest_model_bytes(self) -> int:
        """How long the file of a model can be that is one for this network and these labels."""
        return largest_model_bytes(self.project.model_description)

    def adopt_model(self, file: Path) -> dict[str, Any]:
        """Publish an uploaded model as a new version, if it is one for this network and these labels.

        It is judged by the validation cases as every other, and in use if it is the best of all.
        """
        network = load_model(file, self.project.model_description)
        weights = network.state_dict()
        predictor = self.project.predictor_of(network, self.project.device)
        metrics, judges = judge_upload(self.project, predictor, self._datastore)
        seen = self.project.ledger.annotations()
        model = publish_model(self.project, weights, metrics, seen, judges=judges)
        standing = read_standing(self.project.ledger)
        logger.info("model %d was sent by a client: %s", model.version, standing)
        return {
            "checksum": f"SHA256:{model.sha256}",
            "modified_time": int(model.created_at.timestamp()),
            **standing.as_json(model),
            "standing": str(standing),
        }

    def withdraw_model(self) -> dict[str, Any]:
        """Take the model in use out of service; the best of those left is then in use."""
        model = self.project.current_model()
        self.project.ledger.withdraw_model(model.version)
        return {"withdrawn": model.version, "standing": str(read_standing(self.project.ledger))}

    # The life of the server

    def on_init_complete(self) -> None:
        """Start what only the server does: its routes, its guard, its autopilot."""
        super().on_init_complete()  # type: ignore[misc]
        self._datastore.readmit_mended(at_start=True)
        guard_host(self.project)
        end_children_with_server()
        progress = self.project.ledger.progress()
        waiting = progress.images - progress.annotated - progress.unreadable
        place = place_asked_for(sys.argv[1:])
        when_listening(
            host_settings.MONAI_LABEL_SERVER_PORT,
            lambda port: logger.info(welcome(place.address(port), self.studies, waiting)),
        )
        if self.project.settings.autopilot:
            self._autopilot = Autopilot(
                self._look_up,
                HostTasks(
                    {Work.TRAIN: TRAINER, Work.TRAIN_PROXY: PROXY},
                    # Whichever of the scoring methods runs, scores for all of them.
                    {Work.SCORE: scored_measure(self.project), Work.SCORE_PROXY: PROXY},
                ),
                self.project.thresholds,
                leads=self.project.ledger.lead,
            )
            self._autopilot.start()

    def _look_up(self) -> Situation:
        """What is due now, cases that were mended among it."""
        self._datastore.readmit_mended()
        return read_situation(self.project, scored_measure(self.project))


def _said(progress: Progress) -> str:
    """How far the project is, in slices and volumes, for those who see no more than a description."""
    return (
        f"Annotated: {progress.annotated_slices} slices; {progress.annotated} of {progress.images} volumes wholly, "
        f"{progress.partly_annotated} in part"
    )


def guard_host(project: Project) -> None:
    """Put our routes before the host's and our guard before everything."""
    from monailabel.app import app as host

    from activelabel.server.routes.app_routes import ROUTES

    host.router.routes[:0] = ROUTES
    host.dependency_overrides[host_user] = current_user
    settings = project.settings
    limits = UploadLimits(settings.largest_upload_mb * 2**20, settings.uploads_at_once, settings.uploads_per_minute)
    host.middleware_stack = AccessGuard(
        UploadGuard(host.middleware_stack, limits),
        local_only=not settings.allow_remote,
        allowed_origins=project.settings.allowed_origins,
        login=Login(project.ledger, timedelta(hours=project.settings.session_hours), host_provider()),
    )
