"""A PACS (or a server in its place) that lies costs one line, little time and memory, and writes nothing elsewhere."""

import gzip
import io
import itertools
import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pydicom
import pytest
from dicom_files import SERIES, write_slices
from monailabel.config import settings as host_settings
from pydicom.uid import DeflatedExplicitVRLittleEndian

from activelabel.errors import ActiveLabelError, InvalidInputError, NotFoundError, UnavailableError
from activelabel.server.pacs import client as pacs_module
from activelabel.server.pacs import session as pacs_session
from activelabel.server.pacs.client import Pacs
from activelabel.server.pacs.series_cache import SeriesCache

JSON = "application/dicom+json"
PARTS = 'multipart/related; type="application/dicom"; boundary=b'
STUDY = f"{SERIES}.1"

Respond = Callable[[BaseHTTPRequestHandler], None]


class Liar:
    """A web server with a preset answer to each request."""

    def __init__(self) -> None:
        self.respond: Respond = says(b"[]", JSON)
        self.asked: list[str] = []
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                liar.asked.append(self.path)
                liar.respond(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # type: ignore[method-assign,misc] # a client that gave up
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/dicom-web"


@pytest.fixture
def new_liar() -> Iterator[Callable[[], Liar]]:
    made: list[Liar] = []

    def make() -> Liar:
        made.append(Liar())
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


@pytest.fixture
def liar(new_liar: Callable[[], Liar]) -> Liar:
    return new_liar()


def says(body: bytes, kind: str, status: int = 200, **headers: str) -> Respond:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("content-type", kind)
        handler.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return respond


def goes_on(part: bytes, kind: str, pause: float = 0.0) -> Respond:
    """Return a body without an end."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", kind)
        handler.end_headers()
        for _ in range(100_000):
            handler.wfile.write(part)
            time.sleep(pause)

    return respond


def listed(uid: object = "1.2.3", study: object = STUDY, **more: object) -> dict[str, object]:
    return {"0020000E": {"vr": "UI", "Value": [uid]}, "0020000D": {"vr": "UI", "Value": [study]}, **more}


def once(*items: object) -> Respond:
    """Return a listing of these series for every request."""
    return says(json.dumps(items).encode(), JSON)


def parts(*objects: bytes) -> bytes:
    return b"".join(b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n" + one for one in objects) + b"\r\n--b--\r\n"


def slices(folder: Path, **changes: object) -> list[bytes]:
    write_slices(folder, [changes] * 3)
    return [file.read_bytes() for file in sorted(folder.iterdir())]


@pytest.mark.parametrize(
    "uid", [".", "..", "...", "1..2", ".1", "1.", "1.2\n3", "/1", "1/../..", "", "9" * 65, "１.２"]
)
@pytest.mark.parametrize("which", ["series", "study"])
def test_an_identifier_that_could_be_a_path_is_not_listed(liar: Liar, uid: str, which: str) -> None:
    wrong = listed(uid) if which == "series" else listed("1.2.4", study=uid)
    liar.respond = once(wrong, listed("1.2.3"))
    assert [series.uid for series in Pacs(liar.url).images()] == ["1.2.3"]


@pytest.mark.parametrize(
    "item",
    [
        None, 7, "1.2.3", [], [listed()], {"0020000E": 7}, {"0020000E": {"vr": "ZZ", "Value": ["1"]}}, {"x": {}},
        listed({"a": 1}), listed(**{"00201209": {"vr": "IS", "Value": ["many"]}}),
        listed(**{"00201209": {"vr": "SQ", "Value": [{"00201209": "x"}]}}), listed(study=None),
    ],
)  # fmt: skip
def test_a_listed_series_that_cannot_be_read_stops_no_other(liar: Liar, item: object) -> None:
    liar.respond = once(item, listed("1.2.3"))
    assert [series.uid for series in Pacs(liar.url).images()] == ["1.2.3"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>log in first", "text/html"),
        (b"<html>log in first", JSON),
        (b"{", JSON),
        (b"[" * 100_000, JSON),
        (b"7", JSON),
        (b"\xff\xfe\x00", JSON),
        (b"NaN", JSON),
    ],
)
def test_an_answer_that_is_no_listing_is_one_line(liar: Liar, body: bytes, kind: str) -> None:
    liar.respond = says(body, kind)
    with pytest.raises(UnavailableError) as caught:
        Pacs(liar.url).images()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_listing_without_an_end_is_ended(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacs_module, "MOST_SERIES", 50)

    def more(handler: BaseHTTPRequestHandler) -> None:
        once(*(listed(f"1.{len(liar.asked)}.{number}") for number in range(10)))(handler)

    liar.respond = more
    with pytest.raises(UnavailableError, match="lists more than 50 series: narrow the search"):
        Pacs(liar.url).images()
    assert len(liar.asked) == 6


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_other_host_is_asked_whatever_the_pacs_says(
    liar: Liar, new_liar: Callable[[], Liar], status: int, tmp_path: Path
) -> None:
    other = new_liar()
    liar.respond = says(b"", JSON, status, Location=f"{other.url}/studies")
    pacs = Pacs(liar.url)
    asks = [pacs.images, lambda: pacs.forward("GET", "qido", "studies", "", b"", {})]
    asks.append(lambda: pacs.download("1.2.3", STUDY, tmp_path))
    for ask in asks:
        with pytest.raises(UnavailableError, match="it sends us elsewhere"):
            ask()
    assert other.asked == []


def test_the_pacs_may_send_us_to_another_of_its_own_addresses(liar: Liar) -> None:
    def moved(handler: BaseHTTPRequestHandler) -> None:
        new = handler.path.startswith("/new/")
        (once(listed()) if new else says(b"", JSON, 302, Location="/new/series"))(handler)

    liar.respond = moved
    assert [series.uid for series in Pacs(liar.url).images()] == ["1.2.3"]


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_larger_than_a_series_can_be_is_not_read(liar: Liar, packed: bool, tmp_path: Path) -> None:
    """2^26 bytes, plain or packed into 65 kB, where 2^20 are allowed."""
    body = gzip.compress(bytes(2**26)) if packed else bytes(2**26)
    liar.respond = says(body, PARTS, **({"Content_Encoding": "gzip"} if packed else {}))
    pacs = Pacs(liar.url, largest_voxels=2**18)
    tracemalloc.start()
    try:
        for ask in (
            lambda: pacs.download("1.2.3", STUDY, tmp_path),
            lambda: pacs.forward("GET", "wado", "studies", "", b"", {}),
            pacs.images,
        ):
            with pytest.raises(UnavailableError, match="it has more than 1,048,576 bytes"):
                ask()
        assert tracemalloc.get_traced_memory()[1] < len(body) + 2**25
    finally:
        tracemalloc.stop()


def test_a_body_without_an_end_is_ended(liar: Liar, tmp_path: Path) -> None:
    liar.respond = goes_on(bytes(2**14), PARTS)
    with pytest.raises(UnavailableError, match="it has more than"):
        Pacs(liar.url, largest_voxels=2**18).download("1.2.3", STUDY, tmp_path)


def test_a_body_that_drips_is_not_waited_for(liar: Liar, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each drop takes ten seconds, after which the next one is still waited for."""
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_PROXY_TIMEOUT", 60.0)
    seconds = itertools.count(0, 10)
    monkeypatch.setattr(pacs_session, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    liar.respond = goes_on(b"x", PARTS, pause=0.02)
    with pytest.raises(UnavailableError, match=r"it brought .* bytes in 70 s"):
        Pacs(liar.url).download("1.2.3", STUDY, tmp_path)
    assert pacs_session.SLOWEST_BYTES_PER_SECOND == 1024


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"what", "multipart/related"),
        (b"what", PARTS),
        (b"<html>", "text/html"),
        (b"", PARTS),
        (b"\r\n--b\r\nno end of the header", PARTS),
        (parts(b"no DICOM"), PARTS),
        (parts(bytes(128) + b"DICM"), PARTS),
        (parts(bytes(128) + b"DICM" + b"\x08\x00\x60\x00CS\xff\xff"), PARTS),
        (b"[]", JSON),
    ],
)
def test_an_answer_that_is_no_series_is_one_line(liar: Liar, body: bytes, kind: str, tmp_path: Path) -> None:
    liar.respond = says(body, kind)
    with pytest.raises((UnavailableError, NotFoundError)) as caught:
        Pacs(liar.url).download("1.2.3", STUDY, tmp_path)
    assert "\n" not in str(caught.value)


