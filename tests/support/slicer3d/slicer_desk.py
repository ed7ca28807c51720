"""A scene and a server made up for tests of the Slicer module: what a session does with them can be read off."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ActiveLabelLib.errors import RefusedError, SilentError
from ActiveLabelLib.server.answers import Places, Project, Query, Review, Row, Saved, User, Worklist

PLACES = Places(2, "axial", "S", 0.0, 2.0, 20)
VOLUME = Query("case7", "training", (), PLACES, "chosen at random", "2026-11-29T12:00:00Z", False)
SLICES = replace(VOLUME, asked=(3, 9, 10))


class Paper:
    """A scene: the drawing is a text."""

    def __init__(self) -> None:
        self.drawing = ""
        self.shown: list[tuple[str, float]] = []
        self.opened: list[Any] = []
        self.overlay: list[Any] = []

    def at_once(self, steps: Callable[[], Any]) -> Any:
        return steps()

    def open_image(self, file: Path, name: str, labels: Sequence[str]) -> None:
        self.drawing = ""
        self.opened.append((file.name, name, tuple(labels)))

    def open_label(self, file: Path, values: Mapping[str, int]) -> None:
        self.drawing = file.read_text(encoding="utf-8")
        self.opened.append((file.name, dict(values)))

    def write_label(self, file: Path, labels: Sequence[str]) -> None:
        file.write_text(self.drawing, encoding="utf-8")

    def stamp(self) -> str:
        return self.drawing

    def view_stamp(self) -> int:
        return len(self.shown)

    def show_slice(self, plane: str, position: float) -> None:
        self.shown.append((plane, position))

    def slice_position(self, plane: str) -> float:
        return self.shown[-1][1] if self.shown else 0.0

    def show_overlay(self, file: Path) -> None:
        self.overlay.append(file.name)

    def set_overlay_opacity(self, share: float) -> None:
        self.overlay.append(share)

    def clear(self) -> None:
        self.drawing = ""


class Desk:
    """A server: it notes what it is sent, and is silent or refuses if the test wants it."""

    def __init__(self, folder: Path) -> None:
        self.address = "http://desk:8000"
        self.name = "ann"
        self.project_id = "p1"
        self._stated: str | None = None
        self.folder = folder
        self.sent: list[Any] = []
        self.queries = [VOLUME]
        self.reviews = [Review("case7", 2, "bob")]
        self.silent = False
        self.deaf_to = ""
        self.finished: tuple[str, str] | None = None
        self.refuses = ""
        self.refuses_with = 400
        self.refuses_only = ""
        self.times_refused = 0
        self.answer = Saved("finished")
        self.originals: dict[str, str] = {}
        self.has_model = False
        self.may_review = True
        self.marks: tuple[int, ...] | None = (3,)

    def _hear(self, *what: Any) -> None:
        if self.silent:
            raise SilentError(f"{self.address} does not answer (made up)")
        if self._stated not in (None, self.project_id):
            raise RefusedError(412, "another project than yours is served at this address now")
        if self.refuses and what[0] in ("draft", "label") and self.refuses_only in ("", what[1]):
            self.times_refused += 1
            raise RefusedError(self.refuses_with, self.refuses)
        self.sent.append(what)

    def log_in(self) -> User:
        self._stated = None
        self._hear("login")
        return User(self.name, self.may_review)

    def require_answer(self) -> None:
        self._hear("answers")

    def project(self) -> Project:
        self._stated = self.project_id
        return Project(self.project_id, ("liver", "spleen"), {"liver": 1, "spleen": 5}, "uncertainty", self.has_model)

    def next_sample(self, strategy: str) -> Mapping[str, Any]:
        self._hear("next", strategy)
        return {"id": self.queries[0].image, "path": ""} if self.queries else {}

    def query(self) -> Query | None:
        return self.queries[0]

    def image_file(self, image: str, path: str, folder: Path) -> Path:
        return self._file(image, "voxels")

    def label_file(self, image: str, tag: str, folder: Path) -> Path | None:
        return self._file(tag, self.originals[tag]) if tag in self.originals else None

    def draft_file(self, image: str, folder: Path) -> Path:
        return self._file("draft", "drawn before")

    def marked_slices(self, image: str) -> tuple[int, ...] | None:
        return self.marks

    def proposal_file(self, image: str, folder: Path) -> Path:
        return self._file("model", "by the model")

    def uncertainty_file(self, image: str, folder: Path) -> Path:
        return self._file("map", "")

    def save_draft(self, image: str, file: Path, params: Mapping[str, Any]) -> Saved:
        text = file.read_text(encoding="utf-8")
        if params.get("unanswered") and self.finished == (image, text):
            return Saved("finished")
        self._hear("draft", image, text, dict(params))
        return Saved("draft")

    def save_label(self, image: str, file: Path, params: Mapping[str, Any]) -> Saved:
        self._hear("label", image, file.read_text(encoding="utf-8"), dict(params))
        if self.deaf_to == "label":
            self.finished = (image, file.read_text(encoding="utf-8"))
            raise SilentError(f"{self.address} broke off its answer (made up)")
        self.reviews = [replace(review, version=review.version + 1) for review in self.reviews]
        return self.answer

    def heartbeat(self, image: str, seconds: float) -> None:
        self._hear("heartbeat", image, seconds)

    def skip(self, image: str, kind: str, reason: str) -> None:
        self._hear("skip", image, kind, reason)

    def release(self) -> None:
        self._hear("release")

    def bring_back(self, image: str) -> None:
        self._hear("bring back", image)

    def review(self, image: str | None = None) -> Review | None:
        self._hear("review", image)
        return self.reviews[0] if self.reviews else None

    def approve(self, image: str, note: str, version: int) -> None:
        if self.deaf_to == "approve":
            raise SilentError(f"{self.address} does not answer (made up)")
        if version != self.reviews[0].version:
            raise RefusedError(409, "its label has changed since you opened it")
        self._hear("approve", image, note, version)

    def adjudicate(self, image: str, take: str, note: str) -> None:
        self._hear("adjudicate", image, take, note)

    def worklist(self, states: Collection[str] = ()) -> Worklist:
        self._hear("worklist", tuple(states))
        rows = (Row("case7", "training", "finished", "bob", ""), Row("case8", "validation", "returned", "rev", "tip"))
        shown = tuple(row for row in rows if not states or row.state in states)
        return Worklist(shown, {"unseen": 0, "finished": 1, "returned": 1})

    def return_label(self, image: str, note: str, version: int) -> None:
        self._hear("return", image, note, version)

    def _file(self, name: str, text: str) -> Path:
        self.folder.mkdir(exist_ok=True)
        file = self.folder / name
        file.write_text(text, encoding="utf-8")
        return file

    def drawings(self) -> list[tuple[str, str]]:
        """Return what was sent of drawings: as what, and which."""
        return [(what[0], what[2]) for what in self.sent if what[0] in ("draft", "label")]
