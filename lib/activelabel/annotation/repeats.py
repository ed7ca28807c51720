"""Labels that are sent again: a client whose request was answered in vain, as the network failed, repeats it.

A version of its own would take a reviewer's decision away, and would be asked about although nothing was drawn.
"""

from activelabel.annotation.coverage import WHOLE, SentLabel
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.slice_digests import differing
from activelabel.errors import InvalidInputError
from activelabel.store.case_states import Verdict
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.labels import FINAL, SECOND, Annotation
from activelabel.store.records.queries import Lease


def repeated_label(sent: SentLabel, query: Lease | None, case: CaseHistory, reader: HistoryReader) -> Annotation | None:
    """The current label that the same annotator has sent before, with the same drawing for the same slices.

    It is no repetition if the annotator was asked for the image since, has an open draft of it or wants one, if a
    reviewer has returned the label, or if its image has changed: then the same drawing is an answer of its own. A
    client that has heard no answer to a finished label keeps the drawing as a draft meanwhile, and says so.

    Args:
        sent: what the client sent.
        query: the annotator's newest query for this image.
        case: what the ledger knows of the image.
        reader: reads the drawing of the label.
    """
    is_asked = query is not None and query.outcome != "saved"
    has_draft = any(draft.annotator == sent.annotator for draft in case.open_drafts)
    is_draft = sent.finished is False and not sent.unanswered
    if is_asked or has_draft or sent.decided or is_draft:
        return None
    current = next((label for tag in (FINAL, SECOND) if (label := case.current(tag)) and _is_of(label, sent)), None)
    if current is None or case.is_decided(current, Verdict.RETURNED) or not _covers(current, sent, query):
        return None
    if current.image_sha256 not in (None, case.image.content_sha256):
        return None
    try:
        before = reader.drawing(current, sent)
    except InvalidInputError:  # its file was changed: a version that can be read takes its place
        return None
    return None if differing(before, sent.drawing) else current


def _is_of(label: Annotation, sent: SentLabel) -> bool:
    return label.annotator == sent.annotator


def _covers(label: Annotation, sent: SentLabel, query: Lease | None) -> bool:
    """Whether a label covers what is sent, as far as that can be told without comparing drawings."""
    if label.slices is None:
        return sent.named_slices in (None, WHOLE)
    named = sent.named_slices if sent.named_slices is not None or query is None else query.slices
    return isinstance(named, list | tuple) and all(index in label.slices for index in named)
