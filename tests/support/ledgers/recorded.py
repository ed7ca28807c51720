"""Labels and drafts recorded in a ledger in one line, without files."""

from typing import Any

from activelabel.store.cases.new_annotation import KeptFile, NewAnnotation, NewDraft
from activelabel.store.ledger import Ledger
from activelabel.store.records.labels import Annotation, Draft


def record_annotation(
    ledger: Ledger, image_id: str, file: str, sha256: str, annotator: str, **details: Any
) -> Annotation:
    """Keep a label, given the values of a `NewAnnotation`."""
    return ledger.keep_label(NewAnnotation(image_id, file, sha256, annotator, **details))[0]


def record_draft(ledger: Ledger, image_id: str, file: str, sha256: str, annotator: str, **details: Any) -> Draft:
    """Keep a draft, given the values of a `NewDraft`."""
    return ledger.keep_draft(NewDraft(image_id, annotator, **details), KeptFile(file, sha256, (1, 1, 1)))[0]
