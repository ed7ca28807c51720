"""Scoring as a race: few repeats for every volume, all repeats for those that annotators may be asked for."""

import logging
import time
from collections.abc import Callable, Sequence

from activelabel.acquisition.score import ImageScores, Score
from activelabel.loop.progress_log import SharedCount
from activelabel.prediction.journal import Journal
from activelabel.prediction.predictor import Predictor
from activelabel.prediction.racing import planned_passes
from activelabel.prediction.volume_race import RaceSettings, Sample, race_volumes
from activelabel.project.project import Project
from activelabel.recipes.strategy_traits import raced_kind
from activelabel.store.records.work import Claim

logger = logging.getLogger(__name__)

JOURNAL_FILE = "race.jsonl"
COUNT_FILE = "race.json"
"""How many repeats of a running race are done: its scores are in the ledger only at its end."""
SHOWN_EVERY_SECONDS, LOGGED_EVERY_SECONDS = 1, 10
WRITTEN_AT_ONCE = 64
"""Images whose scores are written in one transaction: labels that are saved meanwhile wait for one of them at most."""


def race_project(
    project: Project,
    model_version: int,
    images: Sequence[str],
    score: Callable[[str, Sample], list[Score] | None],
    predictor: Predictor,
    expect: Callable[[Sequence[str]], None],
    claim: Claim,
) -> None:
    """Race the images, and write all scores to the ledger at the end, those with all repeats first.

    Until the end the images count as unscored: intermediate scores rank nothing. A killed race leaves its results in
    its journal, and the next race continues from it.

    The number of places is the number of cases that this model chooses: a round, or the labels that make the next
    training due if these are more. Twice as many volumes get all repeats, since annotators go on with this ranking
    while the next model is trained.

    `expect` is told before each round of the race which images `score` will read, in order.

    `claim` is that of the whole race: once it is lost, nothing more is written. Raises the errors of `raced_kind`.
    """
    query, prediction = project.recipe.query, project.recipe.prediction
    places = max(query.size, project.thresholds.retrain_after)
    settings = RaceSettings(raced_kind(query.strategy), places, prediction.repeats, project.settings.seed)
    identity = {"model_version": model_version, **settings.as_json()}
    journal = Journal(project.folder / JOURNAL_FILE, identity, anew=True)
    # Volumes whose scores a killed race had already written to the ledger still take part: they keep their places.
    written = project.ledger.scored_images(model_version, settings.kind)
    raced_before = {entry["image"] for entry in journal.entries} & written
    names = sorted(raced_before.union(images))
    passes = planned_passes(len(names), settings.k, settings.repeats)
    progress = _Progress(passes, len(names) * settings.repeats, SharedCount(project.folder / COUNT_FILE, passes))
    raced = race_volumes(names, score, predictor, settings, journal, progress.advance, expect)
    scores = [ImageScores(image_id, tuple(found.scores), found.repeats) for image_id, found in raced.items()]
    for first in range(0, len(scores), WRITTEN_AT_ONCE):
        some = scores[first : first + WRITTEN_AT_ONCE]
        project.ledger.record_scores_of_images(model_version, some, settings.seed, job=claim)
    journal.remove()
    progress.count.remove()


class _Progress:
    """Logs the progress of a race from time to time, and shows it to other processes."""

    def __init__(self, passes: int, without_racing: int, count: SharedCount) -> None:
        self.count = count
        logger.info("racing: %d repeats instead of %d", passes, without_racing)
        self._passes = passes
        self._done = 0
        self._logged_at = self._shown_at = time.monotonic()

    def advance(self, passes: int) -> None:
        self._done += passes
        if time.monotonic() - self._shown_at > SHOWN_EVERY_SECONDS:
            self._shown_at = time.monotonic()
            self.count.show(self._done)
        if time.monotonic() - self._logged_at > LOGGED_EVERY_SECONDS:
            self._logged_at = time.monotonic()
            logger.info("racing: %d of %d repeats", self._done, self._passes)
