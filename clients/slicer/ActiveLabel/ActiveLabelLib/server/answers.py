"""The server's answers, as far as the module reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

from ActiveLabelLib.errors import ClientError


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
        labels: the names of the structures.
        values: the value of each structure in masks of the server.
        strategy: the project's own strategy.
        has_model: whether there is a model that can propose a drawing.
    """

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


Answer = TypeVar("Answer")
_FRACTION = re.compile(r"\.\d+")


def time_of(text: str) -> datetime:
    """A time as the server writes it, to the second.

    Raises:
        ValueError: it is no time with a zone.
    """
    found = datetime.fromisoformat(_FRACTION.sub("", text).replace("Z", "+00:00"))
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return found


def understood(read: Callable[[Mapping[str, Any]], Answer]) -> Callable[[Mapping[str, Any]], Answer]:
    """A reader of answers that says in one line that an answer is of another kind than expected."""

    @wraps(read)
    def checked(answer: Mapping[str, Any]) -> Answer:
        try:
            return read(answer)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ClientError(
                f"the server's answer is of another kind ({type(error).__name__}: {error}): write the module anew with "
                "the server's `activelabel slicer-module`"
            ) from error

    return checked


@understood
def read_query(answer: Mapping[str, Any]) -> Query | None:
    """The query of `GET /activelabel/query`; None if the person holds none."""
    found = _key(answer, "query")
    if found is None:
        return None
    places = _key(found, "places")
    returned = found.get("returned") or {}
    asked = sorted((_key(one, "position_mm"), int(_key(one, "index"))) for one in _key(found, "slices"))
    return Query(
        image=str(_key(found, "image")),
        role=str(_key(found, "role")),
        asked=tuple(index for _, index in asked),
        places=Places(**{name: _key(places, name) for name in Places.__dataclass_fields__}),
        reason=str(_key(found, "reason")),
        expires=_checked_time(str(_key(found, "expires"))),
        has_draft=bool(_key(found, "draft")),
        returned=f"{returned.get('reviewer')}: {returned.get('note')}" if returned else "",
    )


@understood
def read_review(answer: Mapping[str, Any]) -> Review | None:
    """The label of `POST /activelabel/review`; None if none waits."""
    found = _key(answer, "review")
    if found is None:
        return None
    slices, readings = _key(found, "slices"), found.get("readings")
    return Review(
        image=str(_key(found, "image")),
        version=int(_key(found, "version")),
        annotator=str(_key(found, "annotator")),
        slices=None if slices is None else tuple(int(index) for index in slices),
        readings=None
        if readings is None
        else Readings(*(str(_key(readings, name)) for name in ("first", "second", "agreement"))),
    )


@understood
def read_worklist(answer: Mapping[str, Any]) -> tuple[Row, ...]:
    """The lines of `GET /activelabel/worklist`."""
    return tuple(
        Row(
            image=str(_key(case, "image")),
            role=str(_key(case, "role")),
            state=str(_key(case, "state")),
            who=", ".join(_key(case, "who")),
            note=str(_key(case, "note")),
        )
        for case in _key(answer, "cases")
    )


@understood
def read_saved(answer: Mapping[str, Any]) -> Saved:
    """The answer to a label or a draft."""
    return Saved(str(_key(answer, "state")), str(answer.get("message") or ""))


@understood
def read_project(answer: Mapping[str, Any]) -> Project:
    """The project of `GET /info/`."""
    strategies = list(_key(answer, "strategies"))
    segmentation = _key(answer, "models").get("segmentation") or {}
    labels = tuple(str(name) for name in _key(answer, "labels"))
    return Project(
        labels=labels,
        values={str(name): int(value) for name, value in (segmentation.get("labels") or {}).items()}
        or {name: position + 1 for position, name in enumerate(labels)},
        strategy=str(strategies[0]),
        has_model=_key(answer, "model") is not None,
    )


def _checked_time(text: str) -> str:
    time_of(text)
    return text


def _key(found: Mapping[str, Any], name: str) -> Any:
    try:
        return found[name]
    except (KeyError, TypeError) as error:
        raise ClientError(
            f"the server's answer has no '{name}': write the module anew with the server's `activelabel slicer-module`"
        ) from error
