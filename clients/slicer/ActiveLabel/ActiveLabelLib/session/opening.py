"""How a case opens: the image, and a drawing to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ActiveLabelLib.errors import CaseError, RefusedError
from ActiveLabelLib.outbox.unsent import Unsent
from ActiveLabelLib.server.answers import Project, Query, Review
from ActiveLabelLib.server.server import FINAL, MARKED, SECOND_READING, Server
from ActiveLabelLib.session.case import Scene

NO_MODEL = 409
"""The server's status for a prediction while there is no model."""


@dataclass(frozen=True)
class Opened:
    """A case that the scene shows now.

    Attributes:
        image: the id of its image.
        opened_with: `draft`, `label`, `model` or `nothing`.
        done: the slices that were marked as done in the draft.
    """

    image: str
    opened_with: str
    query: Query | None = None
    review: Review | None = None
    done: tuple[int, ...] = ()


def open_query(
    server: Server,
    scene: Scene,
    project: Project,
    query: Query,
    path: str,
    folder: Path,
    waiting: Unsent | None = None,
    marks: tuple[int, ...] = (),
) -> Opened:
    """Open a case to annotate: with the person's draft, else with an earlier drawing, else with the model's.

    A drawing of it that still waits to be sent is newer than all of these. `marks` are the slices that were marked as
    done on this machine, for a server that has forgotten them.
    """
    image = server.image_file(query.image, path, folder)
    if waiting is not None:
        _open(scene, image, query.image, project, waiting.file, _values_of(waiting))
        return Opened(query.image, "draft", query=query, done=_done_of(waiting))
    opened_with, drawing = _drawing(server, project, query, folder)
    kept = server.marked_slices(query.image) if opened_with == "draft" else ()
    _open(scene, image, query.image, project, drawing, project.values)
    return Opened(query.image, opened_with, query=query, done=marks if kept is None else kept)


def open_review(
    server: Server, scene: Scene, project: Project, review: Review, folder: Path, waiting: Unsent | None = None
) -> Opened:
    """Open a finished label for review, with the correction that the reviewer has begun, if there is one."""
    image = server.image_file(review.image, "", folder)
    if waiting is not None:
        _open(scene, image, review.image, project, waiting.file, _values_of(waiting))
    else:
        drawing = server.label_file(review.image, FINAL, folder / "drawing")
        _open(scene, image, review.image, project, drawing, project.values)
    return Opened(review.image, "label", review=review)


def reading_file(server: Server, image: str, *, second: bool, folder: Path) -> Path:
    """The file of the first or the second reading of an image.

    Raises:
        CaseError: the server has it no more.
    """
    drawing = server.label_file(image, SECOND_READING if second else FINAL, folder / "drawing")
    if drawing is None:
        raise CaseError(f"{image}: the server has this reading no more; take the label for review again")
    return drawing


def _open(
    scene: Scene, image: Path, name: str, project: Project, drawing: Path | None, values: Mapping[str, int]
) -> None:
    scene.open_image(image, name, project.labels)
    if drawing is not None:
        scene.open_label(drawing, values)


def _values_of(waiting: Unsent) -> dict[str, int]:
    """The values of a drawing of ours: the n-th name has value n."""
    return {str(segment["name"]): position + 1 for position, segment in enumerate(waiting.params["label_info"])}


def _done_of(waiting: Unsent) -> tuple[int, ...]:
    return tuple(waiting.params.get(MARKED) or waiting.params.get("annotated_slices") or ())


def _drawing(server: Server, project: Project, query: Query, folder: Path) -> tuple[str, Path | None]:
    if query.has_draft:
        return "draft", server.draft_file(query.image, folder / "drawing")
    earlier = server.label_file(query.image, "original", folder / "drawing")
    if earlier is not None:
        return "label", earlier
    if not project.has_model:
        return "nothing", None
    try:
        return "model", server.proposal_file(query.image, folder / "drawing")
    except RefusedError as error:
        if error.status == NO_MODEL:
            return "nothing", None
        raise
