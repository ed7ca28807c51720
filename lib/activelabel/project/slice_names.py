"""How slices are called in what people read: as the client at hand counts them, and always with their place in mm."""

from collections.abc import Sequence

from activelabel.data.slice_places import SlicePlaces
from activelabel.project.client_kind import ClientKind


def slices_named(places: SlicePlaces, slices: Sequence[int], kind: ClientKind) -> str:
    """Some slices of an image, by their indices, for people.

    OHIF writes beside an image which one of how many it is, as `(8/48)`. Slicer shows millimetres, and nothing tells it
    from a script, so for both the place comes first, and the number says from where it is counted.
    """
    where, several = places.shown_mm(slices), "s" if len(slices) > 1 else ""
    if kind is ClientKind.OHIF:
        shown = ", ".join(f"({ohif_number(places, index)}/{places.count})" for index in slices)
        return f"{places.plane} image{several} {shown}, at {where}"
    numbers = ", ".join(str(index + 1) for index in slices)
    return f"{places.plane} {where} (slice{several} {numbers} of {places.count}, counted from 1)"


def ohif_number(places: SlicePlaces, index: int) -> int:
    """The number, from 1, that OHIF writes in brackets beside a slice in its view of that plane.

    It goes by the patient and not by the order in which the slices are stored or numbered in DICOM: axial slices are
    counted from the head, sagittal ones towards the left, coronal ones towards the front. What it writes before the
    brackets is the number of another slice where the series is stored from the feet.
    """
    rises = places.positions_mm[-1] > places.positions_mm[0]
    from_low_end = index if rises else places.count - 1 - index
    return places.count - from_low_end if places.plane == "axial" else from_low_end + 1
