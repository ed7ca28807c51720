"""Slices that were drawn now, merged with those that were drawn before."""

from activelabel.annotation.coverage import Coverage, SentLabel
from activelabel.annotation.history_reader import HistoryReader
from activelabel.data.labels.partial_labels import PartialLabel, merge
from activelabel.errors import InvalidInputError
from activelabel.store.case_states import Verdict
from activelabel.store.records.case import CaseHistory
from activelabel.store.records.labels import Annotation


def merged(
    sent: SentLabel, coverage: Coverage, case: CaseHistory, reader: HistoryReader
) -> tuple[PartialLabel, int | None]:
    """The label that counts from now on, and the version of the label with which it is merged, 0 for none.

    The version is None for a label of the whole volume, which is merged with nothing.

    What a reviewer has returned to somebody else counts no longer: of it only the drawing is kept, for whoever corrects
    it, and the label covers the slices alone that were sent now. Others of it count once somebody sends them again.
    The annotator to whom it was returned sends it corrected: all of it counts again.

    Raises:
        InvalidInputError: the earlier slices were drawn on another image of this name, or their file cannot be read; or
            what was returned to somebody else came back as it was, and nothing is covered.
    """
    if coverage.slices is None:
        return PartialLabel(sent.array, sent.axis, sent.all_slices), None
    current = case.current()
    if current is None:
        return merge(None, sent.array, sent.axis, coverage.slices), 0
    _check_same_image(case, current)
    slices = sent.all_slices if current.slices is None else frozenset(current.slices)
    if case.is_decided(current, Verdict.RETURNED) and current.annotator != sent.annotator:
        _check_covers(sent, coverage, current)
        slices = frozenset()
    before = PartialLabel(reader.read(current, sent.image), sent.axis, slices)
    return merge(before, sent.array, sent.axis, coverage.slices), current.version


def _check_covers(sent: SentLabel, coverage: Coverage, returned: Annotation) -> None:
    if not coverage.slices:
        raise InvalidInputError(
            f"label of '{sent.image_id}': a reviewer has returned it to {returned.annotator}, and nothing new is "
            'drawn: draw, or name the slices in params, "annotated_slices": [..]'
        )


def _check_same_image(case: CaseHistory, current: Annotation) -> None:
    drawn_on = current.image_sha256
    if drawn_on is not None and case.image.content_sha256 not in (None, drawn_on):
        raise InvalidInputError(
            f"label of '{case.image.id}': its earlier slices were drawn on another image of this name: put that "
            'file back, or delete the label first, or send a whole volume, "annotated_slices": "all"'
        )
