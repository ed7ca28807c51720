"""What is to be done now: the rule, and what the ledger of a project says that it goes by."""

from dataclasses import dataclass
from enum import Enum

from activelabel.names import ScoreKind
from activelabel.project.models.proxy import proxy_is_missing, unscored_by_proxy
from activelabel.project.project import Project
from activelabel.project.thresholds import Thresholds


class Work(Enum):
    """What the server's background tasks can be asked to do."""

    TRAIN = "training"
    SCORE = "scoring"
    TRAIN_PROXY = "training of the proxy model"
    SCORE_PROXY = "scoring by the proxy model"


@dataclass(frozen=True)
class Situation:
    """What the ledger says that decides what is due.

    `new_annotations` are the labels that the model that was trained last has not seen, `new_training_annotations` those
    of cases to train on, or both the slices of these where slices are asked for, or those with foreground where a round
    counts them; `unscored` the cases left that the model in use has not scored. `model_version` is that of the model
    trained last, None before the first. `nothing_left` says that all cases are annotated.
    `proxy_missing` says that the recipe asks for a proxy model and there is none, `unscored_by_proxy` how many cases
    left it has still to score.
    """

    model_version: int | None
    new_annotations: int
    new_training_annotations: int
    unscored: int
    nothing_left: bool = False
    proxy_missing: bool = False
    unscored_by_proxy: int = 0


def work_due(situation: Situation, limits: Thresholds) -> Work | None:
    """What is to be done now. Training goes before scoring, whose results it would make stale.

    The proxy model comes first of all, as long as there are not enough labels for a first model: a pool without one
    label is why it is there, but labels that are saved while it is trained must not end it. Where all cases there are
    are fewer than those to start with, they are enough. Labels of validation cases teach nothing, and make none due.
    """
    if situation.model_version is None:
        enough_new = situation.new_training_annotations >= limits.start
        enough_new |= situation.nothing_left and situation.new_training_annotations > 0
    else:
        enough_new = situation.new_training_annotations >= limits.retrain_after
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
    """The situation now. A case is scored where it has a score of `measure`, with which all others are written.

    What is new is what the model that was trained last has not seen, so that a training ends its round even if its
    model is not in use; what is to be scored, the model in use scores.
    """
    ledger = project.ledger
    progress = ledger.progress()
    version, scoring = progress.latest_model, progress.model_in_use
    unscored = 0 if scoring is None else len(ledger.unscored(scoring, ScoreKind(measure)))
    query = project.recipe.query
    new, to_train_on = progress.new_annotations, progress.new_training_annotations
    if query.starts_with_slices if version is None else query.asks_slices:
        counts_foreground = version is not None and query.counts_foreground
        new = to_train_on = ledger.new_foreground_slices() if counts_foreground else progress.new_training_slices
    nothing_left = not (progress.leased or ledger.pool("training") or ledger.pool("validation"))
    return Situation(
        version,
        new,
        to_train_on,
        unscored,
        nothing_left=nothing_left,
        proxy_missing=proxy_is_missing(project),
        unscored_by_proxy=unscored_by_proxy(project),
    )
