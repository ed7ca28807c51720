"""Training of the task's model on the annotations.

This module chooses the initial weights and the stages of a training, and publishes the new model version
atomically.
"""

import json
import logging
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import torch

from activelabel.acquisition.effort import AnnotatedQuery, effort
from activelabel.errors import InvalidInputError, NotReadyError
from activelabel.loop.holding import only_training
from activelabel.loop.judging import case_metrics, measure_again
from activelabel.loop.noisy_labels import NoisyLabels
from activelabel.loop.run_folder import exclusive_run, finish_run
from activelabel.loop.training.network_training import NetworkTraining
from activelabel.loop.training.options import TrainOptions, offered_options, parse_options
from activelabel.loop.training.run import VALIDATION_FILE, Run
from activelabel.loop.training.semi_supervised import SemiSupervisedTraining
from activelabel.loop.training.stats import read_stats, with_models
from activelabel.loop.training_cases import annotated_case, check_training_cases, readable_annotations
from activelabel.loop.uncertainty_check import compare_labels
from activelabel.optional_parts import optional
from activelabel.project.images import Images
from activelabel.project.models.proxy import initial_weights
from activelabel.project.models.publishing import publish_model
from activelabel.project.models.standing import read_standing
from activelabel.project.project import Project
from activelabel.recipes import SemiSupervisedSettings
from activelabel.store.models.choice import label_judges
from activelabel.store.records.labels import Annotation
from activelabel.store.records.models import ModelVersion
from activelabel.store.records.work import Claim
from activelabel.training.checkpoints import load_model
from activelabel.training.engine.loop import Outcome
from activelabel.training.engine.plan import Plan, Weights
from activelabel.training.engine.progress import Stats
from activelabel.training.engine.replay import continued
from activelabel.training.schedule import scheduled
from activelabel.training.two_views import NoisyCase

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_STATES = 30.0
"""The state of a training takes four times the room of its weights, and an epoch may take less than a second."""


