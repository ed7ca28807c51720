"""Scoring by the proxy model: the features of every image, and its uncertainty about each case left."""

import logging
from typing import Any

from activelabel.acquisition.score import Score
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.one_case import one_case
from activelabel.data.preprocessing import PreparedImage
from activelabel.errors import InvalidInputError
from activelabel.loop.features import keep_features
from activelabel.loop.holding import Holding
from activelabel.loop.passing_over import PassedOverError, files_to_read
from activelabel.loop.progress_log import Remaining
from activelabel.loop.pseudo_label_files import pseudo_label_files
from activelabel.loop.written_behind import ScoresBehind
from activelabel.prediction.image_scores import image_class_scores, image_scores
from activelabel.prediction.prepared.ahead import Ahead, preparing_threads
from activelabel.project.images import Images
from activelabel.project.models.proxy import current_proxy, rank_kind
from activelabel.project.project import Project
from activelabel.project.readability import prepare_case
from activelabel.project.setting_aside import set_aside
from activelabel.recipes import ProxySettings
from activelabel.store.records.models import ModelVersion
from activelabel.store.work.claims import Job

logger = logging.getLogger(__name__)

MEASURES = ("variance", "entropy")
"""The measures by which nath2022 (3.4) ranks."""
NOT_SAMPLED = 0
"""The repeats noted for a volume without pseudo-label: with fewer repeats than all others it is ranked last."""


class ProxyScoring:
    """The cold start (nath2022, 3.1): scores of the volumes left, and features of all, by the proxy model in use.

    Features are written first, all in one file; then scores are written one by one. So if there are scores, there are
    features. An interrupted scoring continues with the missing scores.
    """

    def __init__(self, project: Project, settings: ProxySettings) -> None:
        self.description = "Uncertainty of the proxy model, and its features, of each volume: what to ask for first"
        self._project = project
        self._settings = settings

    def run(self, images: Images, holding: Holding | None = None) -> dict[str, Any]:
        """Score the volumes that the proxy model in use has not scored yet; `holding` as in `VolumeScoring.run`.

        A volume that cannot be read is set aside with its reason. A volume without pseudo-label gets the score 0 with
        0 repeats, which ranks it last.

        Raises:
            NotReadyError: there is no proxy model yet.
        """
        model = current_proxy(self._project)
        pool = _Pool(self._project, images, self._settings)
        with (
            holding or Holding(self._project.ledger) as held,
            Ahead(pool.prepared, preparing_threads(self._project.device), told_to_end=held.told_to_end) as prepared,
        ):
            with held.whole("features", model.version, wait=True) as claim:
                if claim is not None:
                    keep_features(self._project, model, prepared)
            scored = self._score(model, pool, prepared, held)
        return {"model_version": model.version, "scored": scored, "without_pseudo_label": sorted(pool.without)}

    def _score(self, model: ModelVersion, pool: "_Pool", prepared: Ahead[PreparedImage | None], held: Holding) -> int:
        """Score the volumes left one by one, and return their number."""
        ledger, repeats, seed = self._project.ledger, self._settings.repeats, self._project.settings.seed
        images = ledger.unscored(model.version, rank_kind(self._settings))
        if not images:
            return 0
        start = self._project.thresholds.start
        if len(images) < start:
            logger.warning(
                "%d volumes are left, fewer than the %d to start with: all are asked for", len(images), start
            )
        predictor = self._project.predictor(model)
        progress = Remaining("proxy model: scored", len(images))
        scored = 0
        job = Job("score", model.version, rank_kind(self._settings))
        with ScoresBehind(ledger, model.version, seed, held) as written:
            for image_id in held.images(job, prepared.expect_also, prepared.most):
                image = prepared.take(image_id)
                if image is not None:
                    statistics = predictor.sample(image.tensor, repeats, seed)
                    regions = self._project.recipe.regions
                    scores = image_scores(statistics, image, regions, None, MEASURES, ("everything",))
                    written.add(image_id, [*scores, *image_class_scores(statistics, image, None)], repeats)
                    scored += 1
                elif image_id in pool.without:
                    zero_scores = [Score(measure, "everything", "mean", 0.0) for measure in MEASURES]
                    written.add(image_id, zero_scores, NOT_SAMPLED)
                else:
                    held.drop(job, image_id)
                progress.advance()
        return scored


class _NoPseudoLabelError(InvalidInputError):
    """An image can be read, and has no pseudo-label."""


class _Pool:
    """The prepared images for the proxy model. `without` holds the images found to have no pseudo-label."""

    def __init__(self, project: Project, images: Images, settings: ProxySettings) -> None:
        self._project = project
        self._images = images
        self._files = pseudo_label_files(project, settings)
        self._preprocessing = project.preprocessing
        self._kept = project.prepared_images()
        self.without: set[str] = set()

    def prepared(self, image_id: str) -> PreparedImage | None:
        """The network's input for an image; None if the image cannot be read or has no pseudo-label."""
        if image_id in self.without:
            return None
        ledger = self._project.ledger
        try:
            with files_to_read(image_id, self._images) as files:
                image = prepare_case(image_id, files, ledger, self._preprocessing, self._kept)
                self._require_pseudo_label(image_id, files)
        except PassedOverError:
            return None
        except _NoPseudoLabelError as error:
            self.without.add(image_id)
            logger.warning("%s is ranked last: %s", image_id, error)
            return None
        except InvalidInputError as error:
            set_aside(image_id, error, ledger, self._images)
            return None
        return image

    def _require_pseudo_label(self, image_id: str, files: ImageFiles) -> None:
        try:
            with one_case(image_id):
                self._files.find(image_id, files)
        except InvalidInputError as error:
            raise _NoPseudoLabelError(str(error)) from error
