"""One training of a network, as the host's engine asks for its parts.

Mixed precision, several GPUs, MLflow, TensorBoard and early stopping are the host's. Ours are: which cases train and
which judge, how patches are drawn from them, and what is said while it runs.
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
from activelabel.server.training.run import BEST_WEIGHTS as BEST_WEIGHTS
from activelabel.server.training.run import CASES_FILE, LAST_WEIGHTS, cases_of_role
from activelabel.server.training.run import Run as Run
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

    It begins with random weights. What is made of the weights that come out is for those who start it.

    Attributes:
        stage: what the statistics say of it while it runs, such as `{"stage": "1 of 2: supervised"}`.
    """

    def __init__(
        self, project: Project, training: TrainingSettings, model: ModelDescription, description: str = ""
    ) -> None:
        """Train a network as `model` says, in the way that `training` says; `description` is for clients."""
        self._project = project
        self._training = training
        self._model = model
        self.stage: Stats = {}
        super().__init__(
            model_dir=str(project.runs_folder / UNFINISHED),
            description=description,
            amp=torch.cuda.is_available() and project.settings.precision != "float32",
            # The host copies into this file in place; what others read is written by us, see `show`.
            stats_path=str(project.runs_folder / "host_stats.json"),
            train_save_interval=0,
            val_interval=training.validate_every,
            key_metric_filename=BEST_WEIGHTS,
            final_filename=LAST_WEIGHTS,
            labels=list(model.labels),
        )

    def learn(self, run: Run) -> Stats:
        """Train on the cases of `run`, whose folder then holds weights and logs, and return the host's statistics.

        A case whose files turn out to be damaged only now is set aside, it is no more in `run.cases`, and the training
        begins again with the others.

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
        """Set the cases of a run aside that cannot be loaded; whether there are any."""
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
        """The cases of this run, as they were when it began."""
        cases = json.loads((Path(self._model_dir) / request["name"] / CASES_FILE).read_text())
        return cast(list[AnnotatedCase], cases)

    def partition_datalist(
        self, context: Context, shuffle: bool = False
    ) -> tuple[list[AnnotatedCase], list[AnnotatedCase]]:
        """Training and validation cases, by the role that each image has for good."""
        training, validation = (cases_of_role(context.datalist, role) for role in ("training", "validation"))
        if context.local_rank == 0:
            logger.info("training on %d cases, validating on %d", len(training), len(validation))
        return training, validation

    # One run, as the host asks for its parts

    def _host_request(self, run: Run) -> dict[str, Any]:
        """All that the host reads from a request. The file store that it tracks into by default MLflow has given up."""
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
        """The training of one process, all of it drawn from the seed."""
        torch.manual_seed(self._seed(rank))
        return cast(Stats, super().train(rank, world_size, request, datalist))

    def _seed(self, rank: int) -> int:
        return self._project.settings.seed + rank

    def network(self, context: Context) -> nn.Module:
        """With random weights."""
        return self.new_network()

    def new_network(self) -> nn.Module:
        """The network that is trained, with random weights, laid out in memory as it learns fastest."""
        network = build_network(self._model.network, self._model.classes)
        if self._project.device.type == "cpu":
            return with_cpu_layers(network)
        return network.to(memory_format=torch.channels_last_3d)

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
        items = training_items(cases, self._training, self._seed(context.local_rank))
        return self._dataloader(context, items, context.train_batch_size, num_workers, shuffle)

    def train_pre_transforms(self, context: Context) -> Compose:
        """From files to random patches, or to what these are drawn from."""
        return training_transforms(self._load(), self._training, self._seed(context.local_rank))

    def val_pre_transforms(self, context: Context) -> Compose:
        """From files to whole volumes."""
        return Compose([self._load()])

    def _load(self) -> LoadCase:
        return LoadCase(self._model.preprocessing, self._model.labels)

    def train_post_transforms(self, context: Context) -> Compose:
        """Logits and labels one-hot, for the metrics."""
        return Compose([OneHotWhereAnnotated(self._model.classes)])

    def val_key_metric(self, context: Context) -> dict[str, IgniteMetricHandler]:
        """By which the best epoch is known, and whether the training still gets better."""
        handler = MeanIoUHandler if self._training.best_by == "jaccard" else MeanDice
        metric = handler(include_background=False, output_transform=from_engine(["pred", "label"]))
        return {f"val_mean_{self._training.best_by}": metric}

    def val_inferer(self, context: Context) -> Inferer:
        """The windows of a prediction."""
        prediction = self._project.recipe.prediction
        batch_size = context.train_batch_size
        return ReflectedWindowInferer(
            prediction.window_size, prediction.window_overlap, batch_size, prediction.window_margin
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

    def train_handlers(self, context: Context) -> list[Any]:
        """As the host's, but that MLflow and TensorBoard are optional: in the host their failure is the training's.

        Where validation goes by steps, it is not here: see `finalize`.
        """
        by_epochs = self._training.validate_every_steps is None
        return train_handlers(context, self.lr_scheduler_handler(context), self._val_interval if by_epochs else None)

    def val_handlers(self, context: Context) -> list[Any] | None:
        """As `train_handlers`."""
        return val_handlers(context) if context.local_rank == 0 else None

    def finalize(self, context: Context) -> None:
        """The host's statistics, early stop, ours after each epoch, how long an epoch is, and validation by steps."""
        judge_of_epochs = context.evaluator or context.trainer
        if context.local_rank == 0:
            publish = optional_step("the host's statistics are not written", self._host_publisher(context))
            judge_of_epochs.add_event_handler(Events.EPOCH_COMPLETED, publish)
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
        """End the training where so many validations in a row were no better than the best."""
        (metric,) = self.val_key_metric(context)
        stop = EarlyStopping(
            patience=int(context.request["early_stop_patience"]),
            score_function=stopping_fn_from_metric(metric),
            trainer=context.trainer,
        )
        context.evaluator.add_event_handler(Events.EPOCH_COMPLETED, stop)

    # What comes out

    def best_weights(self, run: Run) -> Weights:
        """Those of the best epoch of a run; of the last, where no validation case could judge."""
        weights = run.folder / BEST_WEIGHTS
        if not run.of_role("validation") or not weights.is_file():
            logger.warning("no validation case could be judged: the last epoch counts, not the best")
            weights = run.folder / LAST_WEIGHTS
        return cast(Weights, torch.load(weights, map_location="cpu", weights_only=True))

    def predictor(self, weights: Weights, device: torch.device) -> Predictor:
        """The network with these weights, ready to run over volumes as the recipe says."""
        network = build_network(self._model.network, self._model.classes)
        network.load_state_dict(weights)
        return self._project.predictor_of(network, device)

    def judge(self, weights: Weights, run: Run) -> dict[str, ClassDice]:
        """The Dice of the labels in each validation case of a run, on the images' own grids, by image."""
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
        """Where clients' statistics are read from."""
        return self._project.folder / "train_stats.json"

    def stats_revision(self) -> Hashable:
        """Another value whenever clients would read other statistics."""
        return stats_revision(self.stats_file)

    def show(self, stats: Stats) -> Stats:
        """Let clients see `stats`, and at which stage they are, if the file can be written."""
        shown = shown_stats({**stats, **self.stage})
        with optional("clients do not see how far the training is"):
            write_stats(self.stats_file, shown)
        return shown
