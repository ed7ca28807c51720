"""Decides which task is due: the rule, and the facts from the ledger that it uses."""

from dataclasses import dataclass
from enum import Enum

from activelabel.names import ScoreKind
from activelabel.project.in_force.thresholds import Thresholds
from activelabel.project.models.proxy import proxy_is_missing, unscored_by_proxy
from activelabel.project.project import Project


class Work(Enum):
    """The kinds of background tasks."""

    TRAIN = "training"
    SCORE = "scoring"
    TRAIN_PROXY = "training of the proxy model"
    SCORE_PROXY = "scoring by the proxy model"


@dataclass(frozen=True)
class Situation:
    """The facts from the ledger that decide which task is due.

    `new_annotations` counts the labels that the model trained last has not seen, `new_training_annotations` those of
    training cases. If the project asks for slices, both count the new slices of training cases; if a round counts
    foreground, those with foreground. `unscored` counts the cases left that the model in use has not scored.
    `model_version` is that of the model trained last, None before the first. `nothing_left`: all cases are annotated,
    and reviewed if only approved labels are learnt from; then `unlearnt_slices` counts the slices of training cases
    that no label covers which this model has seen.
    `proxy_missing`: the recipe needs a proxy model and there is none. `unscored_by_proxy` counts the cases left that
    the proxy model has not scored.
    """

    model_version: int | None
    new_annotations: int
    new_training_annotations: int
    unscored: int
    nothing_left: bool = False
    proxy_missing: bool = False
    unscored_by_proxy: int = 0
    unlearnt_slices: int = 0


def work_due(situation: Situation, limits: Thresholds) -> Work | None:
    """The task that is due now, or None. Training comes before scoring, whose results it would make stale.

    The proxy model comes before both until there are enough labels for a first model. Its purpose is a pool without
    labels, but labels saved during its training do not cancel it. If no more labels can come, those that are there are
    enough, also for the first model; a correction of a label that was learnt from makes no training due by itself.
    Labels of validation cases make none due, because nothing is learned from them.
    """
    if situation.model_version is None:
        enough_new = situation.new_training_annotations >= limits.start
        enough_new |= situation.nothing_left and situation.new_training_annotations > 0
    else:
        enough_new = situation.new_training_annotations >= limits.retrain_after
        enough_new |= situation.nothing_left and situation.unlearnt_slices > 0
    if enough_new:
        return Work.TRAIN
    if situation.model_version is None and situation.proxy_missing:
        return Work.TRAIN_PROXY
    if situation.unscored_by_proxy > 0:
        return Work.SCORE_PROXY
    if situation.model_version is not None and situation.unscored > 0:
        return Work.SCORE
    return None


def read_situation(project: Project, measure: str) -> Situation:
    """The current situation. A case counts as scored if it has a score of `measure`; all measures are written together.

    Labels are new if the model trained last has not seen them, so that a training ends its round even if its model is
    not in use. Scoring uses the model in use.
    """
    with project.ledger.one_look():
        return _read_situation(project, measure)


def _read_situation(project: Project, measure: str) -> Situation:
    ledger = project.ledger
    progress = ledger.progress()
    version, scoring = progress.latest_model, progress.model_in_use
    unscored = 0 if scoring is None else ledger.count_unscored(scoring, ScoreKind(measure))
    query = project.recipe.query
    new, to_train_on = progress.new_annotations, progress.new_training_annotations
    if query.starts_with_slices if version is None else query.asks_slices:
        counts_foreground = version is not None and query.counts_foreground
        new = to_train_on = ledger.new_foreground_slices() if counts_foreground else progress.new_training_slices
    nothing_left = not (
        progress.leased
        or ledger.has_pool("training")
        or ledger.has_pool("validation")
        or (project.settings.review and ledger.count_waiting_for_review())
    )
    return Situation(
        version,
        new,
        to_train_on,
        unscored,
        nothing_left=nothing_left,
        proxy_missing=proxy_is_missing(project),
        unscored_by_proxy=unscored_by_proxy(project),
        unlearnt_slices=progress.new_training_slices if nothing_left else 0,
    )
