"""Slices of an image in the form in which every client gets them."""

from collections.abc import Iterable

from activelabel.data.slice_places import SlicePlaces
from activelabel.project.slices.names import ohif_number
from activelabel.server.actions.case_answers import PlacesOfSlices, SliceAsked


def slices_asked(places: SlicePlaces, slices: Iterable[int]) -> list[SliceAsked]:
    """Slices of an image as programs and as viewers count them."""
    return [
        SliceAsked(
            index=index,
            number=index + 1,
            ohif_number=ohif_number(places, index),
            position_mm=round(float(places.positions_mm[index]), 3),
        )
        for index in slices
    ]


def places_of_slices(places: SlicePlaces, axis: int) -> PlacesOfSlices:
    """Where all slices of an image along `axis` lie; an image has at least two."""
    first, second = places.positions_mm[:2]
    return PlacesOfSlices(
        axis=axis,
        plane=places.plane,
        towards=places.towards,
        count=places.count,
        first_mm=float(first),
        step_mm=float(second - first),
    )
