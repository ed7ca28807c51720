"""Why a label covers the slices that it covers."""

from activelabel.backports import StrEnum


class CoverageCase(StrEnum):
    """The rule by which the covered slices of a label were found; ledger, log and the answer to the client name it."""

    NAMED = "named by the client"
    """The client names the slices, or all of them."""
    ANSWER = "answer"
    """The slices of the annotator's query, and the other slices on which they have drawn."""
    CORRECTED_ANSWER = "corrected answer"
    """The annotator has answered the query before: the label covers the slices that they have changed since."""
    DRAWN_BESIDE = "drawn beside the query"
    """A queried slice is empty and a slice beside it is drawn: the label is asked back until it is confirmed."""
    VOLUME_ANSWER = "answer for the volume"
    """The query asks for the volume: the label covers all slices."""
    LATE_VOLUME_ANSWER = "late answer for the volume"
    """The query for the volume has ended, and a partial label counts: the label covers the newly drawn slices."""
    NOT_ASKED = "nobody asked"
    """The annotator has no query for the image: the label covers the slices on which they have drawn."""
    NOT_ASKED_VOLUME = "nobody asked, whole volume"
    """The annotator has no query, in a project of volumes, or a label of the whole volume counts: all slices."""
