"""What the server's answers say, as far as the module reads them; `reading.py` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Places:
    """Where the slices of an image lie: slice `index` is at `first_mm + step_mm * index`, as Slicer's sliders show it.

    Attributes:
        axis: the axis of the image's array along which slices are counted.
        plane: `axial`, `coronal` or `sagittal`, or the nearest of them.
        towards: the letter of the side towards which positions grow.
        count: how many slices there are.
    """

    axis: int
    plane: str
    towards: str
    first_mm: float
    step_mm: float
    count: int


@dataclass(frozen=True)
class Query:
    """What the server asks for.

    Attributes:
        image: the id of the image.
        role: `training` or `validation`.
        asked: the indices of the slices that are asked for, by rising position; empty for the volume.
        places: where the slices of the image lie.
        reason: why the case was chosen, in a sentence.
        expires: until when the case is kept for the person.
        has_draft: whether they have an open draft of it.
        returned: what a reviewer wrote, and who, if the label was returned.
    """

    image: str
    role: str
    asked: tuple[int, ...]
    places: Places
    reason: str
    expires: str
    has_draft: bool
    returned: str = ""


@dataclass(frozen=True)
class Readings:
    """Two readings of a case that differ, between which a reviewer decides.

    Attributes:
        first: who drew the first, which is the label under review.
        second: who drew the second.
        agreement: how much both agree, in words.
    """

    first: str
    second: str
    agreement: str


@dataclass(frozen=True)
class Review:
    """A label that a reviewer has before them.

    Attributes:
        image: the id of the image.
        version: the version of the label.
        annotator: who sent it.
        slices: the slices that it covers; None for the whole volume.
        readings: the two readings of the case, if they differ and nobody has decided.
    """

    image: str
    version: int
    annotator: str
    slices: tuple[int, ...] | None = None
    readings: Readings | None = None


@dataclass(frozen=True)
class Row:
    """A line of the worklist."""

    image: str
    role: str
    state: str
    who: str
    note: str


@dataclass(frozen=True)
class Worklist:
    """The cases that were asked for.

    Attributes:
        rows: a line for each case.
        counts: how many cases of the project are in each state, in the order of the states.
    """

    rows: tuple[Row, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Saved:
    """What became of a label: `finished` or `draft`, and the server's line about it."""

    state: str
    message: str = ""


@dataclass(frozen=True)
class User:
    """Who the server takes the person for."""

    name: str
    may_review: bool


@dataclass(frozen=True)
class Project:
    """What the module needs to know about the project.

    Attributes:
        id: what tells it from all others, whatever its address.
        labels: the names of the structures.
        values: the value of each structure in masks of the server.
        strategy: the project's own strategy.
        has_model: whether there is a model that can propose a drawing.
    """

    id: str
    labels: tuple[str, ...]
    values: Mapping[str, int]
    strategy: str
    has_model: bool


@dataclass(frozen=True)
class CurvePoint:
    """A model in the learning curve.

    Attributes:
        labels: how many labels it has learnt from.
        dice: its mean Dice on the validation cases.
        low: the lower end of the 95 % interval of that mean, where it is known; `high` is the upper end.
        version: the version of the model.
        in_use: whether it is the model in use.
    """

    labels: float
    dice: float
    low: float | None = None
    high: float | None = None
    version: int = 0
    in_use: bool = False


@dataclass(frozen=True)
class Progress:
    """How far the project is.

    Attributes:
        line: what happens next, in a sentence.
        running: what runs now, in a few words; empty if nothing runs.
        curve: a point for each model that was measured.
        unit: what labels are counted in.
        forecast: what the next labels are expected to bring, in a sentence; empty while nobody knows.
    """

    line: str
    running: str = ""
    curve: tuple[CurvePoint, ...] = field(default=())
    unit: str = "volumes"
    forecast: str = ""
