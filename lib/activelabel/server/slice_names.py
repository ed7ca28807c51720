"""How slices are called in what people read: as the client at hand counts them, and always with their place in mm."""

from collections.abc import Sequence

from activelabel.data.slice_places import SlicePlaces
from activelabel.server.client_kind import ClientKind


def slices_named(places: SlicePlaces, slices: Sequence[int], kind: ClientKind) -> str:
    """Some slices of an image, by their indices, for people.

    OHIF writes beside an image which one of how many it is, from 1. Slicer shows millimetres, and nothing tells it from
    a script, so for both the place comes first, and the number says from where it is counted.
    """
    where, numbers = places.shown_mm(slices), ", ".join(str(index + 1) for index in slices)
    several = "s" if len(slices) > 1 else ""
    if kind is ClientKind.OHIF:
        return f"{places.plane} image{several} {numbers} of {places.count} ({where})"
    return f"{places.plane} {where} (slice{several} {numbers} of {places.count}, counted from 1)"
