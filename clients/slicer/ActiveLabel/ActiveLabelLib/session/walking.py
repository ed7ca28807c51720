"""The way through the slices of an open case: which one is shown next, and which are done."""

from __future__ import annotations

from ActiveLabelLib.errors import CaseError
from ActiveLabelLib.session.case import Case, Scene
from ActiveLabelLib.session.slices import in_words, index_at, next_slice, position_mm


def show_next(case: Case, scene: Scene, step: int = 1, *, first: bool = False) -> int | None:
    """Show the next slice that is asked for (`step` -1: the previous one), in the view of its plane.

    Marked slices are passed over while others are left. `first` begins with the lowest one.

    Returns:
        The index of the slice; None if none is asked for.
    """
    if case.query is None or not case.query.asked:
        return None
    places = case.query.places
    left = [index for index in case.query.asked if index not in case.done] or list(case.query.asked)
    at = float("-inf") if first else scene.slice_position(places.plane)
    index = next_slice(places, left, at, step)
    if index is not None:
        scene.show_slice(places.plane, position_mm(places, index))
    return index


def mark_shown(case: Case, scene: Scene) -> tuple[int, str]:
    """Mark the shown slice as done, and show the next that is asked for; a marked slice loses its mark.

    Returns:
        The index of the slice, and a line about what is done.

    Raises:
        CaseError: the case is a label under review.
    """
    if case.query is None:
        raise CaseError("slices are marked in a case that you annotate, not in a review")
    places = case.query.places
    index = index_at(places, scene.slice_position(places.plane))
    if index in case.done:
        case.done.remove(index)
        return index, f"slice {index + 1} is no longer marked"
    case.done.add(index)
    if set(case.query.asked) - case.done:
        show_next(case, scene)
    return index, f"done: {places.plane} {in_words(case.done)}"
