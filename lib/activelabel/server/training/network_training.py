"""The training of a network: implements the hooks of the host's training task.

The host provides mixed precision, several GPUs, MLflow, TensorBoard and early stopping. This module decides which
cases train and which validate, how patches are drawn from them, and which progress clients see.
"""

import json
import logging
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping
from monai.data import DataLoader
from monai.handlers import (
    LrScheduleHandler,
    MeanDice,
    MeanIoUHandler,
    ValidationHandler,
    from_engine,
    stopping_fn_from_metric,
)
from monai.handlers.ignite_metric import IgniteMetricHandler
from monai.inferers import Inferer
from monai.transforms import Compose
from monailabel.interfaces.datastore import Datastore
from monailabel.tasks.train.basic_train import BasicTrainTask, Context
from monailabel.tasks.train.handler import PublishStatsAndModel
from torch import nn

from activelabel.data.files.one_case import one_case
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.loop.judging import judge
from activelabel.loop.run_folder import UNFINISHED
from activelabel.loop.training_cases import AnnotatedCase
from activelabel.networks import build_network
from activelabel.prediction.precision import choose_precision
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.reflected_windows import ReflectedWindowInferer
from activelabel.project.optional_parts import optional, optional_step
from activelabel.project.project import Project
from activelabel.project.readability import set_aside
from activelabel.recipes import TrainingSettings
from activelabel.server.training.handlers import train_handlers, val_handlers
from activelabel.server.training.run import BEST_WEIGHTS, CASES_FILE, LAST_WEIGHTS, Run, cases_of_role
from activelabel.server.training.stats import Stats, running_stats, shown_stats, stats_revision, write_stats
from activelabel.store.location import sqlite_url
from activelabel.training.checkpoints import ModelDescription
from activelabel.training.cpu_layers import with_cpu_layers
from activelabel.training.evaluation import ClassDice
from activelabel.training.iterations import Output, bfloat16_training_step, bfloat16_validation_step
from activelabel.training.losses import MarkedLabelLoss, build_loss
from activelabel.training.transforms import LoadCase, OneHotWhereAnnotated, training_items, training_transforms

logger = logging.getLogger(__name__)

Iteration = Callable[[Engine, Mapping[str, torch.Tensor]], Output]
Weights = Mapping[str, torch.Tensor]


