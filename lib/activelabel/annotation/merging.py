"""Slices that were drawn now, merged with those that were drawn before."""

from activelabel.annotation.coverage import Coverage, SentLabel
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.labels.partial_labels import PartialLabel, merge
from activelabel.errors import InvalidInputError
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.labels import Annotation


def merged(
    sent: SentLabel, coverage: Coverage, case: CaseHistory, reader: HistoryReader
) -> tuple[PartialLabel, int | None]:
    """The label that counts from now on, and the version of the label with which it is merged, 0 for none.

    The version is None for a label of the whole volume, which is merged with nothing.

    Raises:
        InvalidInputError: the earlier slices were drawn on another image of this name, or their file cannot be read.
    """
    if coverage.slices is None:
        return PartialLabel(sent.array, sent.axis, sent.all_slices), None
    current = case.current()
    if current is None:
        return merge(None, sent.array, sent.axis, coverage.slices), 0
    _check_same_image(case, current)
    slices = sent.all_slices if current.slices is None else frozenset(current.slices)
    before = PartialLabel(reader.read(current, sent.image), sent.axis, slices)
    return merge(before, sent.array, sent.axis, coverage.slices), current.version


def _check_same_image(case: CaseHistory, current: Annotation) -> None:
    drawn_on = current.image_sha256
    if drawn_on is not None and case.image.content_sha256 not in (None, drawn_on):
        raise InvalidInputError(
            f"label of '{case.image.id}': its earlier slices were drawn on another image of this name: put that "
            'file back, or delete the label first, or send a whole volume, "annotated_slices": "all"'
        )
