"""The training of a network on the cases of a run: its plan, its cases that cannot be read, and what clients see."""

import json
import logging
from collections.abc import Hashable
from pathlib import Path

import torch

from activelabel.data.files.one_case import one_case
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.loop.judging import judge
from activelabel.loop.run_folder import UNFINISHED
from activelabel.loop.training.run import CASES_FILE, Run
from activelabel.loop.training.stats import shown_stats, stats_revision, write_stats
from activelabel.loop.training_cases import AnnotatedCase
from activelabel.networks import build_network
from activelabel.optional_parts import optional
from activelabel.prediction.predictor import Predictor
from activelabel.project.project import Project
from activelabel.project.setting_aside import set_aside
from activelabel.recipes import TrainingSettings
from activelabel.store.connection.location import sqlite_url
from activelabel.store.records.models import ModelKind
from activelabel.training.checkpoints import ModelDescription
from activelabel.training.engine.loop import Outcome
from activelabel.training.engine.plan import Keep, Plan, Tracked, Weights
from activelabel.training.engine.processes import train
from activelabel.training.engine.progress import Stats
from activelabel.training.evaluation import ClassDice
from activelabel.training.transforms import LoadCase

logger = logging.getLogger(__name__)

_KEEP: dict[str, Keep] = {"CacheDataset": "memory", "PersistentDataset": "disk", "Dataset": "nowhere"}


class NetworkTraining:
    """A network that learns from the training cases of a run and is measured by its validation cases.

    The caller decides what to do with the resulting weights.

    Attributes:
        kind: the kind of its model.
        stage: entries that the statistics have while the training runs, such as `{"stage": "1 of 2: supervised"}`.
    """

    kind: ModelKind = "task"

    def __init__(self, project: Project, training: TrainingSettings, model: ModelDescription) -> None:
        """Train the network that `model` describes with the settings `training`."""
        self._project = project
        self._training = training
        self._model = model
        self.stage: Stats = {}

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the structures that it learns."""
        return self._model.labels.names

    def learn(self, run: Run) -> Outcome:
        """Train on the cases of `run` and write the logs into its folder.

        A case whose files turn out to be damaged is set aside and removed from `run.cases`, and the training begins
        again with the other cases.

        Raises:
            NotReadyError: no training case is left.
        """
        while True:
            (run.folder / CASES_FILE).write_text(json.dumps(run.cases, indent=1), encoding="utf-8")
            training, validation = run.of_role("training"), run.of_role("validation")
            logger.info("training on %d cases, validating on %d", len(training), len(validation))
            try:
                return train(self.plan(run), self.show, run.options.devices)
            except Exception:
                if not self.drop_broken(run):
                    raise
            if not run.of_role("training"):
                raise NotReadyError("training: no training case is left that can be read: the log names them")
            logger.warning("the training begins again with the other %d cases", len(run.cases))

    def drop_broken(self, run: Run) -> bool:
        """Set aside the cases of a run that cannot be loaded; return whether there are any."""
        load, good = LoadCase(self._model.preprocessing, self._model.labels), list[AnnotatedCase]()
        for case in run.cases:
            try:
                with one_case(case["image_id"]):
                    load(case)
                good.append(case)
            except InvalidInputError as error:
                set_aside(case["image_id"], error, self._project.ledger, run.images, Path(case["label"]))
        found = len(good) < len(run.cases)
        run.cases[:] = good
        return found

    def plan(self, run: Run) -> Plan:
        """The plan of the training of a run."""
        options, project = run.options, self._project
        torch.manual_seed(self.seed)  # before weights are drawn
        return Plan(
            model=self._model,
            training=self._training.model_copy(
                update={
                    "epochs": options.max_epochs,
                    "batch_size": options.train_batch_size,
                    "patience": options.early_stop_patience if options.early_stop_patience > 0 else None,
                }
            ),
            prediction=project.recipe.prediction,
            cases=run.of_role("training"),
            validation=run.of_role("validation"),
            seed=self.seed,
            device=options.device,
            precision=project.settings.precision,
            folder=run.folder,
            weights=self.first_weights(),
            keep=_KEEP[options.dataset],
            prepared=project.prepared_images(),
            choices_file=project.choices_file,
            cache_bytes=None if project.settings.cache_gb is None else int(project.settings.cache_gb * 1e9),
            ahead=options.dataloader == "ThreadDataLoader",
            tracked=self._tracked(run),
            event_files=options.tracking in ("tensorboard", "both"),
        )

    @property
    def seed(self) -> int:
        """The seed of all random numbers."""
        return self._project.settings.seed

    def first_weights(self) -> Weights | None:
        """The weights that a training begins with; None for random ones."""
        return None

    def _tracked(self, run: Run) -> Tracked | None:
        """MLflow as it was asked for. By default it has a SQLite database, as it dropped its file store."""
        options, project = run.options, self._project
        if options.tracking not in ("mlflow", "both"):
            return None
        address = options.tracking_uri or sqlite_url(project.folder / "mlflow.db")
        name = str(run.folder.relative_to(project.runs_folder / UNFINISHED))
        return Tracked(address, options.tracking_experiment_name or project.recipe.name, name)

    @property
    def epochs_file(self) -> Path:
        """The file from which an interrupted training continues; the next run removes only the folders of runs."""
        return self._project.runs_folder / "resume" / f"{self.kind}.pt"

    def forget_epochs(self) -> None:
        """Remove the file after the model is published."""
        self.epochs_file.unlink(missing_ok=True)
        folder = self.epochs_file.parent
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    # What comes out

    def predictor(self, weights: Weights, device: torch.device) -> Predictor:
        """A predictor with these weights and the recipe's prediction settings."""
        network = build_network(self._model.network, self._model.classes, self._model.inputs)
        network.load_state_dict(weights)
        return self._project.predictor_of(network, device, self._model)

    def judge(self, weights: Weights, run: Run) -> dict[str, ClassDice]:
        """The Dice of each label in each validation case of a run, on the images' own grids, by image id."""
        if not run.of_role("validation"):
            logger.warning("no validation case could be judged: the last epoch counts, not the best")
        predictor = self.predictor(weights, run.device)
        judged: dict[str, ClassDice] = {}
        for case in run.of_role("validation"):
            try:
                judged |= judge(predictor, [case], self._model)
            except InvalidInputError as error:
                set_aside(case["image_id"], error, self._project.ledger, run.images, Path(case["label"]))
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