class NetworkTraining(BasicTrainTask):
    """A network that learns from the training cases of a run and is measured by its validation cases.

    It begins with random weights. The caller decides what to do with the resulting weights.

    Attributes:
        stage: entries that the statistics have while the training runs, such as `{"stage": "1 of 2: supervised"}`.
    """

    def __init__(
        self, project: Project, training: TrainingSettings, model: ModelDescription, description: str = ""
    ) -> None:
        """Train the network that `model` describes with the settings `training`; clients see `description`."""
        self._project = project
        self._training = training
        self._model = model
        self.stage: Stats = {}
        super().__init__(
            model_dir=str(project.runs_folder / UNFINISHED),
            description=description,
            amp=torch.cuda.is_available() and project.settings.precision != "float32",
            # The host writes this file in place; clients read the file that `show` writes.
            stats_path=str(project.runs_folder / "host_stats.json"),
            train_save_interval=0,
            val_interval=training.validate_every,
            key_metric_filename=BEST_WEIGHTS,
            final_filename=LAST_WEIGHTS,
            labels=list(model.labels),
        )

    def learn(self, run: Run) -> Stats:
        """Train on the cases of `run`, write weights and logs into its folder, and return the host's statistics.

        A case whose files turn out to be damaged is set aside and removed from `run.cases`, and the training begins
        again with the other cases.

        Raises:
            NotReadyError: no training case is left.
        """
        while True:
            (run.folder / CASES_FILE).write_text(json.dumps(run.cases, indent=1))
            try:
                return cast(Stats, BasicTrainTask.__call__(self, self._host_request(run), run.datastore))
            except Exception:
                if not self.drop_broken(run):
                    raise
            if not run.of_role("training"):
                raise NotReadyError("training: no training case is left that can be read: the log names them")
            logger.warning("the training begins again with the other %d cases", len(run.cases))

    def drop_broken(self, run: Run) -> bool:
        """Set aside the cases of a run that cannot be loaded; return whether there are any."""
        load, good = self._load(), list[AnnotatedCase]()
        for case in run.cases:
            try:
                with one_case(case["image_id"]):
                    load(case)
                good.append(case)
            except InvalidInputError as error:
                set_aside(case["image_id"], error, self._project.ledger, run.datastore, Path(case["label"]))
        found = len(good) < len(run.cases)
        run.cases[:] = good
        return found

    # Cases

    def pre_process(self, request: Mapping[str, Any], datastore: Datastore) -> list[AnnotatedCase]:
        """The cases of the run, as they were at its start."""
        cases = json.loads((Path(self._model_dir) / request["name"] / CASES_FILE).read_text())
        return cast(list[AnnotatedCase], cases)

    def partition_datalist(
        self, context: Context, shuffle: bool = False
    ) -> tuple[list[AnnotatedCase], list[AnnotatedCase]]:
        """Training and validation cases, by the fixed role of each image."""
        training, validation = (cases_of_role(context.datalist, role) for role in ("training", "validation"))
        if context.local_rank == 0:
            logger.info("training on %d cases, validating on %d", len(training), len(validation))
        return training, validation

    # One run, as the host asks for its parts

    def _host_request(self, run: Run) -> dict[str, Any]:
        """The host's request for a run. Tracking uses SQLite, as MLflow dropped the host's default, a file store."""
        options = run.options
        return {
            **options.model_dump(),
            "tracking_uri": options.tracking_uri or sqlite_url(self._project.folder / "mlflow.db"),
            "tracking_experiment_name": options.tracking_experiment_name or self._project.recipe.name,
            "name": str(run.folder.relative_to(self._model_dir)),
            "pretrained": False,
            "val_batch_size": 1,
        }

    def train(self, rank: int, world_size: int, request: Mapping[str, Any], datalist: list[AnnotatedCase]) -> Stats:
        """Run the training of one process, with all random numbers drawn from the seed."""
        torch.manual_seed(self._seed(rank))
        return cast(Stats, super().train(rank, world_size, request, datalist))

    def _seed(self, rank: int) -> int:
        return self._project.settings.seed + rank

    def network(self, context: Context) -> nn.Module:
        """The network at the start of the training."""
        return self.new_network()

    def new_network(self) -> nn.Module:
        """The network with random weights, in the memory layout that trains fastest."""
        network = build_network(self._model.network, self._model.classes)
        if self._project.device.type == "cpu":
            return with_cpu_layers(network)
        return network.to(memory_format=torch.channels_last_3d)

    def optimizer(self, context: Context) -> torch.optim.Optimizer:
        """AdamW, which equals Adam if the weight decay is 0."""
        return torch.optim.AdamW(
            context.network.parameters(), lr=self._training.learning_rate, weight_decay=self._training.weight_decay
        )

    def lr_scheduler_handler(self, context: Context) -> LrScheduleHandler | None:
        """A nearly linear decay from the recipe's rate to 0 at the last epoch; None for a constant rate."""
        if not self._training.learning_rate_decay:
            return None
        scheduler = torch.optim.lr_scheduler.PolynomialLR(context.optimizer, context.max_epochs, power=0.9)
        return LrScheduleHandler(scheduler, print_lr=False)

    def loss_function(self, context: Context) -> nn.Module:
        """The recipe's loss, over annotated voxels only."""
        return MarkedLabelLoss(build_loss(self._training.loss, self._model.labels))

    def train_data_loader(self, context: Context, num_workers: int = 0, shuffle: bool = True) -> DataLoader:
        """The loader of mini-batches of patches. Of several processes, each loads its own share of the cases."""
        cases, _ = self._dataset(context, context.train_datalist, is_train=True)
        items = training_items(cases, self._training, self._seed(context.local_rank))
        return self._dataloader(context, items, context.train_batch_size, num_workers, shuffle)

    def train_pre_transforms(self, context: Context) -> Compose:
        """The transforms from files to random patches, or to the volumes from which patches are drawn."""
        return training_transforms(self._load(), self._training, self._seed(context.local_rank))

    def val_pre_transforms(self, context: Context) -> Compose:
        """The transforms from files to whole volumes."""
        return Compose([self._load()])

    def _load(self) -> LoadCase:
        return LoadCase(self._model.preprocessing, self._model.labels)

    def train_post_transforms(self, context: Context) -> Compose:
        """The transforms of logits and labels to one-hot tensors for the metrics."""
        return Compose([OneHotWhereAnnotated(self._model.classes, self._model.labels)])

    def val_key_metric(self, context: Context) -> dict[str, IgniteMetricHandler]:
        """The metric that selects the best epoch and controls the early stop."""
        handler = MeanIoUHandler if self._training.best_by == "jaccard" else MeanDice
        metric = handler(include_background=False, output_transform=from_engine(["pred", "label"]))
        return {f"val_mean_{self._training.best_by}": metric}

    def val_inferer(self, context: Context) -> Inferer:
        """The sliding-window inferer, with the windows of a prediction."""
        prediction = self._project.recipe.prediction
        batch_size = context.train_batch_size
        return ReflectedWindowInferer(
            prediction.window_size, prediction.window_overlap, batch_size, prediction.window_margin
        )

    def train_iteration_update(self, context: Context) -> Iteration | None:
        """A training step in bfloat16 on a CPU with fast bfloat16; None for the host's own step."""
        return bfloat16_training_step if self._bfloat16_on_cpu(context.device) else None

    def val_iteration_update(self, context: Context) -> Iteration | None:
        """A validation step, chosen as in `train_iteration_update`."""
        return bfloat16_validation_step if self._bfloat16_on_cpu(context.device) else None

    def _bfloat16_on_cpu(self, device: torch.device) -> bool:
        precision = choose_precision(self._project.settings.precision, device)
        return device.type == "cpu" and precision.dtype is torch.bfloat16

    def train_handlers(self, context: Context) -> list[Any]:
        """The host's training handlers, but a failure of MLflow or TensorBoard does not stop the training.

        They include validation by epochs; for validation by steps see `finalize`.
        """
        by_epochs = self._training.validate_every_steps is None
        return train_handlers(context, self.lr_scheduler_handler(context), self._val_interval if by_epochs else None)

    def val_handlers(self, context: Context) -> list[Any] | None:
        """The host's validation handlers, with the change of `train_handlers`."""
        return val_handlers(context) if context.local_rank == 0 else None

    def finalize(self, context: Context) -> None:
        """Attach the host's statistics, the early stop, our statistics, the epoch length, and validation by steps."""
        measuring_engine = context.evaluator or context.trainer
        if context.local_rank == 0:
            publish = optional_step("the host's statistics are not written", self._host_publisher(context))
            measuring_engine.add_event_handler(Events.EPOCH_COMPLETED, publish)
        if context.evaluator is not None and int(context.request["early_stop_patience"]) > 0:
            self._stop_early(context)
        if self._training.steps_per_epoch is not None:
            context.trainer.state.epoch_length = self._training.steps_per_epoch
        if self._training.validate_every_steps is not None and context.evaluator is not None:
            all_steps = context.trainer.state.epoch_length * context.max_epochs
            interval = min(self._training.validate_every_steps, all_steps)
            ValidationHandler(interval, context.evaluator, epoch_level=False).attach(context.trainer)
        if context.local_rank == 0:
            context.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: self.show(running_stats(context)))

    def _host_publisher(self, context: Context) -> PublishStatsAndModel:
        return PublishStatsAndModel(
            self._stats_path,
            self._publish_path,
            self._key_metric_filename,
            context.start_ts,
            context.run_id,
            context.output_dir,
            context.trainer,
            context.evaluator,
        )

    def _stop_early(self, context: Context) -> None:
        """End the training after `early_stop_patience` validations in a row without a new best."""
        (metric,) = self.val_key_metric(context)
        stop = EarlyStopping(
            patience=int(context.request["early_stop_patience"]),
            score_function=stopping_fn_from_metric(metric),
            trainer=context.trainer,
        )
        context.evaluator.add_event_handler(Events.EPOCH_COMPLETED, stop)

    # What comes out

    def best_weights(self, run: Run) -> Weights:
        """The weights of the best epoch of a run; of the last epoch if there was no validation."""
        weights = run.folder / BEST_WEIGHTS
        if not run.of_role("validation") or not weights.is_file():
            logger.warning("no validation case could be judged: the last epoch counts, not the best")
            weights = run.folder / LAST_WEIGHTS
        return cast(Weights, torch.load(weights, map_location="cpu", weights_only=True))

    def predictor(self, weights: Weights, device: torch.device) -> Predictor:
        """A predictor with these weights and the recipe's prediction settings."""
        network = build_network(self._model.network, self._model.classes)
        network.load_state_dict(weights)
        return self._project.predictor_of(network, device, self._model)

    def judge(self, weights: Weights, run: Run) -> dict[str, ClassDice]:
        """The Dice of each label in each validation case of a run, on the images' own grids, by image id."""
        predictor = self.predictor(weights, run.device)
        judged: dict[str, ClassDice] = {}
        for case in run.of_role("validation"):
            try:
                judged |= judge(predictor, [case], self._model)
            except InvalidInputError as error:
                set_aside(case["image_id"], error, self._project.ledger, run.datastore, Path(case["label"]))
                run.cases.remove(case)
        return judged

    @property
    def stats_file(self) -> Path:
        """The file from which clients' statistics are read."""
        return self._project.folder / "train_stats.json"

    def stats_revision(self) -> Hashable:
        """A value that changes whenever the statistics for clients change."""
        return stats_revision(self.stats_file)

    def show(self, stats: Stats) -> Stats:
        """Write `stats`, with the stage, to the file for clients, and return them; a failed write is only a warning."""
        shown = shown_stats({**stats, **self.stage})
        with optional("clients do not see how far the training is"):
            write_stats(self.stats_file, shown)
        return shown
