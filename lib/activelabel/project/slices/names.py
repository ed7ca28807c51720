"""Names of slices in texts for people: numbers as the client counts them, and always the position in mm."""

from collections.abc import Sequence

from activelabel.data.slice_places import SlicePlaces
from activelabel.project.client_kind import ClientKind


def slices_named(places: SlicePlaces, slices: Sequence[int], kind: ClientKind) -> str:
    """The names of slices of an image, given by their indices.

    OHIF shows the number of a slice and the number of slices, such as `(8/48)`. Slicer shows millimetres, and cannot be
    told from a script, so for both the position comes first, and the text says from where the number is counted. OHIF's
    views show the patient's planes, and number these: tilted slices have no number there, so only the position is said.
    """
    where, several = places.shown_mm(slices), "s" if len(slices) > 1 else ""
    if kind is ClientKind.OHIF and places.is_tilted:
        return f"{places.plane} image{several} at {where}"
    if kind is ClientKind.OHIF:
        shown = ", ".join(f"({ohif_number(places, index)}/{places.count})" for index in slices)
        return f"{places.plane} image{several} {shown}, at {where}"
    numbers = ", ".join(str(index + 1) for index in slices)
    return f"{places.plane} {where} (slice{several} {numbers} of {places.count}, counted from 1)"


def ohif_number(places: SlicePlaces, index: int) -> int:
    """The number, from 1, that OHIF shows in brackets beside a slice in its view of that plane.

    It follows the patient's axes, not the order in which the slices are stored or numbered in DICOM: axial slices are
    counted from the head, sagittal ones towards the left, coronal ones towards the front. The number that OHIF shows
    before the brackets belongs to another slice if the series is stored from the feet.
    """
    rises = places.positions_mm[-1] > places.positions_mm[0]
    from_low_end = index if rises else places.count - 1 - index
    return places.count - from_low_end if places.plane == "axial" else from_low_end + 1
