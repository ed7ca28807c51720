"""The case that is open, and what a session needs of the scene that shows it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from ActiveLabelLib.server.answers import Query, Review

Found = TypeVar("Found")


class Scene(Protocol):
    """What a session needs of Slicer: see `scene.SlicerScene`."""

    def at_once(self, steps: Callable[[], Found]) -> Found:
        """Do several steps as one, in which nobody can draw, and return what they return."""

    def open_image(self, file: Path, name: str, labels: Sequence[str]) -> None:
        """Show an image, with an empty segment for each label."""

    def open_label(self, file: Path, values: Mapping[str, int]) -> None:
        """Draw what a label file has, in the stead of what is drawn: each name with its value."""

    def write_label(self, file: Path, labels: Sequence[str]) -> None:
        """Write the drawing on the grid of the image: value n is the n-th label."""

    def stamp(self) -> Hashable:
        """What changes with every change of the drawing."""

    def view_stamp(self) -> Hashable:
        """What changes when somebody scrolls in a view."""

    def show_slice(self, plane: str, position: float) -> None:
        """Show the slice at a position in mm in the view of its plane."""

    def slice_position(self, plane: str) -> float:
        """The position in mm of the slice that the view of a plane shows."""

    def show_overlay(self, file: Path) -> None:
        """Show a map in the foreground."""

    def set_overlay_opacity(self, share: float) -> None:
        """Show the foreground with an opacity from 0 to 1."""

    def clear(self) -> None:
        """Remove everything that this module has opened."""


@dataclass
class Case:
    """The case that is open.

    Attributes:
        image: the id of the image.
        opened_with: what it was opened with: `draft`, `label`, `model` or `nothing`.
        query: what is asked for; None for a review.
        review: the label under review; None for an annotation.
        done: the slices that the person has marked as done.
        overlay: whether the uncertainty is shown.
        reading: which of two readings that differ is shown, `first` or `second`; None if there is nothing to decide.
        opened: the drawing when the case opened.
        kept: the drawing that was kept last.
        unheard: the drawing that was sent as finished, and to which no answer came: the server may have it.
    """

    image: str
    opened_with: str
    query: Query | None = None
    review: Review | None = None
    done: set[int] = field(default_factory=set)
    overlay: bool = False
    reading: str | None = None
    opened: Hashable = None
    kept: Hashable = None
    unheard: Hashable = None