class SegmentationTraining(NetworkTraining):
    """Trains the recipe's network on all annotations of the training cases, and publishes it as a new version.

    The new model is used if it is the best on the current validation cases and nobody chose another model. For the
    comparison, the model in use is measured again if the validation cases have changed.

    Training begins with random weights, or, if the recipe says so, with those of the model in use or the proxy model.
    The ledger fixes the validation cases: the same in every round, never trained on. The epoch with the best mean
    Dice or Jaccard index over them is published; without an annotated validation case, the last epoch. A training case
    may be annotated in part, a validation case must be annotated completely. An interrupted training publishes
    nothing. The next one continues after one of its last epochs if it has the same files, network, options and first
    weights; a second stage starts from its beginning.

    Before the training, new labels are compared with the uncertainty of the model in use: see `loop.uncertainty_check`.
    """

    def __init__(self, project: Project, tracking_address: str = "") -> None:
        """Train in `project`; MLflow is at `tracking_address`, by default in the project's folder."""
        super().__init__(project, project.recipe.training, project.model_description)
        self._previous: Weights | None = None
        self._offered = offered_options(self._training, project.device, project.settings.tracking, tracking_address)

    @property
    def description(self) -> str:
        """What clients see."""
        return f"Trains the network on all that is annotated ({self._project.recipe.title})"

    def offered(self) -> dict[str, Any]:
        """The options of a request, for the clients' form."""
        return dict(self._offered)

    # What clients ask

    def stats(self) -> Stats:
        """Statistics of the latest training, with the model in use and the newest; empty before the first."""
        return with_models(read_stats(self.stats_file), read_standing(self._project.ledger))

    def check_request(self, request: Mapping[str, Any]) -> TrainOptions:
        """The options of a training, checked so that it can begin now.

        Raises:
            InvalidInputError: an option is unknown or wrong.
            NotReadyError: there is no annotation to train on.
        """
        options = parse_options(request, self._offered)
        check_training_cases(self._project.ledger)
        return options

    def run(self, request: Mapping[str, Any], images: Images, claim: Claim | None = None) -> Stats:
        """Train, publish the new model version, and return the statistics.

        Of all processes of a project one trains at a time. `claim` is what a worker has claimed already; without one,
        this call waits until nobody else trains.

        Raises:
            LostClaimError: the claim was lost; nothing is published.
            InvalidInputError: an option is wrong, or the file of a case cannot be read.
            NotReadyError: there is no annotation to train on.
        """
        started = time.monotonic()
        with (
            only_training(self._project.ledger, claim) as held,
            exclusive_run(self._project.runs_folder) as folder,
            torch.random.fork_rng(),
        ):
            options = parse_options(request, self._offered)
            annotations = readable_annotations(self._project, images)
            cases = [annotated_case(annotation, self._project, images) for annotation in annotations]
            run = Run(options, folder, cases, images)
            self._training = scheduled(self._project.recipe.training, effort_units(annotations, run))
            with optional("uncertainty is not compared with the new labels"):
                compare_labels(self._project, annotations, images, run.device)
            outcome = self._go_through_stages(run)
            per_case = self.judge(outcome.weights, run)
            learnt = {case["image_id"] for case in run.cases}
            annotations = [item for item in annotations if item.image_id in learnt]
            judges = label_judges(item.id for item in annotations if item.image_id in per_case)
            with optional("the model in use is not measured again and not compared"):
                measure_again(self._project, "task", run.of_role("validation"), judges, run.device)
            metrics = case_metrics(per_case, self._project.labels)
            model = publish_model(self._project, outcome.weights, metrics, annotations, judges=judges, claim=held)
            logger.info("published model %d: %s", model.version, metrics)
            with optional("the folder of the run is not put away"):
                (folder / VALIDATION_FILE).write_text(json.dumps(per_case, allow_nan=False), encoding="utf-8")
                self.forget_epochs()
                finish_run(folder, model.version)
        total_time = str(timedelta(seconds=round(time.monotonic() - started)))
        stats = {**outcome.stats, "total_time": total_time, "validation": per_case}
        for of_a_running_one in ("current_time", "seconds_left"):
            stats.pop(of_a_running_one, None)
        standing = read_standing(self._project.ledger)
        logger.info("%s", standing)  # the last line of a task's details, which clients show
        return with_models(self.show(stats), standing)

    # The stages of a round

    def _go_through_stages(self, run: Run) -> Outcome:
        """Run the stages; return the outcome of the last one (nath2022, algorithm 1, lines 7-11)."""
        settings = self._project.recipe.semi_supervised
        if settings is None or not self._project.recipe.fine_tunes:
            return self.learn(run)
        self.stage = {"stage": "1 of 2: supervised training"}
        first = self.learn(run)
        try:
            noisy = self._noisy_labels(settings, first.weights, run)
        except NotReadyError as reason:
            logger.warning("no second stage, the supervised model is published: %s", reason)
            return replace(first, stats={**first.stats, "semi_supervised": {"left_out": str(reason)}})
        finally:
            self.stage = {}
        tuned = self._fine_tune(settings, first.weights, noisy, run)
        fine_tuning = {"volumes": list(noisy), "best_metric_before": first.stats["best_metric"]}
        return replace(tuned, stats={**tuned.stats, "semi_supervised": fine_tuning})

    def _noisy_labels(self, settings: SemiSupervisedSettings, weights: Weights, run: Run) -> dict[str, NoisyCase]:
        """Write noisy labels of as many volumes as are annotated; return them by image id.

        Raises:
            NotReadyError: there is no unannotated volume to label.
        """

        def advanced(progress: str) -> None:
            self.stage = {"stage": f"2 of 2: {progress}"}
            self.show(read_stats(self.stats_file))

        folder = run.folder / "noisy_labels"
        folder.mkdir()
        labels = NoisyLabels(self._project, settings, self.predictor(weights, run.device), run.images)
        return labels.write(len(run.of_role("training")), folder, advanced)

    def _fine_tune(
        self, settings: SemiSupervisedSettings, weights: Weights, noisy: Mapping[str, NoisyCase], run: Run
    ) -> Outcome:
        """Run the second stage in a sub-folder of the run."""
        batches = math.ceil(len(run.of_role("training")) / run.options.train_batch_size)
        steps_per_epoch = self._training.steps_per_epoch or batches
        stage = SemiSupervisedTraining(self._project, settings, weights, list(noisy.values()), steps_per_epoch)
        stage.stage = {"stage": "2 of 2: semi-supervised fine-tuning"}
        options = run.options.model_copy(update={"max_epochs": stage.epochs})
        run = replace(run, options=options, folder=run.folder / "semi_supervised")
        run.folder.mkdir()
        return stage.learn(run)

    # What a training begins with

    def plan(self, run: Run) -> Plan:
        """The plan of a training that continues after an interruption, and may continue the model in use."""
        model = self._project.ledger.model_in_use() if self._training.from_previous else None
        self._previous = None if model is None else self._weights_of(model)
        plan = super().plan(run)
        if model is not None and self._previous is not None:
            plan = continued(plan, self._new_cases(run, model))
        return replace(plan, epochs_file=self.epochs_file, epochs_file_seconds=SECONDS_BETWEEN_STATES)

    def _new_cases(self, run: Run, model: ModelVersion) -> list[int]:
        """The numbers of the training cases whose labels a model has not learnt from, or not in this version."""
        learnt = set(model.trained_on)
        known = {item.image_id for item in self._project.ledger.annotations("training") if item.id in learnt}
        return [number for number, case in enumerate(run.of_role("training")) if case["image_id"] not in known]

    def first_weights(self) -> Weights | None:
        """The weights of the model in use or of the proxy model, if the recipe says so."""
        return self._previous or initial_weights(self._project)

    def _weights_of(self, model: ModelVersion) -> Weights | None:
        """The weights of the model that the training continues; None if it cannot be read."""
        file = self._project.models_folder / model.file
        try:
            return load_model(file, self._project.model_description, model.sha256).state_dict()
        except InvalidInputError as error:
            logger.warning("training does not begin with the weights of model %d: %s", model.version, error)
            return None


def effort_units(annotations: Iterable[Annotation], run: Run) -> float:
    """The annotation effort of the training labels of a run, in the units of chlebus2022 (IV).

    A label that covers all slices of its image counts as a whole volume, other labels count slice by slice; slices
    without a count add 0.
    """
    trained_on = {case["image_id"] for case in run.of_role("training")}
    return effort(
        AnnotatedQuery(
            item.image_id,
            whole_volume=item.slices is None,
            slices=item.covered_slices or 0,
            foreground_slices=item.foreground_slices or 0,
        )
        for item in annotations
        if item.image_id in trained_on
    ).units
