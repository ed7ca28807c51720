"""Training on what was annotated, as a task of the host, so that its users find what they know.

Mixed precision, several GPUs, MLflow, TensorBoard and early stopping are the host's. Ours are: which cases and slices
train and which judge, what a training begins with, and a new model version that is there completely or not at all.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from monai.handlers import LrScheduleHandler, MeanDice, MeanIoUHandler, from_engine
from monai.handlers.ignite_metric import IgniteMetricHandler
from monai.inferers import Inferer, SlidingWindowInferer
from monai.transforms import Compose
from monailabel.interfaces.datastore import Datastore
from monailabel.tasks.train.basic_train import BasicTrainTask, Context
from torch import nn

from activelabel.errors import InvalidInputError
from activelabel.networks import build_network
from activelabel.prediction.precision import choose_precision
from activelabel.prediction.predictor import Predictor
from activelabel.server.project import Project
from activelabel.server.publishing import publish_model
from activelabel.server.runs import UNFINISHED, exclusive_run, finish_run
from activelabel.server.train_cases import (
    AnnotatedCase,
    annotated_case,
    check_training_cases,
    readable_annotations,
)
from activelabel.server.train_options import TrainOptions, offered_options, parse_options
from activelabel.server.train_stats import Stats, model_stats, read_stats, running_stats, write_stats
from activelabel.store.location import sqlite_url
from activelabel.training.checkpoints import load_model
from activelabel.training.cpu_layers import with_cpu_layers
from activelabel.training.evaluation import ClassDice, evaluate_cases, mean_class_dice, mean_dice
from activelabel.training.iterations import Output, bfloat16_training_step, bfloat16_validation_step
from activelabel.training.losses import MarkedLabelLoss, build_loss
from activelabel.training.partners import with_partners
from activelabel.training.transforms import LoadCase, OneHotWhereAnnotated, training_transforms

logger = logging.getLogger(__name__)

BEST_WEIGHTS = "best.pt"
LAST_WEIGHTS = "last.pt"
CASES_FILE = "cases.json"

Iteration = Callable[[Engine, Mapping[str, torch.Tensor]], Output]


class SegmentationTrainTask(BasicTrainTask):
    """Trains the recipe's network on all that is annotated of the training cases, and publishes it.

    It begins with random weights, or with those of the model in use if the recipe says so. Validation cases are those
    of the ledger: the same in every round, never trained on. The epoch with the best mean Dice or Jaccard index over
    them is published; without an annotated validation case, the last epoch. Of a training case some slices may be
    annotated, of a validation case all must be. An interrupted training has published nothing, and the next one begins
    as it did.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._training = project.recipe.training
        super().__init__(
            model_dir=str(project.runs_folder / UNFINISHED),
            description=f"Trains the network on all that is annotated ({project.recipe.title})",
            amp=torch.cuda.is_available() and project.settings.precision != "float32",
            # The host copies into this file in place; what others read is written by us, see `stats`.
            stats_path=str(project.runs_folder / "host_stats.json"),
            train_save_interval=0,
            val_interval=self._training.validate_every,
            key_metric_filename=BEST_WEIGHTS,
            final_filename=LAST_WEIGHTS,
            labels=list(project.labels),
        )
        self._config = offered_options(self._training, project.device)

    # What clients ask

    def stats(self) -> Stats:
        """How the latest training went or goes, and the model in use; empty before the first."""
        model = self._project.ledger.latest_model()
        stats = read_stats(self._stats_file)
        return stats if model is None else {**stats, "model": model_stats(model)}

    def check_request(self, request: Mapping[str, Any]) -> TrainOptions:
        """The options of a training that could begin now.

        Raises:
            InvalidInputError: an option is unknown or wrong.
            NotReadyError: nothing is annotated that could be trained on.
        """
        options = parse_options(request, self._config)
        check_training_cases(self._project.ledger)
        return options

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> Stats:
        """Train, publish the new model version, and return the statistics.

        Raises:
            InvalidInputError: an option is wrong, or the file of a case cannot be read.
            NotReadyError: nothing is annotated that could be trained on.
        """
        started = time.monotonic()
        with exclusive_run(self._project.runs_folder) as folder, torch.random.fork_rng():
            options = parse_options(request, self._config)
            annotations = readable_annotations(self._project.ledger, datastore)
            cases = [annotated_case(annotation, self._project, datastore) for annotation in annotations]
            (folder / CASES_FILE).write_text(json.dumps(cases, indent=1))
            stats = super().__call__(self._host_request(options, folder), datastore)
            network, per_case = self._judge(folder, cases, torch.device(options.device))
            classes = mean_class_dice(list(per_case.values()), self._project.labels)
            metrics = {"dice": mean_dice(classes), **{f"dice_{name}": value for name, value in classes.items()}}
            model = publish_model(self._project, network.state_dict(), metrics, annotations)
            logger.info("published model %d: %s", model.version, metrics)
            finish_run(folder, model.version)
        total_time = str(timedelta(seconds=round(time.monotonic() - started)))
        stats = {**stats, "total_time": total_time, "validation": per_case, "model": model_stats(model)}
        stats.pop("current_time", None)
        return self._show(stats)

    # Cases

    def pre_process(self, request: Mapping[str, Any], datastore: Datastore) -> list[AnnotatedCase]:
        """The cases of this run, as they were when it began."""
        cases = json.loads((Path(self._model_dir) / request["name"] / CASES_FILE).read_text())
        return cast(list[AnnotatedCase], cases)

    def partition_datalist(
        self, context: Context, shuffle: bool = False
    ) -> tuple[list[AnnotatedCase], list[AnnotatedCase]]:
        """Training and validation cases, by the role that each image has for good."""
        training = [case for case in context.datalist if case["role"] == "training"]
        validation = [case for case in context.datalist if case["role"] == "validation"]
        if context.local_rank == 0:
            logger.info("training on %d cases, validating on %d", len(training), len(validation))
        return training, validation

    # One run, as the host asks for its parts

    def _host_request(self, options: TrainOptions, folder: Path) -> dict[str, Any]:
        """All that the host reads from a request. The file store that it tracks into by default MLflow has given up."""
        return {
            **options.model_dump(),
            "tracking_uri": options.tracking_uri or sqlite_url(self._project.folder / "mlflow.db"),
            "tracking_experiment_name": options.tracking_experiment_name or self._project.recipe.name,
            "name": folder.name,
            "pretrained": False,
            "val_batch_size": 1,
        }

    def train(self, rank: int, world_size: int, request: Mapping[str, Any], datalist: list[AnnotatedCase]) -> Stats:
        """The training of one process, all of it drawn from the seed."""
        torch.manual_seed(self._seed(rank))
        return cast(Stats, super().train(rank, world_size, request, datalist))

    def _seed(self, rank: int) -> int:
        return self._project.settings.seed + rank

    def network(self, context: Context) -> nn.Module:
        """The recipe's, with random weights or, where it is fine-tuned, those of the model in use."""
        network = self._new_network()
        model = self._project.ledger.latest_model() if self._training.from_previous else None
        if model is not None:
            try:
                previous = load_model(
                    self._project.models_folder / model.file, self._project.model_description, model.sha256
                )
            except InvalidInputError as error:
                logger.warning(
                    "training begins with random weights, not with those of model %d: %s", model.version, error
                )
            else:
                network.load_state_dict(previous.state_dict())
        return network

    def _new_network(self) -> nn.Module:
        description = self._project.model_description
        network = build_network(description.network, description.classes)
        if self._project.device.type == "cpu":
            return with_cpu_layers(network)
        return network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # the stub lacks 3D

    def optimizer(self, context: Context) -> torch.optim.Optimizer:
        """AdamW, which without weight decay is Adam."""
        return torch.optim.AdamW(
            context.network.parameters(), lr=self._training.learning_rate, weight_decay=self._training.weight_decay
        )

    def lr_scheduler_handler(self, context: Context) -> LrScheduleHandler | None:
        """From the recipe's rate down to 0 at the last epoch, almost in a line; None keeps it as it is."""
        if not self._training.learning_rate_decay:
            return None
        scheduler = torch.optim.lr_scheduler.PolynomialLR(context.optimizer, context.max_epochs, power=0.9)
        return LrScheduleHandler(scheduler, print_lr=False)

    def loss_function(self, context: Context) -> nn.Module:
        """The recipe's, over what is annotated."""
        return MarkedLabelLoss(build_loss(self._training.loss))

    def train_data_loader(self, context: Context, num_workers: int = 0, shuffle: bool = True) -> DataLoader:
        """Mini-batches of patches; of cases that this process trains on, if there are several processes."""
        cases, _ = self._dataset(context, context.train_datalist, is_train=True)
        partnered = with_partners(cases, self._training)
        return self._dataloader(context, partnered, context.train_batch_size, num_workers, shuffle)

    def train_pre_transforms(self, context: Context) -> Compose:
        """From files to random patches."""
        return training_transforms(self._load(), self._training, self._seed(context.local_rank))

    def val_pre_transforms(self, context: Context) -> Compose:
        """From files to whole volumes."""
        return Compose([self._load()])

    def _load(self) -> LoadCase:
        return LoadCase(self._project.recipe.preprocessing, self._project.labels)

    def train_post_transforms(self, context: Context) -> Compose:
        """Logits and labels one-hot, for the metrics."""
        return Compose([OneHotWhereAnnotated(self._project.model_description.classes)])

    def val_key_metric(self, context: Context) -> dict[str, IgniteMetricHandler]:
        """By which the best epoch is known, and whether the training still gets better."""
        handler = MeanIoUHandler if self._training.best_by == "jaccard" else MeanDice
        metric = handler(include_background=False, output_transform=from_engine(["pred", "label"]))
        return {f"val_mean_{self._training.best_by}": metric}

    def val_inferer(self, context: Context) -> Inferer:
        """The windows of a prediction."""
        prediction = self._project.recipe.prediction
        return SlidingWindowInferer(
            roi_size=prediction.window_size,
            sw_batch_size=context.train_batch_size,
            overlap=prediction.window_overlap,
            mode="gaussian",
        )

    def train_iteration_update(self, context: Context) -> Iteration | None:
        """A step in bfloat16 on a CPU that is good at it; elsewhere the host's own."""
        return bfloat16_training_step if self._bfloat16_on_cpu(context.device) else None

    def val_iteration_update(self, context: Context) -> Iteration | None:
        """As `train_iteration_update`."""
        return bfloat16_validation_step if self._bfloat16_on_cpu(context.device) else None

    def _bfloat16_on_cpu(self, device: torch.device) -> bool:
        precision = choose_precision(self._project.settings.precision, device)
        return device.type == "cpu" and precision.dtype is torch.bfloat16

    def finalize(self, context: Context) -> None:
        """The host's handlers, our statistics after each epoch, and how long an epoch is."""
        super().finalize(context)
        if self._training.steps_per_epoch is not None:
            context.trainer.state.epoch_length = self._training.steps_per_epoch
        if context.local_rank == 0:
            context.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: self._show(running_stats(context)))

    # What comes out

    def _judge(
        self, folder: Path, cases: Sequence[AnnotatedCase], device: torch.device
    ) -> tuple[nn.Module, dict[str, ClassDice]]:
        """The network to publish, and its Dice in each validation case, on the images' own grids."""
        validation = [case for case in cases if case["role"] == "validation"]
        weights = folder / BEST_WEIGHTS
        if not validation or not weights.is_file():
            logger.warning("no validation case could be judged: the last epoch is published, not the best")
            weights = folder / LAST_WEIGHTS
        network = self._new_network()
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        settings = self._project.recipe.prediction
        predictor = Predictor(
            network,
            window_size=settings.window_size,
            window_overlap=settings.window_overlap,
            device=device,
            precision=self._project.settings.precision,
            skip_outside_body=settings.skip_outside_body,
        )
        preprocessing = self._project.recipe.preprocessing
        dice = evaluate_cases(predictor.probabilities, validation, self._project.labels, preprocessing)
        return network, {case["image_id"]: classes for case, classes in zip(validation, dice, strict=True)}

    @property
    def _stats_file(self) -> Path:
        return self._project.folder / "train_stats.json"

    def _show(self, stats: Stats) -> Stats:
        return write_stats(self._stats_file, stats)
