"""The label names and values that a project already uses, with which those at a start must agree."""

import logging
from collections.abc import Sequence

from activelabel.data.labels.label_map import LabelMap
from activelabel.data.labels.label_texts import read_stored, stored_labels, text_of
from activelabel.project.labels.names import check_same_names
from activelabel.store.ledger import Ledger

logger = logging.getLogger(__name__)


def kept_names(ledger: Ledger) -> LabelMap | None:
    """The structures of this project and their values; None as long as it has neither a label nor a model.

    The labels of an older ledger have no names; then the models' names are used.
    """
    model = ledger.latest_model()
    stored = ledger.kept_label_names() or (None if model is None else model.labels)
    return None if stored is None else read_stored(stored)


def check_names(ledger: Ledger, names: Sequence[str]) -> None:
    """Check that the configured names agree with those of the existing labels and models.

    Raises:
        InvalidInputError: a value would change its meaning; the message names both lists.
    """
    kept = kept_names(ledger)
    if kept is not None:
        check_same_names(names, kept, "the labels of this project are kept under")


def name_older_labels(ledger: Ledger, names: Sequence[str]) -> None:
    """Record these names for the labels that were kept without names."""
    count = ledger.name_labels(stored_labels(names))
    if count:
        logger.warning(
            "%d labels were kept before names were kept with them; from now on their values mean %s",
            count,
            text_of(names),
        )
