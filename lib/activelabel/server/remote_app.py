"""Client of a running server, for a program that simulates an annotator."""

import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from activelabel.data.dicom_objects.series import write_frames
from activelabel.data.files.image_files import AnyImage, ImageFiles
from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.data.label_checking import check_label
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.labels.label_texts import parse_labels
from activelabel.data.volumes import read_grid, read_volume
from activelabel.errors import InvalidInputError, NotReadyError, UnavailableError
from activelabel.loop.due import Work
from activelabel.server.task_names import MODEL
from activelabel.store.records.labels import FINAL

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class RemoteModel:
    """A model as a server describes it."""

    version: int
    sha256: str
    file: str


class RemoteApp:
    """The app of a server, accessed over HTTP by the host's client."""

    def __init__(self, address: str, annotator: str) -> None:
        """Connect to the server at `address`.

        Raises:
            ActiveLabelError: no server answers there, or it serves another app.
        """
        self._address = address.rstrip("/")
        self._client = MONAILabelClient(self._address, client_id=annotator)
        info = self.info()
        if info.get("name") != "activelabel":
            raise InvalidInputError(f"--server {address}: expected the app activelabel, got '{info.get('name')}'")
        self._labels = parse_labels(tuple(info["settings"]["labels"]), f"--server {address}")

    def info(self) -> dict[str, Any]:
        """The answer to `GET /info/`. Raises as `_answered`."""
        with self._answered():
            return dict(self._client.info())

    def images(self) -> set[str]:
        """The ids of the server's images."""
        with self._answered():
            return set(self._client.datastore()["objects"])

    def train_if_due(self) -> None:
        """Wait until the server's autopilot has finished the trainings that are due."""
        self._wait_while({Work.TRAIN, Work.TRAIN_PROXY, Work.SCORE_PROXY})

    def score_if_due(self) -> None:
        """Wait until the server's autopilot has finished the scoring that is due."""
        self._wait_while({Work.SCORE})

    def model(self) -> RemoteModel | None:
        """The model that was published last, whether in use or not."""
        model = self.info()["newest_model"]
        return None if model is None else RemoteModel(model["version"], model["sha256"], model["file"])

    def ask(self, strategy: str) -> Mapping[str, Any]:
        """The next query; empty if nothing is left."""
        with self._answered():
            return dict(self._client.next_sample(strategy, {}))

    def save(self, image_id: str, file: Path, info: Mapping[str, Any]) -> None:
        """Send a label to the server."""
        with self._answered():
            self._client.save_label(image_id, str(file), tag=FINAL, params=dict(info))

    def set_aside(self, image_id: str, error: InvalidInputError) -> None:
        """Raise an error: a client cannot set aside an image of a server."""
        raise InvalidInputError(f"--server {self._address}: {image_id} cannot be annotated: {error}") from error

    def segmenter(self, version: int) -> Callable[[AnyImage], LabelArray]:
        """A function from the files of an image to its segmentation by that model version, whether in use or not."""

        def segment(given: AnyImage) -> LabelArray:
            image = ImageFiles.of(given)
            with tempfile.TemporaryDirectory() as folder, self._answered():
                file = image.path
                if len(image.paths) > 1:  # a request has one file
                    file = Path(folder) / f"image{LABEL_ENDING}"
                    write_frames(file, read_volume(image))
                mask, _ = self._client.infer(MODEL, file.name, {"model_version": version}, file=str(file))
            return check_label(mask, read_grid(image), self._labels).array

        return segment

    def scores(self, version: int) -> Iterable[Mapping[str, Any]]:
        """An empty list: a server tells its clients only the score of each query."""
        return []

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Convert errors of a request to the server.

        Raises:
            UnavailableError: no server answers.
            InvalidInputError: the answer is a refusal, or not an answer of this app.
        """
        try:
            yield
        except MONAILabelClientException as error:
            reason = " ".join(str(error.msg).split())
            raise InvalidInputError(f"--server {self._address}: it refuses ({reason}): its log says more") from error
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
            NotReadyError: the work failed so often that the server's autopilot rests.
        """
        due = {kind.value for kind in kinds}
        while (autopilot := self.info()["autopilot"])["due"] in due:
            if autopilot["rests"]:
                raise NotReadyError(f"the server's {autopilot['due']} failed again and again: its log says why")
            time.sleep(POLL_SECONDS)
