"""The app without a server: the same project, strategies, trainers, scoring and ledger, in this process.

A program that simulates an annotator uses it, and calls it for the work that a server's autopilot would start.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from activelabel.data.files.volumes import read_volume
from activelabel.data.labels import LabelArray
from activelabel.data.preprocessing import prepare_image, restore_label
from activelabel.errors import InvalidInputError
from activelabel.loop.due import Work, read_situation, work_due
from activelabel.loop.scoring import scored_measure
from activelabel.project.given_split import given_split
from activelabel.project.models.older import convert_older_models
from activelabel.project.project import open_project
from activelabel.project.readability import set_aside
from activelabel.project.slicing import count_slices
from activelabel.server.opening import open_datastore
from activelabel.server.project_tasks import build_trainers
from activelabel.server.task_names import TRAINER
from activelabel.server.tasks.scoring import PROXY, scoring_methods
from activelabel.server.tasks.strategy import HostStrategy, host_strategies
from activelabel.store.records import FINAL, ModelVersion
from activelabel.strategies.asking import ProjectStrategy

_TRAINING = {Work.TRAIN, Work.TRAIN_PROXY, Work.SCORE_PROXY}


class LocalApp:
    """A project on a studies folder, for one annotator.

    Attributes:
        project: settings, recipe and ledger.
    """

    def __init__(self, studies: Path, conf: Mapping[str, str], annotator: str) -> None:
        """Open the project that `--studies` and `--conf` would open, with the images that the folder has now.

        Raises:
            ActiveLabelError: settings, recipe, label names or ledger are wrong; the line says which.
        """
        # The database of the environment is not used: it may be the ledger of real work.
        self.project = open_project("", str(studies), conf, environment={})
        convert_older_models(self.project)
        self._annotator = annotator
        self._datastore = open_datastore(self.project, str(studies), follow_changes=False)
        images, validation_cases = self._datastore.list_images(), self.project.recipe.training.validation_cases
        split = given_split(self.project.settings)
        given = None if split is None else split.is_validation
        self.project.ledger.sync_images(images, validation_cases, self._datastore.patients(), given)
        self._datastore.readmit_mended(at_start=True)
        # Count all slices now, so that queries do not depend on the speed of the machine.
        count_slices(self.project, self._datastore, seconds=math.inf)
        self._trainers = build_trainers(self.project)
        self._scoring_methods = scoring_methods(self.project)
        self._strategies = host_strategies(self.project)

    def add_strategies(self, strategies: Mapping[str, ProjectStrategy]) -> None:
        """Add strategies that a server does not have."""
        self._strategies |= {name: HostStrategy(strategy) for name, strategy in strategies.items()}

    def train_if_due(self) -> None:
        """Run the trainings that are due now, including the proxy model and its scores."""
        self._work(_TRAINING)

    def score_if_due(self) -> None:
        """Run the scoring if it is due."""
        self._work({Work.SCORE})

    def model(self) -> ModelVersion | None:
        """The model that was published last, whether in use or not."""
        return self.project.ledger.latest_model()

    def ask(self, strategy: str) -> Mapping[str, Any]:
        """The next query; empty if nothing is left."""
        answer: Mapping[str, Any] = self._strategies[strategy]({"client_id": self._annotator}, self._datastore)
        return answer

    def save(self, image_id: str, file: Path, info: Mapping[str, Any]) -> None:
        """Save a label.

        Raises:
            InvalidInputError: the label cannot be kept.
        """
        self._datastore.save_label(image_id, str(file), FINAL, {"client_id": self._annotator, **info})

    def set_aside(self, image_id: str, error: InvalidInputError) -> None:
        """Set aside a case that cannot be annotated."""
        set_aside(image_id, error, self.project.ledger, self._datastore)

    def segmenter(self, version: int) -> Callable[[Path], LabelArray]:
        """A function from an image file to the most probable class of each voxel, by that model version."""
        predictor = self.project.predictor(self.project.ledger.model(version))

        def segment(file: Path) -> LabelArray:
            image = prepare_image(read_volume(file), self.project.preprocessing)
            return restore_label(predictor.probabilities(image.tensor), image, self.project.labels)

        return segment

    def scores(self, version: int) -> Iterable[Mapping[str, Any]]:
        """All scores by that model version."""
        return self.project.ledger.all_scores(version)

    def _work(self, kinds: Collection[Work]) -> None:
        start = {
            Work.TRAIN: lambda: self._trainers[TRAINER]({"model": TRAINER}, self._datastore),
            Work.TRAIN_PROXY: lambda: self._trainers[PROXY]({"model": PROXY}, self._datastore),
            Work.SCORE: lambda: self._scoring_methods[scored_measure(self.project)]({}, self._datastore),
            Work.SCORE_PROXY: lambda: self._scoring_methods[PROXY]({}, self._datastore),
        }
        while (work := self._due()) is not None and work in kinds:
            start[work]()

    def _due(self) -> Work | None:
        return work_due(read_situation(self.project, scored_measure(self.project)), self.project.thresholds)
