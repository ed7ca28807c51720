"""A running server as one of its clients sees it, for whoever plays an annotator by program."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from activelabel.data.files.volumes import read_grid
from activelabel.data.labels import LabelArray, check_label
from activelabel.errors import InvalidInputError, NotReadyError, UnavailableError
from activelabel.loop.due import Work
from activelabel.server.task_names import MODEL
from activelabel.store.records import FINAL

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class RemoteModel:
    """What a server tells of a model."""

    version: int
    sha256: str
    file: str


class RemoteApp:
    """The app of a server, over HTTP, through the host's own client."""

    def __init__(self, address: str, annotator: str) -> None:
        """Connect.

        Raises:
            ActiveLabelError: nobody answers there, or not this app.
        """
        self._address = address.rstrip("/")
        self._client = MONAILabelClient(self._address, client_id=annotator)
        info = self.info()
        if info.get("name") != "activelabel":
            raise InvalidInputError(f"--server {address}: expected the app activelabel, got '{info.get('name')}'")
        self._labels = tuple(info["settings"]["labels"])

    def info(self) -> dict[str, Any]:
        """`GET /info/`. Raises as all that asks the server."""
        with self._answered():
            return dict(self._client.info())

    def images(self) -> set[str]:
        """The ids of the server's images."""
        with self._answered():
            return set(self._client.datastore()["objects"])

    def train_if_due(self) -> None:
        """Wait until the server's autopilot has trained what is due."""
        self._wait_while({Work.TRAIN, Work.TRAIN_PROXY, Work.SCORE_PROXY})

    def score_if_due(self) -> None:
        """Wait until the server's autopilot has scored what is due."""
        self._wait_while({Work.SCORE})

    def model(self) -> RemoteModel | None:
        """The model that was published last, in use or not."""
        model = self.info()["newest_model"]
        return None if model is None else RemoteModel(model["version"], model["sha256"], model["file"])

    def ask(self, strategy: str) -> Mapping[str, Any]:
        """The next query; empty where nothing is left."""
        with self._answered():
            return dict(self._client.next_sample(strategy, {}))

    def save(self, image_id: str, file: Path, info: Mapping[str, Any]) -> None:
        """Send a label."""
        with self._answered():
            self._client.save_label(image_id, str(file), tag=FINAL, params=dict(info))

    def set_aside(self, image_id: str, error: InvalidInputError) -> None:
        """A server sets its own images aside; that the label of one cannot be drawn, nobody can tell it."""
        raise InvalidInputError(f"--server {self._address}: {image_id} cannot be annotated: {error}") from error

    def segmenter(self, version: int) -> Callable[[Path], LabelArray]:
        """From the file of an image to the segmentation by that model, in use or not."""

        def segment(file: Path) -> LabelArray:
            with self._answered():
                mask, _ = self._client.infer(MODEL, file.name, {"model_version": version}, file=str(file))
            return check_label(mask, read_grid(file), self._labels).array

        return segment

    def scores(self, version: int) -> Iterable[Mapping[str, Any]]:
        """None: a server tells its clients the score of what it asks for, and of nothing else."""
        return []

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Around a question to the server.

        Raises:
            UnavailableError: nobody answers.
            InvalidInputError: the answer is a refusal, or none that this app gives.
        """
        try:
            yield
        except MONAILabelClientException as error:
            said = " ".join(str(error.msg).split())
            raise InvalidInputError(f"--server {self._address}: it refuses ({said}): its log says more") from error
        except (OSError, HTTPException) as error:
            raise UnavailableError(
                f"--server {self._address}: nobody answers there ({error}): start it, and then this again"
            ) from error
        except (ValueError, KeyError) as error:
            raise InvalidInputError(
                f"--server {self._address}: expected the app activelabel, got another answer ({error!r})"
            ) from error

    def _wait_while(self, kinds: Collection[Work]) -> None:
        """Wait as long as one of `kinds` is due.

        Raises:
            NotReadyError: it failed so often that the server rests.
        """
        due = {kind.value for kind in kinds}
        while (autopilot := self.info()["autopilot"])["due"] in due:
            if autopilot["rests"]:
                raise NotReadyError(f"the server's {autopilot['due']} failed again and again: its log says why")
            time.sleep(POLL_SECONDS)
