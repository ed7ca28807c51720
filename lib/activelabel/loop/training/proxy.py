"""Training of the proxy model on pseudo-labels of all images, without annotations (nath2022, 3.1)."""

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from activelabel.data.files.digest import file_sha256
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.one_case import one_case
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.loop.holding import only_training
from activelabel.loop.judging import case_metrics, measure_again
from activelabel.loop.pseudo_label_files import pseudo_label_files
from activelabel.loop.run_folder import exclusive_run, finish_run
from activelabel.loop.training.network_training import NetworkTraining
from activelabel.loop.training.options import TrainOptions, offered_options, parse_options
from activelabel.loop.training.run import Run
from activelabel.loop.training.stats import read_stats, with_models
from activelabel.loop.training_cases import AnnotatedCase
from activelabel.optional_parts import optional
from activelabel.project.images import Images
from activelabel.project.models.proxy import proxy_training
from activelabel.project.models.publishing import publish_model
from activelabel.project.models.standing import read_standing
from activelabel.project.project import Project
from activelabel.project.setting_aside import set_aside_unreadable
from activelabel.recipes import ProxySettings
from activelabel.store.records.images import Image
from activelabel.store.records.models import Judges
from activelabel.store.records.work import Claim
from activelabel.training.engine.plan import Plan
from activelabel.training.engine.progress import Stats

logger = logging.getLogger(__name__)

STATS_FILE = "proxy_stats.json"


class ProxyTraining(NetworkTraining):
    """Trains the recipe's network to predict the pseudo-labels of all images, and publishes it as a proxy model.

    The network learns from training images; the epoch with the best metric on validation images is published. An image
    that has no pseudo-label, or cannot be read, is reported and left out. An interrupted training publishes nothing.
    The next training draws the missing pseudo-labels, and continues after the last completed epoch if it has the same
    files, network, options and seed.
    """

    kind = "proxy"

    def __init__(self, project: Project, settings: ProxySettings, tracking_address: str = "") -> None:
        """Train in `project`; MLflow is at `tracking_address`, by default in the project's folder."""
        self._settings = settings
        super().__init__(project, proxy_training(project.recipe, settings), project.description_of("proxy"))
        # All images of a pool may exceed the memory, so the default is to keep them on disk.
        self._offered = {
            **offered_options(self._training, project.device, project.settings.tracking, tracking_address),
            "dataset": ["PersistentDataset", "CacheDataset", "Dataset"],
        }

    @property
    def description(self) -> str:
        """What clients see."""
        return f"Trains the proxy model on pseudo-labels of all images ({self._project.recipe.title})"

    def offered(self) -> dict[str, Any]:
        """The options of a request, for the clients' form."""
        return dict(self._offered)

    def stats(self) -> Stats:
        """Statistics of the latest training, with the proxy model in use and the newest; empty before the first."""
        return with_models(read_stats(self.stats_file), read_standing(self._project.ledger, "proxy"))

    @property
    def stats_file(self) -> Path:
        """The file of the statistics, beside that of the task's training."""
        return self._project.folder / STATS_FILE

    def check_request(self, request: Mapping[str, Any]) -> TrainOptions:
        """The options of a training, checked so that it can begin now.

        Raises:
            InvalidInputError: an option is unknown or wrong.
            NotReadyError: no training image can be read.
        """
        options = parse_options(request, self._offered)
        if not any(image.role == "training" for image in self._images()):
            raise NotReadyError("proxy training: no training image can be read: put 3D images into the studies folder")
        return options

    def run(self, request: Mapping[str, Any], images: Images, claim: Claim | None = None) -> Stats:
        """Draw the missing pseudo-labels, train, publish the proxy model, and return the statistics.

        `claim` is as in `SegmentationTraining.run`.

        Raises:
            LostClaimError: the claim was lost; nothing is published.
            InvalidInputError: an option is wrong, or no training image has a pseudo-label.
            NotReadyError: no training image can be read.
        """
        started = time.monotonic()
        with (
            only_training(self._project.ledger, claim) as held,
            exclusive_run(self._project.runs_folder) as folder,
            torch.random.fork_rng(),
        ):
            options = self.check_request(request)
            run = Run(options, folder, self._pseudo_labelled(images), images)
            outcome = self.learn(run)
            per_case = self.judge(outcome.weights, run)
            judges = _pseudo_label_judges(run.of_role("validation"))
            with optional("the proxy model in use is not measured again and not compared"):
                measure_again(self._project, "proxy", run.of_role("validation"), judges, run.device)
            metrics = {"dice": case_metrics(per_case, self._model.labels)["dice"]}
            model = publish_model(self._project, outcome.weights, metrics, [], "proxy", judges, held)
            logger.info("published proxy model %d: %s", model.version, metrics)
            with optional("the folder of the run is not put away"):
                self.forget_epochs()
                finish_run(folder, model.version)
        total_time = str(timedelta(seconds=round(time.monotonic() - started)))
        stats = {**outcome.stats, "total_time": total_time, "validation": per_case}
        for of_a_running_one in ("current_time", "seconds_left"):
            stats.pop(of_a_running_one, None)
        self.stage.pop("stage")
        standing = read_standing(self._project.ledger, "proxy")
        logger.info("%s", standing)
        return with_models(self.show(stats), standing)

    def plan(self, run: Run) -> Plan:
        """The plan of a training that continues after an interruption."""
        return replace(super().plan(run), epochs_file=self.epochs_file)

    def _images(self) -> list[Image]:
        """The images that are present and not known to be unreadable."""
        return [image for image in self._project.ledger.images() if image.usable]

    def _pseudo_labelled(self, images: Images) -> list[AnnotatedCase]:
        """One case for each image with a pseudo-label; the statistics show the progress and the images without one."""
        files = pseudo_label_files(self._project, self._settings)
        pool, left_out = self._images(), dict[str, str]()
        cases = []
        for done, image in enumerate(pool, start=1):
            if not set_aside_unreadable(
                image.id,
                images,
                self._project.ledger,
                was_scored=image.id in files,
                preprocessing=self._project.preprocessing,
            ):
                image_files = images.image_files(image.id)
                try:
                    with one_case(image.id):
                        cases.append(_case(image, image_files, files.find(image.id, image_files)))
                except InvalidInputError as error:
                    left_out[image.id] = str(error)
                    logger.warning("%s is left out of the proxy training: %s", image.id, error)
            counts = {"done": done, "images": len(pool), "without": left_out}
            self.stage = {"stage": "1 of 2: drawing pseudo-labels", "pseudo_labels": counts}
            self.show({})
        if not any(case["role"] == "training" for case in cases):
            first = f": {next(iter(left_out.values()))}" if left_out else ""
            raise InvalidInputError(f"proxy training: no training image has a pseudo-label{first}")
        self.stage["stage"] = "2 of 2: training"
        return cases


def _case(image: Image, files: ImageFiles, label: Path) -> AnnotatedCase:
    return {
        "image": files.as_json(),
        "label": str(label),
        "slices": None,
        "slice_axis": None,
        "image_id": image.id,
        "role": image.role,
    }


def _pseudo_label_judges(cases: Sequence[AnnotatedCase]) -> Judges | None:
    """The pseudo-labels that measure a proxy model, identified by their images and contents."""
    labels = sorted((case["image_id"], file_sha256(Path(case["label"]))) for case in cases)
    return Judges(hashlib.sha256(f"pseudo-labels {labels}".encode()).hexdigest(), len(cases)) if cases else None
