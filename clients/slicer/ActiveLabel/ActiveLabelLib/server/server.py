"""The server's routes, as the module uses them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ActiveLabelLib.errors import RefusedError
from ActiveLabelLib.server.answers import Progress, Project, Query, Review, Row, Saved, User, Worklist
from ActiveLabelLib.server.connection import Connection
from ActiveLabelLib.server.progress import read_progress
from ActiveLabelLib.server.reading import read_project, read_query, read_review, read_saved, read_worklist

PREDICTION_SECONDS = 600.0
"""How long a prediction or a map may take, which a server without a GPU computes for minutes."""
MOST_ROWS = 1000
"""The most cases that the panel's table shows."""
_REVIEWERS = ("reviewer", "manager", "admin")


class Server:
    """One server, asked by one person."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def address(self) -> str:
        """The address of the server."""
        return self._connection.address

    def log_in(self) -> User:
        """Log in where the server wants it, and say who the person is there.

        Where nobody has to log in, everybody may do everything, under the name that they give.
        """
        if not self._connection.log_in():
            return User(self._connection.name, True)
        found = self._connection.get("/auth/token/valid")
        roles = found.get("roles") or ()
        self._connection.reader = str(found.get("username") or self._connection.name)
        return User(self._connection.reader, any(role in _REVIEWERS for role in roles))

    def require_answer(self) -> None:
        """Ask the server for something small.

        Raises:
            SilentError: it does not answer.
        """
        self._connection.get("/auth/", seconds=3.0)

    def project(self) -> Project:
        """The project's labels, strategy and model."""
        found = read_project(self._connection.get("/info/", seconds=30.0))
        self._connection.project = found.id
        return found

    def progress(self) -> Progress:
        """What runs, what the project waits for, and the learning curve."""
        return read_progress(self._connection.get("/activelabel/progress", seconds=30.0))

    def next_sample(self, strategy: str) -> Mapping[str, Any]:
        """The next case for the person: an object with `id` and `path`; empty if nothing is left."""
        return dict(self._connection.post(f"/activelearning/{strategy}", self._named(), seconds=60.0))

    def query(self) -> Query | None:
        """The query that the person holds."""
        return read_query(self._connection.get("/activelabel/query", self._named(), seconds=60.0))

    def image_file(self, image: str, path: str, folder: Path) -> Path:
        """The file of an image: where the server has it, if that is on this machine, else a download."""
        if self._connection.is_local and path and Path(path).is_file():
            return Path(path)
        return self._connection.download("/datastore/image", {"image": image}, folder)

    def draft_file(self, image: str, folder: Path) -> Path:
        """The file of the person's own draft."""
        return self._connection.download("/activelabel/draft", {"image": image, **self._named()}, folder)

    def label_file(self, image: str, tag: str, folder: Path) -> Path | None:
        """The file of a label; None if the image has none with this tag."""
        try:
            return self._connection.download("/datastore/label", {"label": image, "tag": tag}, folder)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def marked_slices(self, image: str) -> tuple[int, ...] | None:
        """The slices that the person had marked as done when their draft was kept; None if the server has forgotten.

        It forgets what it shows beside a draft once somebody else opens the case.
        """
        try:
            info = self._connection.get("/datastore/label/info", {"label": image, "tag": "original"})
        except RefusedError as error:
            if error.status == 404:
                return None
            raise
        found = info.get(MARKED)
        return tuple(int(index) for index in found) if isinstance(found, list) else None

    def proposal_file(self, image: str, folder: Path) -> Path:
        """The file of the model's drawing."""
        route = "/infer/segmentation"
        asked = {"image": image, "output": "image"}
        return self._connection.download(route, asked, folder, PREDICTION_SECONDS, method="POST")

    def uncertainty_file(self, image: str, folder: Path) -> Path:
        """The file of the model's uncertainty in each voxel."""
        asked = {"image": image, "form": "nifti"}
        return self._connection.download("/activelabel/uncertainty", asked, folder, PREDICTION_SECONDS)

    def save_draft(self, image: str, file: Path, params: Mapping[str, Any]) -> Saved:
        """Keep a drawing as the person's draft."""
        return self._save("/activelabel/draft", image, file, params)

    def save_label(self, image: str, file: Path, params: Mapping[str, Any]) -> Saved:
        """Send a finished label."""
        return self._save("/datastore/label", image, file, params)

    def _save(self, route: str, image: str, file: Path, params: Mapping[str, Any]) -> Saved:
        fields = {"params": json.dumps({**params, **self._named()})}
        return read_saved(self._connection.put_file(route, {"image": image}, file, fields))

    def skip(self, image: str, kind: str, reason: str) -> None:
        """Skip a case: `not now` or `cannot be annotated`."""
        self._connection.post("/activelabel/skip", {**self._named(), "image": image, "skip": kind, "reason": reason})

    def bring_back(self, image: str) -> None:
        """Bring back a case that was set aside as one that cannot be annotated."""
        self._connection.post("/activelabel/bring-back", {**self._named(), "image": image})

    def release(self) -> None:
        """Let go of everything that the person holds."""
        self._connection.post("/activelabel/release", self._named())

    def heartbeat(self, image: str, seconds: float) -> None:
        """Say how long the person was active on a case since the last heartbeat."""
        body = {**self._named(), "image": image, "seconds": round(seconds, 1)}
        self._connection.post("/activelabel/heartbeat", body, seconds=3.0)

    def worklist(self, states: Collection[str] = ()) -> Worklist:
        """The cases in some states, or in all; of more than `MOST_ROWS` a last row says that these are not all."""
        rows: list[Row] = []
        counts: dict[str, int] = {}
        after: str | None = ""
        while after is not None and len(rows) < MOST_ROWS:
            asked = {"after": after or None, "state": list(states) or None}
            page = self._connection.get("/activelabel/worklist", asked, seconds=30.0)
            rows += read_worklist(page)
            counts, after = dict(page.get("counts") or {}), page.get("next")
        more = () if after is None else (Row("…", "", "", "", f"only the first {len(rows)} cases are shown"),)
        return Worklist((*rows, *more), counts)

    def review(self, image: str | None = None) -> Review | None:
        """Take a label for review: that of an image, or the one that has waited longest."""
        body = {**self._named(), **({} if image is None else {"image": image})}
        return read_review(self._connection.post("/activelabel/review", body))

    def approve(self, image: str, note: str, version: int) -> None:
        """Approve a label."""
        self._decide("approve", image, note, version)

    def return_label(self, image: str, note: str, version: int) -> None:
        """Return a label to its annotator."""
        self._decide("return", image, note, version)

    def adjudicate(self, image: str, take: str, note: str) -> None:
        """Decide between two readings: `first`, `second`, or `staple`, which merges both."""
        body = {**self._named(), "image": image, "take": take, "note": note}
        self._connection.post("/activelabel/adjudicate", body, seconds=60.0)

    def _decide(self, verdict: str, image: str, note: str, version: int) -> None:
        body = {**self._named(), "image": image, "note": note, "version": version}
        self._connection.post(f"/activelabel/{verdict}", body)

    def _named(self) -> dict[str, str]:
        return {"client_id": self._connection.name} if self._connection.name else {}


FINAL, SECOND_READING = "final", "reading_2"
"""The tags under which the server has the label of a case, and the second of two readings."""
MARKED = "slices_done"
"""The key of the marked slices among what is kept beside a draft."""


def connect(address: str, name: str, password: str = "", certificate: str = "") -> Server:
    """A server at an address, not asked yet."""
    return Server(Connection(address, name, password, certificate))
