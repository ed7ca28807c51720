"""The app without a server: the same project, strategies, trainers, scoring and ledger, in this process.

A program that simulates an annotator uses it, and calls it for the work that a server's autopilot would start.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from activelabel.data.files.image_files import ImageFiles
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.preprocessing import restore_label
from activelabel.errors import InvalidInputError
from activelabel.loop.due import Work, read_situation, work_due
from activelabel.loop.proxy_scoring import ProxyScoring
from activelabel.loop.scoring import build_scoring_methods, scored_measure
from activelabel.loop.training.proxy import ProxyTraining
from activelabel.loop.training.segmentation import SegmentationTraining
from activelabel.project.models.older import convert_older_models
from activelabel.project.opening import open_project
from activelabel.project.setting_aside import set_aside
from activelabel.project.slices.slicing import count_slices
from activelabel.recipes import ProxySettings
from activelabel.simulation.pool_images import PoolImages
from activelabel.store.records.models import ModelVersion
from activelabel.strategies.asking import ProjectStrategy
from activelabel.strategies.catalogue import build_strategies

_TRAINING = {Work.TRAIN, Work.TRAIN_PROXY, Work.SCORE_PROXY}


class LocalApp:
    """A project on a studies folder, for one annotator.

    Attributes:
        project: settings, recipe and ledger.
    """

    def __init__(
        self, studies: Path, conf: Mapping[str, str], annotator: str, choices_file: Path | None = None
    ) -> None:
        """Open the project that `--studies` and `--conf` would open, with the images that the folder has now.

        `choices_file`: another one than the project's own, which it shares with those that it is compared with.

        Raises:
            ActiveLabelError: settings, recipe, label names or ledger are wrong; the line says which.
        """
        # The database of the environment is not used: it may be the ledger of real work.
        opened = open_project("", str(studies), conf, environment={})
        self.project = replace(opened, shared_choices_file=choices_file)
        convert_older_models(self.project)
        self._annotator = annotator
        self._images = PoolImages(studies, self.project)
        # Count all slices now, so that queries do not depend on the speed of the machine.
        count_slices(self.project, self._images, seconds=math.inf)
        self._strategies = build_strategies(self.project)

    def add_strategies(self, strategies: Mapping[str, ProjectStrategy]) -> None:
        """Add strategies that a server does not have."""
        self._strategies |= strategies

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
        return self._strategies[strategy].next(self._annotator, self._images)

    def save(self, image_id: str, file: Path, info: Mapping[str, Any]) -> None:
        """Save a label.

        Raises:
            InvalidInputError: the label cannot be kept.
        """
        self._images.save(image_id, file, self._annotator, info)

    def set_aside(self, image_id: str, error: InvalidInputError) -> None:
        """Set aside a case that cannot be annotated."""
        set_aside(image_id, error, self.project.ledger, self._images)

    def segmenter(self, version: int) -> Callable[[ImageFiles], LabelArray]:
        """A function from the files of an image to the most probable class of each voxel, by that model version."""
        predictor = self.project.predictor(self.project.ledger.model(version))

        kept = self.project.prepared_images()

        def segment(files: ImageFiles) -> LabelArray:
            image = kept.get(files, self.project.preprocessing)
            return restore_label(predictor.probabilities(image.tensor), image, self.project.labels)

        return segment

    def scores(self, version: int) -> Iterable[Mapping[str, Any]]:
        """All scores by that model version."""
        return self.project.ledger.all_scores(version)

    def _work(self, kinds: Collection[Work]) -> None:
        project, images = self.project, self._images
        start = {
            Work.TRAIN: lambda: SegmentationTraining(project).run({}, images),
            Work.TRAIN_PROXY: lambda: ProxyTraining(project, self._proxy).run({}, images),
            Work.SCORE: lambda: build_scoring_methods(project)[scored_measure(project)].run(images),
            Work.SCORE_PROXY: lambda: ProxyScoring(project, self._proxy).run(images),
        }
        while (work := self._due()) is not None and work in kinds:
            start[work]()

    @property
    def _proxy(self) -> ProxySettings:
        """The settings of the proxy task, without which none of its work is due."""
        settings = self.project.recipe.proxy
        assert settings is not None
        return settings

    def _due(self) -> Work | None:
        """The work that is due; a round that the pool cannot fill is none: all rounds of a run cost the same."""
        situation = replace(read_situation(self.project, scored_measure(self.project)), unlearnt_slices=0)
        return work_due(situation, self.project.thresholds)
