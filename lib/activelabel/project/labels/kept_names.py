"""The names under which a project keeps its labels: what a start is held against."""

import logging
from collections.abc import Sequence

from activelabel.project.labels.names import check_same_names
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)


def kept_names(ledger: Ledger) -> tuple[str, ...] | None:
    """The names of the values 1..N in this project; None as long as it has neither a label nor a model.

    An older ledger does not say it with its labels, but models know what they learned.
    """
    model = ledger.latest_model()
    return ledger.kept_label_names() or (None if model is None else model.labels)


def check_names(ledger: Ledger, names: Sequence[str]) -> None:
    """Refuse to go on under other names than those of the labels and the model that there are.

    Raises:
        InvalidInputError: a value would mean something else; the line names both lists.
    """
    kept = kept_names(ledger)
    if kept is not None:
        check_same_names(names, kept, "the labels of this project are kept under")


def name_older_labels(ledger: Ledger, names: Sequence[str]) -> None:
    """Say of the labels that were kept before names were kept with them that their values mean these."""
    count = ledger.name_labels(names)
    if count:
        logger.warning(
            "%d labels were kept before names were kept with them; from now on their values mean %s",
            count,
            ", ".join(names),
        )
