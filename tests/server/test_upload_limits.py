"""Upload limits: bytes with and without a declared length, uploads at once, uploads a minute."""

import asyncio
import itertools
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, Request, UploadFile
from fastapi.testclient import TestClient
from login_fixtures import Clock
from starlette.types import Message, Receive, Scope, Send

from activelabel.project.settings import Settings
from activelabel.server import upload_limits
from activelabel.server.upload_limits import LARGEST_JSON_BYTES, UploadGuard, UploadLimits

MB = 2**20
FORM = {"content-type": "multipart/form-data; boundary=b"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waits() -> threading.Event:
    """The event that an upload to /slow waits for."""
    return threading.Event()


@pytest.fixture
def client(clock: Clock, waits: threading.Event) -> TestClient:
    app = FastAPI()

    @app.put("/file")
    def keep(file: UploadFile) -> int:
        return len(file.file.read())

    @app.post("/json")
    def read(params: dict[str, Any]) -> int:
        return len(params)

    @app.post("/proxy/dicom/studies")
    async def store(request: Request) -> int:
        return len(await request.body())

    @app.put("/slow")
    def slow(file: UploadFile) -> int:
        waits.wait(300)
        return 0

    guard = UploadGuard(app, UploadLimits(MB, at_once=2, per_minute=5), clock)
    return TestClient(guard, raise_server_exceptions=True)


def send(client: TestClient, size: int, path: str = "/file") -> tuple[int, Any]:
    answer = client.put(path, files={"file": ("label.nii.gz", bytes(size))})
    body = answer.json()
    return answer.status_code, body["detail"] if isinstance(body, dict) else body


def chunks(count: int, sent: list[int]) -> Iterator[bytes]:
    """Return a body in parts without a declared length."""
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    for number in range(count):
        sent.append(number)
        yield bytes(2**16)
    yield b"\r\n--b--\r\n"


def test_an_upload_within_the_limit_is_accepted(client: TestClient) -> None:
    assert send(client, MB - 1000) == (200, MB - 1000)


def test_an_upload_that_is_too_large_is_413_in_one_line(client: TestClient) -> None:
    status, line = send(client, MB)
    assert (status, line) == (
        413,
        "the request has more than the 1,048,576 bytes that may be sent here: compress the file (.nii.gz), or start "
        "the server with a larger --conf largest_upload_mb",
    )


def test_an_upload_that_is_too_large_and_has_no_length_is_413(client: TestClient) -> None:
    answer = client.put("/file", content=chunks(4, []), headers=FORM)
    assert (answer.status_code, answer.json()) == (200, 4 * 2**16)
    answer = client.put("/file", content=chunks(40, []), headers=FORM)
    assert (answer.status_code, answer.json()["detail"][:28]) == (413, "the request has more than th")


@pytest.mark.parametrize("path", ["/file", "/proxy/dicom/studies"])
def test_a_body_without_an_end_is_read_up_to_the_limit(path: str) -> None:
    """Once an endless body has passed the limit, no more of it is requested or held."""
    received = 0
    answered: list[Any] = []
    app = FastAPI()

    @app.api_route(path, methods=["PUT"])
    async def read(request: Request) -> int:
        return len(await request.body())

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 2**16
        return {"type": "http.request", "body": bytes(2**16), "more_body": True}

    async def note(message: Any) -> None:
        answered.append(message)

    scope = {"type": "http", "method": "PUT", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": [(b"transfer-encoding", b"chunked")], "client": ("127.0.0.1", 1), "server": ("x", 1)}
    tracemalloc.start()
    try:
        asyncio.run(UploadGuard(app, UploadLimits(MB, 2, 5))(scope, receive, note))
        assert tracemalloc.get_traced_memory()[1] < 16 * MB
    finally:
        tracemalloc.stop()
    assert [message.get("status") for message in answered] == [413, None]
    assert received == MB + 2**16


def test_params_have_a_small_limit_of_their_own(client: TestClient) -> None:
    assert client.post("/json", json={"a": "x" * 1000}).json() == 1
    answer = client.post("/json", json={"a": "x" * LARGEST_JSON_BYTES})
    assert answer.status_code == 413


def test_a_malformed_length_and_one_of_many_digits_do_no_harm(client: TestClient) -> None:
    answer = client.put("/file", content=b"x", headers={**FORM, "content-length": "9" * 30})
    assert answer.status_code == 413


def test_more_uploads_at_once_than_may_are_429(client: TestClient, waits: threading.Event) -> None:
    with ThreadPoolExecutor(2) as threads, client:
        running = [threads.submit(send, client, 10, "/slow") for _ in range(2)]
        while client.app._now_running < 2:  # type: ignore[attr-defined]
            time.sleep(0.01)
        status, line = send(client, 10)
        assert status == 429
        assert line.startswith("2 uploads are running, as many as may at once (--conf uploads_at_once)")
        assert client.post("/json", json={}).status_code == 200  # requests without an upload are answered
        waits.set()
        assert [upload.result()[0] for upload in running] == [200, 200]
    assert send(client, 10)[0] == 200


def test_more_uploads_a_minute_than_may_are_429(client: TestClient, clock: Clock) -> None:
    assert [send(client, 10)[0] for _ in range(5)] == [200] * 5
    clock.now += 59
    status, line = send(client, 10)
    assert status == 429
    assert line.startswith("5 uploads came from here within a minute")
    assert client.post("/json", json={}).status_code == 200
    clock.now += 1
    assert [send(client, 10)[0] for _ in range(6)] == [200] * 5 + [429]


def test_addresses_that_were_seen_once_are_forgotten(clock: Clock) -> None:
    guard = UploadGuard(FastAPI(), UploadLimits(MB, 2, 5), clock)
    for number in range(100):
        clock.now += 1
        assert guard._refusal(f"10.0.0.{number}") is None
    assert len(guard._begun) <= 60


def test_a_label_of_a_large_ct_fits_by_default() -> None:
    """512 x 512 x 2000 voxels of two bytes, not compressed; ten annotators who send at once; ten labels a second."""
    settings = Settings()
    assert settings.largest_upload_mb * MB > 512 * 512 * 2000 * 2
    assert settings.uploads_at_once >= 10
    assert settings.uploads_per_minute >= 600


@pytest.mark.parametrize("between", [0.02, 60.0], ids=["drop by drop", "not at all"])
def test_a_body_that_comes_too_slowly_is_408_and_its_turn_is_free_again(
    between: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen such clients would otherwise keep all others from sending anything."""
    monkeypatch.setattr(upload_limits, "PATIENCE_SECONDS", 0.2)
    answered: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(between)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass

    async def note(message: Message) -> None:
        answered.append(message)

    scope = {
        "type": "http", "method": "PUT", "path": "/file",
        "headers": [(b"content-length", b"1000"), (b"content-type", b"application/octet-stream")],
    }  # fmt: skip
    guard = UploadGuard(app, UploadLimits(MB, 1, 5))
    asyncio.run(guard(scope, receive, note))
    assert answered[0]["status"] == 408
    assert (b"connection", b"close") in answered[0]["headers"]
    assert answered[1]["body"].startswith(b'{"detail": "the request came too slowly (')
    assert guard._now_running == 0


def test_a_body_may_come_slowly_as_long_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten parts of 64 KiB, each of which takes 50 s: 1311 bytes a second, and 500 s in all."""
    seconds = itertools.count(0, 50)
    monkeypatch.setattr(upload_limits, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    parts = [{"type": "http.request", "body": b"x" * 2**16, "more_body": number < 9} for number in range(10)]
    got: list[int] = []

    async def receive() -> Message:
        return parts.pop(0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            got.append(len(message["body"]))
            more = message["more_body"]

    async def nothing(message: Message) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "PUT", "path": "/file", "headers": [(b"content-length", b"655360")]}
    guard = UploadGuard(app, UploadLimits(MB, 1, 5), clock=lambda: 0.0)
    asyncio.run(guard(scope, receive, nothing))
    assert got == [2**16] * 10
