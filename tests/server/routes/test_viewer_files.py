"""OHIF comes compressed, and a browser that has a file does not get it again."""

import gzip
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from activelabel.server.routes.viewer import files
from activelabel.server.routes.viewer.files import FOLDER, Content, ViewerFiles, configuration, takes_gzip

HASHED = "app.bundle.af87d1dd396d277eac89.js"
GZIP = {"accept-encoding": "gzip, deflate, br"}
WAIT_SECONDS = 240


@pytest.fixture
def viewer(tmp_path: Path) -> ViewerFiles:
    folder = tmp_path / "viewer"
    (folder / "assets").mkdir(parents=True)
    for name in ("index.html", HASHED, "app.bundle.css", "assets/icon.png"):
        (folder / name).write_bytes(name.encode() * 100)
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    return ViewerFiles(folder)


def test_a_script_is_compressed_only_for_a_browser_that_takes_it(viewer: ViewerFiles) -> None:
    small, plain = viewer.content(HASHED).answer(GZIP), viewer.content(HASHED).answer({})
    assert small.headers["content-encoding"] == "gzip"
    assert gzip.decompress(bytes(small.body)) == plain.body == HASHED.encode() * 100
    assert len(small.body) < len(plain.body) == int(plain.headers["content-length"])
    assert "content-encoding" not in plain.headers
    assert small.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert small.headers["etag"] != plain.headers["etag"]
    assert small.media_type == "text/javascript"


def test_the_machine_does_not_say_what_the_viewers_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "get_mime_type", lambda name: "application/octet-stream")
    kinds = {
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
    assert {suffix: Content.of(f"a{suffix}", b"").kind for suffix in kinds} == kinds
    assert {file.suffix for file in FOLDER.rglob("*.*")} <= kinds.keys()
    assert Content.of("a.woff2", b"").kind == "application/octet-stream"  # as the machine says


def test_a_picture_is_sent_as_it_is(viewer: ViewerFiles) -> None:
    picture = viewer.content("assets/icon.png").answer(GZIP)
    assert picture.body == b"assets/icon.png" * 100
    assert picture.media_type == "image/png"
    assert "content-encoding" not in picture.headers


def test_only_a_file_that_is_named_by_its_content_is_kept_without_asking(viewer: ViewerFiles) -> None:
    kept = {name: viewer.content(name).answer(GZIP).headers["cache-control"] for name in (HASHED, "app.bundle.css", "")}
    assert kept == {
        HASHED: "private, max-age=31536000, immutable",
        "app.bundle.css": "private, no-cache",
        "": "private, no-cache",
    }
    gone = viewer.content("old.bundle.0123456789abcdef0123.js").answer(GZIP)  # of an earlier version
    assert gone.headers["cache-control"] == "private, no-cache"
    assert gone.media_type == "text/html"


def test_a_file_that_the_browser_has_is_not_sent_again_until_it_changes(viewer: ViewerFiles, tmp_path: Path) -> None:
    tag = viewer.content("app.bundle.css").answer(GZIP).headers["etag"]
    for asked in (tag, f"W/{tag}", f'"other", {tag}'):
        again = viewer.content("app.bundle.css").answer({**GZIP, "if-none-match": asked})
        assert (again.status_code, again.body, again.headers["etag"]) == (304, b"", tag)
    assert viewer.content("app.bundle.css").answer({"if-none-match": tag}).status_code == 200  # not in gzip
    file = tmp_path / "viewer" / "app.bundle.css"
    file.write_text("new", encoding="utf-8")
    os.utime(file, ns=(1, 1))
    anew = viewer.content("app.bundle.css").answer({"if-none-match": tag})
    assert (anew.status_code, anew.body) == (200, b"new")


def test_a_file_that_is_being_packed_holds_up_no_other_one_and_is_packed_once(
    viewer: ViewerFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed: list[str] = []
    begun, may_end = threading.Event(), threading.Event()
    compress = Content.of

    def slow(name: str, plain: bytes) -> Content:
        packed.append(name)
        if name == HASHED:
            begun.set()
            may_end.wait(WAIT_SECONDS)
        return compress(name, plain)

    monkeypatch.setattr(Content, "of", slow)
    with ThreadPoolExecutor(3) as pool:
        try:
            large = [pool.submit(viewer.content, HASHED) for _ in range(2)]
            assert begun.wait(WAIT_SECONDS)
            small = pool.submit(viewer.content, "app.bundle.css").result(WAIT_SECONDS / 2)
        finally:
            may_end.set()
        assert small.answer({}).body == b"app.bundle.css" * 100
        assert large[0].result(WAIT_SECONDS) is large[1].result(WAIT_SECONDS)
    assert sorted(packed) == [HASHED, "app.bundle.css"]


@pytest.mark.parametrize(
    "path", ["", "monai-label", "assets", "..", "../secret.txt", "/etc/passwd", "a\0b", "x" * 5000, "a/" * 3000]
)
def test_any_other_path_gives_the_page(viewer: ViewerFiles, path: str) -> None:
    assert viewer.content(path).answer({}).body == b"index.html" * 100


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("br", False),
        ("*", True),
        ("gzip; q=0, *", False),
        ("gzip;q=0.0", False),
        ("identity;q=1, *;q=0", False),
    ],
)
def test_gzip_is_sent_to_whom_takes_it(accepted: str, takes: bool) -> None:
    assert takes_gzip(accepted) is takes


def test_the_configuration_is_the_hosts_and_ours() -> None:
    body = configuration().answer({}).body
    assert bytes(body).startswith((FOLDER / "app-config.js").read_bytes())
    assert b"activelabel" in body


def test_most_of_the_installed_viewer_is_named_by_its_content() -> None:
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r'src="/ohif/(app\.bundle[^"]*\.js)"', page)
    assert scripts
    for script in scripts:
        answer = ViewerFiles().content(script).answer(GZIP)
        assert "immutable" in answer.headers["cache-control"]
        assert len(answer.body) < (FOLDER / script).stat().st_size / 4
