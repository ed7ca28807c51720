"""The images of a project for a worker: in a folder that it sees too, or fetched from the server."""

import http
import http.client
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any

from activelabel.data.files.channels import ChannelLayout
from activelabel.data.files.digest import file_sha256
from activelabel.data.files.image_files import ImageFiles
from activelabel.data.files.names import ENDINGS, ending_of
from activelabel.data.files.studies_folder import FolderContent, find_images
from activelabel.data.files.writing import NO_ROOM
from activelabel.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    NotLoggedInError,
    UnavailableError,
)
from activelabel.project.listing import listed_files
from activelabel.project.project import Project
from activelabel.store.records.models import ModelVersion
from activelabel.work.fetched import FetchedImages

_TIMEOUT_SECONDS = 120
_CHUNK = 2**20
_DIGITS = 20
"""No header has a number of so many digits."""


class SharedFolder:
    """The images of a folder that the worker's machine sees.

    An image that lies there under its id is opened at once; the folder is read for any other.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._content: FolderContent | None = None

    def image_files(self, image_id: str) -> ImageFiles:
        """The files of an image, which this machine can open: what hinders only this worker is no fault of the image.

        Raises:
            NotFoundError: the folder holds no such image.
            ForbiddenError: this process may not read it.
            UnavailableError: the folder does not answer.
        """
        try:
            files = self._find(image_id)
            for path in files.paths:
                _check_readable(path)
        except PermissionError as error:
            raise ForbiddenError(
                f"image '{image_id}': this worker may not read {error.filename}: start it as a user who may"
            ) from error
        except OSError as error:
            raise UnavailableError(
                f"image '{image_id}': {self._project.studies} does not answer ({error.strerror}): is it mounted?"
            ) from error
        return files

    def _find(self, image_id: str) -> ImageFiles:
        if not self._project.layout.names and (found := self._by_name(image_id)) is not None:
            return ImageFiles(found)
        if self._content is None or image_id not in self._content.files:
            self._content = self._read()
        if image_id not in self._content.files:
            raise NotFoundError(f"image '{image_id}': it is not in {self._project.studies}: is that the same folder?")
        return self._content.image(image_id)

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Nothing: a file has no description."""
        return {}

    def _by_name(self, image_id: str) -> Path | None:
        """The only file of an image's own name; no link is followed, as it may lead out of the folder."""
        named = [Path(self._project.studies) / f"{image_id}{ending}" for ending in ENDINGS]
        there = [path for path in named if path.is_file() and not path.is_symlink()]
        return there[0] if len(there) == 1 else None

    def _read(self) -> FolderContent:
        folder, settings = Path(self._project.studies), self._project.settings
        known = listed_files(self._project.view_folder)  # whose ids the server goes on with
        return find_images(folder, known, links_out=settings.links_out_of_studies, layout=self._project.layout)


def _check_readable(path: Path) -> None:
    """Open a file and read its first byte, unless it is gone. Raises OSError if that fails."""
    if path.exists():
        with path.open("rb") as file:
            file.read(1)


