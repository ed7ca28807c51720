"""The information that a client sends with a label."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelInfo:
    """The annotator of a label, and the client's statements about it.

    Attributes:
        annotator: the name under which the label is kept.
        segment_names: names of its segments in the order of the mask values; None if the client sent none.
        annotated_slices: the slices that the client names, not checked yet; None if it names none.
        finished: whether it is finished; None if the client says nothing about it.
        confirmed: whether somebody has checked it and found it right.
        segment_numbers: the client's numbers of its segments, rising, if they are not 1 to N: values, or places among
            more segments.
        unanswered: whether the same drawing was sent as finished before, and no answer came: it may be here already.
    """

    annotator: str
    segment_names: tuple[str, ...] | None = None
    annotated_slices: object = None
    finished: bool | None = None
    confirmed: bool = False
    segment_numbers: tuple[int, ...] | None = None
    unanswered: bool = False
