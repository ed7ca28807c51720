"""The files of OHIF, compressed and kept by the browser; the host sends each whole, 22 MB at a first load."""

import gzip
import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from fastapi import Response
from monailabel.endpoints import ohif
from monailabel.utils.others.generic import get_mime_type

FOLDER = Path(ohif.__file__).resolve().parent / "static" / "ohif"
PAGE = "index.html"
CONFIGURATION = "app-config.js"
_KINDS = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webapp": "application/json",
    ".xml": "text/xml",
}
"""Media types of OHIF's files: a machine may know others, and a browser runs no script that is said to be text."""
_COMPRESSED = frozenset({".css", ".html", ".js", ".json", ".svg", ".wasm", ".xml"})
_NAMED_BY_CONTENT = re.compile(r"(.+\.)?[0-9a-f]{20}\.(css|js|wasm)")
_FOR_EVER = "private, max-age=31536000, immutable"
_ASK_EACH_TIME = "private, no-cache"


@dataclass(frozen=True)
class Content:
    """A file as it is sent.

    Attributes:
        body: its bytes, in gzip if `compressed`.
        compressed: whether it is of a kind that is sent in gzip.
        digest: names its bytes.
        kind: its media type.
        keeping: its `Cache-Control`.
    """

    body: bytes
    compressed: bool
    digest: str
    kind: str
    keeping: str

    @classmethod
    def of(cls, name: str, plain: bytes) -> "Content":
        """The content of a file. A name that holds a digest of the content will never mean another one."""
        suffix = Path(name).suffix
        compressed = suffix in _COMPRESSED
        return cls(
            gzip.compress(plain, 6, mtime=0) if compressed else plain,
            compressed,
            hashlib.sha256(plain).hexdigest()[:32],
            _KINDS.get(suffix) or get_mime_type(name),
            _FOR_EVER if _NAMED_BY_CONTENT.fullmatch(name) else _ASK_EACH_TIME,
        )

    def answer(self, headers: Mapping[str, str]) -> Response:
        """The answer to a request with these headers: 304 without content if the browser has just this file."""
        in_gzip = self.compressed and takes_gzip(headers.get("accept-encoding", ""))
        tag = f'"{self.digest}-gzip"' if in_gzip else f'"{self.digest}"'
        about = {"ETag": tag, "Cache-Control": self.keeping}
        if self.compressed:
            about["Vary"] = "Accept-Encoding"
        if tag in {one.strip().removeprefix("W/") for one in headers.get("if-none-match", "").split(",")}:
            return Response(status_code=304, headers=about)
        if in_gzip:
            return Response(self.body, media_type=self.kind, headers={**about, "Content-Encoding": "gzip"})
        plain = gzip.decompress(self.body) if self.compressed else self.body
        return Response(plain, media_type=self.kind, headers=about)


class _KeptFile:
    """A file with a lock of its own: while a large one is packed, the others are sent."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._kept: tuple[tuple[int, int], Content] | None = None

    def content(self) -> Content:
        """What the file holds now."""
        state = self._file.stat()
        stamp = (state.st_mtime_ns, state.st_size)
        with self._lock:  # several browsers may ask for it at once
            if self._kept is None or self._kept[0] != stamp:
                self._kept = stamp, Content.of(self._file.name, self._file.read_bytes())
            return self._kept[1]


class ViewerFiles:
    """The files below a folder, each read when it is first asked for, and again when it has changed."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder.resolve()
        self._lock = threading.Lock()
        self._kept: dict[Path, _KeptFile] = {}

    def content(self, path: str) -> Content:
        """The file at a path below the folder; for any other path the viewer's page, which reads the path itself."""
        file = self._file(path)
        with self._lock:
            kept = self._kept.setdefault(file, _KeptFile(file))
        return kept.content()

    def _file(self, path: str) -> Path:
        page = self._folder / PAGE
        if "\0" in path:
            return page
        file = (self._folder / path.lstrip("/")).resolve()
        return file if file.is_relative_to(self._folder) and _is_file(file) else page


def configuration() -> Content:
    """The script that configures OHIF: the host's script followed by ours."""
    own = files(__package__) / "ohif.js"
    return Content.of(CONFIGURATION, (FOLDER / CONFIGURATION).read_bytes() + b"\n" + own.read_bytes())


def takes_gzip(accepted: str) -> bool:
    """Whether a header `Accept-Encoding` allows gzip."""
    parts = (one.partition(";q=") for one in accepted.lower().replace(" ", "").split(","))
    weights = {name: weight or "1" for name, _, weight in parts}
    return weights.get("gzip", weights.get("*", "0")).strip("0.") != ""


def _is_file(path: Path) -> bool:
    """Whether a path is a file; False for one that no file system takes."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