def test_objects_of_another_series_are_not_taken(liar: Liar, tmp_path: Path) -> None:
    liar.respond = says(parts(*slices(tmp_path / "made")), PARTS)
    into = tmp_path / "into"
    into.mkdir()
    pacs = Pacs(liar.url)
    pacs.download(SERIES, STUDY, into)
    assert len(list(into.iterdir())) == 3
    with pytest.raises(UnavailableError, match=rf"sent an object of the series '{SERIES}', and was asked for 1\.2\.3"):
        pacs.download("1.2.3", STUDY, into)


def test_no_file_of_a_refused_series_is_kept(liar: Liar, tmp_path: Path) -> None:
    liar.respond = says(parts(*slices(tmp_path / "made", Rows=7)), PARTS)
    cache = SeriesCache(Pacs(liar.url), tmp_path / "cache")
    with pytest.raises(InvalidInputError, match="it holds 60 bytes of voxels, and says 70"):
        cache.volume(SERIES, STUDY)
    assert {path.name for path in cache.folder.iterdir()} <= {f".{SERIES}.lock"}


def test_a_deflated_bomb_is_not_unpacked(liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = pydicom.dcmread(io.BytesIO(slices(tmp_path / "made")[0]))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = bytes(2**26)
    packed = io.BytesIO()
    dataset.save_as(packed, write_like_original=False)
    liar.respond = says(parts(packed.getvalue()), PARTS)
    monkeypatch.setattr("activelabel.data.files.guard._largest", 2**20)
    with pytest.raises(ActiveLabelError, match="it unpacks to more than"):
        Pacs(liar.url).download(SERIES, STUDY, tmp_path)


def test_frames_fetched_one_by_one_make_the_same_series(
    liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_FETCH_BY_FRAME", True)
    objects = [pydicom.dcmread(io.BytesIO(one)) for one in slices(tmp_path / "made")]
    pixels = {str(one.SOPInstanceUID): one.PixelData for one in objects}
    metadata = []
    for one in objects:
        del one.PixelData
        metadata.append(one.to_json_dict())

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path.endswith("metadata"):
            once(*metadata)(handler)
            return
        uid = handler.path.split("/instances/")[1].split("/")[0]
        says(parts(pixels[uid]), 'multipart/related; type="application/octet-stream"; boundary=b')(handler)

    liar.respond = answer
    into = tmp_path / "into"
    into.mkdir()
    Pacs(liar.url).download(SERIES, STUDY, into)
    found = {one.SOPInstanceUID: one.PixelData for one in map(pydicom.dcmread, into.iterdir())}
    assert found == pixels
    pixels.popitem()  # One frame cannot be fetched, and the series is not accepted without it.
    with pytest.raises(UnavailableError):
        Pacs(liar.url).download(SERIES, STUDY, into)
