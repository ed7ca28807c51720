"""Slices of an image and their positions in mm."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ActiveLabelLib.server.answers import Places

NEAR_STEPS = 0.01
"""A position this near to a slice, in steps from slice to slice, is that slice."""


def position_mm(places: Places, index: int) -> float:
    """The position of a slice, as Slicer's slider of its plane shows it."""
    return places.first_mm + places.step_mm * index


def index_at(places: Places, position: float) -> int:
    """The slice nearest to a position; the first or the last one for a position outside the image."""
    return min(max(round((position - places.first_mm) / places.step_mm), 0), places.count - 1)


def next_slice(places: Places, asked: Collection[int], position: float, step: int) -> int | None:
    """The next of the slices `asked` towards larger positions (`step` 1) or smaller ones (-1), from a position on.

    After the last one comes the first again; None if no slice is asked for.
    """
    near = NEAR_STEPS * abs(places.step_mm)
    by_position = sorted(asked, key=lambda index: position_mm(places, index) * step)
    beyond = [index for index in by_position if (position_mm(places, index) - position) * step > near]
    return next(iter(beyond or by_position), None)


def in_words(indices: Iterable[int]) -> str:
    """Slices as viewers count them, from 1: `3, 8-10`."""
    runs: list[list[int]] = []
    for index in sorted(set(indices)):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ", ".join(_run(run) for run in runs)


def _run(run: Sequence[int]) -> str:
    return str(run[0] + 1) if len(run) == 1 else f"{run[0] + 1}-{run[-1] + 1}"