class ServerImages:
    """The images and models of a server, fetched with a token when they are needed."""

    def __init__(
        self,
        address: str,
        token: Callable[[], str],
        layout: ChannelLayout,
        models_folder: Path,
        renew: Callable[[str], None] | None = None,
    ) -> None:
        """Fetch from `address`; models go into `models_folder`, images into a folder for the life of this object.

        `token` is asked each time, since tokens expire and are replaced. `renew` is told of a token that the server
        does not take, and then `token` is asked once more.
        """
        if not address.startswith(("http://", "https://")):
            raise InvalidInputError(f"--server {address}: expected the address of a server, like http://host:8000")
        self._address = address.rstrip("/")
        self._token = token
        self._renew = renew
        self._opener = urllib.request.build_opener(_NoRedirect())
        self._layout = layout
        self._models_folder = models_folder
        self._fetched = FetchedImages()

    def image_files(self, image_id: str) -> ImageFiles:
        """The files of an image, fetched unless they are among the last ones.

        They stay until the thread that asks asks for another image.

        Raises:
            NotFoundError: the server has no such image.
            NotLoggedInError: the server wants a token, or another one.
            UnavailableError: the server does not answer.
        """
        return self._fetched.get(image_id, self._fetch_image)

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Nothing: no worker needs it."""
        return {}

    def require_answer(self, image_id: str) -> None:
        """Ask the server for an image, fetched before or not, and take no more than its beginning.

        Raises:
            ActiveLabelError: it does not give it; see `image_files`.
        """
        with self._answer("/datastore/image", {"image": image_id, "part": "0"}) as answer:
            answer.read(1)

    def fetch_model(self, model: ModelVersion) -> None:
        """Put the file of the model in use into the folder of models, unless it is there.

        Raises:
            InvalidInputError: it is a proxy model, which a server does not hand out.
            UnavailableError: the server does not answer, or another model is in use meanwhile.
        """
        target = self._models_folder / model.file
        if target.is_file():
            return
        if model.kind == "proxy":
            raise InvalidInputError(
                f"--server {self._address}: a server does not hand out the proxy model, which scores now: name the "
                "project's folder with --project-dir instead"
            )
        self._models_folder.mkdir(parents=True, exist_ok=True)
        self._fetch("/model/segmentation", {}, target)
        if file_sha256(target) != model.sha256:
            target.unlink()
            raise UnavailableError(
                f"{self._address}: what came is not model {model.version}: another model is in use by now"
            )

    def _fetch_image(self, image_id: str, folder: Path) -> ImageFiles:
        first, part, parts, changed = Path(), 0, 1, 0
        while part < parts:
            headers = self._fetch("/datastore/image", {"image": image_id, "part": str(part)}, folder / "part")
            name = Path(headers.get_filename() or "").name
            if not ending_of(name):
                raise UnavailableError(
                    f"{self._address}: image '{image_id}' came as {name!r}, which is no image's name"
                )
            modified = self._number(headers, "X-Image-Modified", 0)
            changed = max(changed, self._number(headers, "X-Image-Changed", 0))
            os.utime(folder / "part", ns=(modified, modified))  # by which the ledger knows the server's file
            (folder / "part").rename(folder / name)
            first = folder / name if part == 0 else first
            part, parts = part + 1, self._number(headers, "X-Image-Parts", 1)
        return replace(self._layout.files(str(first)), changed_ns=changed)

    def _number(self, headers: Message, name: str, default: int) -> int:
        """The number in a header."""
        text = headers.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < _DIGITS):
            raise UnavailableError(f"{self._address}: {name} is {text[:80]!r}, expected a number: is it activelabel?")
        return int(text)

    def _fetch(self, path: str, query: dict[str, str], target: Path) -> Message:
        """Write what an address answers into a file, and return its headers."""
        unfinished = target.with_name(f".{target.name}.unfinished")
        with self._answer(path, query) as answer, unfinished.open("wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
            received: Message = answer.headers
            size = file.tell()
        whole = received.get("Content-Length")
        if whole is not None and str(size) != whole.strip():  # the library takes what there is for the whole
            unfinished.unlink()
            raise UnavailableError(f"{self._address}{path}: the answer broke off, {size} of {whole} bytes came")
        unfinished.replace(target)
        return received

    @contextmanager
    def _answer(self, path: str, query: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        """What an address answers, to be read in the block."""
        try:
            with self._open(f"{self._address}{path}?{urllib.parse.urlencode(query)}") as answer:
                yield answer
        except urllib.error.HTTPError as error:
            raise _explained(error, self._address, path) from error
        except (OSError, ssl.SSLError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in NO_ROOM:  # of what writes the answer down
                raise UnavailableError(f"{self._address}{path}: no room for it on the disk of this worker") from error
            raise UnavailableError(f"{self._address}{path}: no answer ({error}): is the server running?") from error

    def _open(self, address: str) -> http.client.HTTPResponse:
        """Ask with the token, and once more with another one where this one is not taken."""
        token = self._token()
        try:
            return self._ask(address, token)
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.UNAUTHORIZED or self._renew is None:
                raise
            error.close()
        self._renew(token)
        return self._ask(address, self._token())

    def _ask(self, address: str, token: str) -> http.client.HTTPResponse:
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
        answer: http.client.HTTPResponse = self._opener.open(request, timeout=_TIMEOUT_SECONDS)
        return answer


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would take the token to another server."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse a redirect, so that it becomes an error."""


def _explained(error: urllib.error.HTTPError, address: str, path: str) -> Exception:
    """The error for an answer that refuses."""
    try:
        line = str(json.loads(error.read())["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        line = str(error.reason)
    match error.code:
        case 401 | 403:
            return NotLoggedInError(
                f"{address}{path}: {line}: is it the server of this ledger? Or name a file with a valid token with "
                "--token-file"
            )
        case 404:
            return NotFoundError(f"{address}{path}: {line}")
    return UnavailableError(f"{address}{path}: {error.code}, {line}")
