"""Why a label covers the slices that it covers."""

from activelabel.backports import StrEnum


class CoverageCase(StrEnum):
    """By which rule the slices that a label covers were found; the ledger, the log and the client's answer name it."""

    NAMED = "named by the client"
    """The client names the slices, or says that it is all of them."""
    ANSWER = "answer"
    """The slices of the annotator's query, and the others on which they have drawn."""
    CORRECTED_ANSWER = "corrected answer"
    """The annotator has answered the query before: the slices that they have changed since."""
    DRAWN_BESIDE = "drawn beside the query"
    """An answer whose queried slices are empty where a slice beside them is drawn: asked back until it is confirmed."""
    VOLUME_ANSWER = "answer for the volume"
    """The query asks for the volume: all slices."""
    LATE_VOLUME_ANSWER = "late answer for the volume"
    """The query for the volume has ended, and a label of some slices counts: the slices that are drawn anew."""
    NOT_ASKED = "nobody asked"
    """The annotator has no query for the image: the slices on which they have drawn."""
    NOT_ASKED_VOLUME = "nobody asked, whole volume"
    """The annotator has no query, in a project of volumes, or a label of the whole volume counts: all slices."""
