"""Reads the JSON of the server's answers; what is of another kind than expected is one line for the person."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

from ActiveLabelLib.errors import ClientError
from ActiveLabelLib.server.answers import Places, Project, Query, Readings, Review, Row, Saved

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
        id=str(_key(answer, "project")),
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
