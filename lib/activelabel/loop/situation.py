"""What the ledger of a project says that decides what the autopilot starts."""

from activelabel.loop.autopilot import Situation
from activelabel.project.project import Project
from activelabel.project.proxy_model import proxy_is_missing, unscored_by_proxy


def read_situation(project: Project, measure: str) -> Situation:
    """The situation now. A case is scored where it has a score of `measure`, with which all others are written.

    What is new is what the model that was trained last has not seen, so that a training ends its round even if its
    model is not in use; what is to be scored, the model in use scores.
    """
    ledger = project.ledger
    progress = ledger.progress()
    version, scoring = progress.latest_model, progress.model_in_use
    unscored = 0 if scoring is None else len(ledger.unscored(scoring, measure, "everything", "total"))
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
