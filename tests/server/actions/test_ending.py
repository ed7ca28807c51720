"""The end of a server waits a little for its listing, and not at all if it is told to end again."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_studies import TINY_RECIPE, write_image

from activelabel.project.opening import open_project
from activelabel.server.actions import application
from activelabel.server.actions.application import Application
from activelabel.server.opening import open_datastore
from activelabel.server.project_tasks import build_tasks


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    studies = tmp_path / "studies"
    studies.mkdir()
    write_image(studies / "a.nii.gz")
    project = open_project("", str(studies), {"recipe": str(TINY_RECIPE), "labels": "ball,box", "device": "cpu"})
    datastore = open_datastore(project, str(studies), follow_changes=True)
    yield Application(project, str(studies), datastore, build_tasks(project), None)
    datastore.close()


@pytest.fixture
def closing(app: Application, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Make closing the datastore take until it is broken off; this event says that it was begun."""
    begun, broken_off = threading.Event(), threading.Event()
    close: Callable[[], None] = app.datastore.close

    def close_slowly() -> None:
        begun.set()
        assert broken_off.wait(120)
        close()

    monkeypatch.setattr(app.datastore, "close", close_slowly)
    monkeypatch.setattr(app.datastore, "break_off", broken_off.set)
    monkeypatch.setattr(application, "BREAK_OFF_SECONDS", 120.0)
    return begun


def test_the_listing_is_written_at_the_end(app: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "CLOSE_SECONDS", 120.0)
    app.datastore.update_image_info("a", {"note": "said last"})
    app.end()
    assert "said last" in (tmp_path / "studies" / "datastore_v2.json").read_text(encoding="utf-8")


def test_what_takes_long_is_broken_off(
    app: Application, closing: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "CLOSE_SECONDS", 0.05)
    app.end()
    assert closing.is_set()
    assert "closing" not in {thread.name for thread in threading.enumerate()}


def test_who_is_told_twice_ends_at_once(
    app: Application, closing: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "CLOSE_SECONDS", 120.0)
    first = threading.Thread(target=app.end)
    first.start()
    assert closing.wait(120)
    app.end()
    first.join(60)
    assert not first.is_alive()
