import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from monailabel.config import settings as host_settings

from activelabel.errors import ForbiddenError, NotFoundError, UnavailableError
from activelabel.server.pacs.client import Pacs, SeriesRefusedError

Answer = tuple[int, str, bytes]


class FakePacs:
    """A web server with preset answers that records its requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Callable[[str], Answer] = lambda path: (200, "application/dicom+json", b"[]")
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                fake.asked.append((self.command, self.path, headers, body))
                status, kind, content = fake.answer(self.path)
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # a client that gave up
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/dicom-web"


@pytest.fixture
def fake() -> Iterator[FakePacs]:
    pacs = FakePacs()
    yield pacs
    pacs.server.shutdown()
    pacs.server.server_close()


def listed(uid: str, **more: object) -> dict[str, object]:
    """Return a series as QIDO lists it."""
    tags: dict[str, object] = {
        "0020000E": {"vr": "UI", "Value": [uid]},
        "0020000D": {"vr": "UI", "Value": ["1.9"]},
        "00080060": {"vr": "CS", "Value": ["CT"]},
    }
    return {**tags, **more}


def pages(series: list[dict[str, object]], size: int) -> Callable[[str], Answer]:
    def answer(path: str) -> Answer:
        offset = int(parse_qs(urlsplit(path).query).get("offset", ["0"])[0])
        return 200, "application/dicom+json", json.dumps(series[offset : offset + size]).encode()

    return answer


def test_a_series_is_listed_with_what_viewers_read(fake: FakePacs) -> None:
    more = {
        "00100020": {"vr": "LO", "Value": ["P 7"]},
        "00080020": {"vr": "DA", "Value": ["20260102"]},
        "00201209": {"vr": "IS", "Value": [48]},
    }
    fake.answer = pages([listed("1.2.3", **more)], 10)
    (series,) = Pacs(fake.url).images({"Modality": "CT"})
    assert (series.uid, series.study_uid, series.instances) == ("1.2.3", "1.9", 48)
    assert series.info == {
        "Modality": "CT",
        "StudyDate": "20260102",
        "StudyTime": "UNK",
        "PatientID": "P 7",
        "StudyInstanceUID": "1.9",
        "SeriesInstanceUID": "1.2.3",
        "RetrieveURL": f"{fake.url}/studies/1.9/series/1.2.3",
    }
    assert "Modality=CT" in fake.asked[0][1]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_all_series_are_found_however_few_are_listed_at_a_time(fake: FakePacs, size: int) -> None:
    fake.answer = pages([listed(f"1.2.{number}") for number in range(7)], size)
    assert [series.uid for series in Pacs(fake.url).images()] == [f"1.2.{number}" for number in range(7)]


def test_a_pacs_that_knows_no_pages_is_asked_twice_and_not_for_ever(fake: FakePacs) -> None:
    everything = json.dumps([listed("1.2.3"), listed("1.2.4")]).encode()
    fake.answer = lambda path: (200, "application/dicom+json", everything)
    assert len(Pacs(fake.url).images()) == 2
    assert len(fake.asked) == 2


def test_a_series_whose_name_would_leave_a_folder_is_not_listed(fake: FakePacs) -> None:
    fake.answer = pages([listed("../../etc"), listed("1.2.3")], 10)
    assert [series.uid for series in Pacs(fake.url).images()] == ["1.2.3"]


def test_a_search_has_the_filters_of_the_request(fake: FakePacs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_settings, "MONAI_LABEL_QIDO_PREFIX", "qido")
    Pacs(fake.url).images({"Modality": "MR", "PatientID": "X"})
    address = urlsplit(fake.asked[0][1])
    assert address.path == "/dicom-web/qido/series"
    query = parse_qs(address.query)
    assert (query["Modality"], query["PatientID"]) == (["MR"], ["X"])


def test_a_pacs_that_does_not_answer_is_one_line() -> None:
    with pytest.raises(UnavailableError, match=r"the PACS http://127\.0\.0\.1:9/dicom-web cannot be reached"):
        Pacs("http://user:secret@127.0.0.1:9/dicom-web/").images()


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ((200, "text/html", b"<html>no PACS"), "is no DICOMweb service"),
        ((500, "text/plain", b"boom"), "answered 500 to a search: see its log"),
        ((401, "text/plain", b"who?"), "check MONAI_LABEL_DICOMWEB_USERNAME"),
        ((503, "text/plain", b"busy"), "answered 503"),
    ],
)
def test_wrong_answers_of_a_pacs_are_one_line(fake: FakePacs, answer: Answer, line: str) -> None:
    fake.answer = lambda path: answer
    with pytest.raises(UnavailableError, match=line):
        Pacs(fake.url).images()
    assert len(fake.asked) == 1  # and not again and again


def test_a_pacs_that_goes_silent_is_not_waited_for(fake: FakePacs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_PROXY_TIMEOUT", 0.2)
    released = threading.Event()

    def silent(path: str) -> Answer:
        released.wait(120)
        return 200, "application/dicom+json", b"[]"

    fake.answer = silent
    pacs = Pacs(fake.url)
    for ask in (pacs.images, lambda: pacs.forward("GET", "qido", "studies", "", b"", {})):
        with pytest.raises(UnavailableError, match="does not answer in time"):
            ask()
    released.set()


def test_login_data_are_sent_and_not_shown(fake: FakePacs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_USERNAME", "ann")
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_PASSWORD", "secret")
    pacs = Pacs(fake.url)
    pacs.images()
    assert fake.asked[0][2]["authorization"] == "Basic YW5uOnNlY3JldA=="
    assert "secret" not in pacs.address


def test_a_missing_series_is_not_found(fake: FakePacs, tmp_path: Path) -> None:
    pacs = Pacs(fake.url)
    with pytest.raises(NotFoundError, match=r"has no series 1\.2\.3"):
        pacs.study_of("1.2.3")
    fake.answer = lambda path: (404, "text/plain", b"")
    with pytest.raises(NotFoundError, match=r"does not know the series 1\.2\.3"):
        pacs.download("1.2.3", "1.9", tmp_path)


@pytest.mark.parametrize(
    ("status", "is_of_the_series"), [(500, True), (400, True), (406, True), (401, False), (503, False)]
)
def test_an_error_to_the_request_for_a_series_is_told_from_a_pacs_that_is_away(
    fake: FakePacs, tmp_path: Path, status: int, is_of_the_series: bool
) -> None:
    fake.answer = lambda path: (status, "text/plain", b"boom")
    with pytest.raises(UnavailableError, match=rf"answered {status} to the series 1\.2\.3") as error:
        Pacs(fake.url).download("1.2.3", "1.9", tmp_path)
    assert isinstance(error.value, SeriesRefusedError) is is_of_the_series


def test_a_viewers_request_is_passed_on_as_it_is(fake: FakePacs) -> None:
    fake.answer = lambda path: (418, "text/x-tea", b"pot")
    pacs = Pacs(fake.url)
    answer = pacs.forward("GET", "qido", "studies", "limit=3&PatientName=M%C3%BC*", b"", {"accept": "a/b"})
    assert (answer.status_code, answer.content) == (418, b"pot")
    assert fake.asked[0][:2] == ("GET", "/dicom-web/studies?limit=3&PatientName=M%C3%BC*")
    assert fake.asked[0][2]["accept"] == "a/b"
    pacs.forward("POST", "wado", "studies", "", b"--x", {"content-type": "multipart/related"})
    assert (fake.asked[1][0], fake.asked[1][1], fake.asked[1][3]) == ("POST", "/dicom-web/studies", b"--x")


def test_pixels_are_asked_for_as_they_are_and_lists_compressed(fake: FakePacs, tmp_path: Path) -> None:
    pacs = Pacs(fake.url)
    pacs.forward("GET", "wado", "studies/1/frames/1", "", b"", {"accept": "multipart/related; type=image/jls"})
    pacs.images()
    pacs.forward("GET", "wado", "studies/1/metadata", "", b"", {"accept": "application/dicom+json"})
    with pytest.raises(UnavailableError):
        pacs.download("1.2.3", "1.9", tmp_path)  # the answer is no series
    compression = ["gzip" in headers["accept-encoding"] for _, _, headers, _ in fake.asked]
    assert compression == [False, True, True, False]


def test_services_may_have_addresses_of_their_own(fake: FakePacs, monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("QIDO", "WADO", "STOW"):
        monkeypatch.setattr(host_settings, f"MONAI_LABEL_{service}_PREFIX", service.lower())
    pacs = Pacs(fake.url)
    for method, service, path in (
        ("GET", "qido", "studies"),
        ("GET", "wado", "studies/1"),
        ("GET", "qido", "studies/1/metadata"),  # OHIF asks the wrong service for it
        ("POST", "wado", "studies"),
        ("GET", "", "plain"),
    ):
        pacs.forward(method, service, path, "", b"", {})
    asked = [path for _, path, _, _ in fake.asked]
    expected = ["qido/studies", "wado/studies/1", "wado/studies/1/metadata", "stow/studies", "plain"]
    assert asked == [f"/dicom-web/{path}" for path in expected]


@pytest.mark.parametrize("path", ["../instances", "studies/../../tools/execute-script", "./x", ".."])
def test_a_viewer_cannot_leave_the_dicomweb_services(fake: FakePacs, path: str) -> None:
    with pytest.raises(ForbiddenError, match="leaves the DICOMweb services"):
        Pacs(fake.url).forward("GET", "", path, "", b"", {})
    assert fake.asked == []


def test_time_runs_out_for_a_download_too(fake: FakePacs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_settings, "MONAI_LABEL_DICOMWEB_PROXY_TIMEOUT", 0.2)
    released = threading.Event()

    def slow(path: str) -> Answer:
        released.wait(120)
        return 200, "multipart/related", b""

    fake.answer = slow
    with pytest.raises(UnavailableError, match="does not answer in time"):
        Pacs(fake.url).download("1.2.3", "1.9", tmp_path)
    released.set()
