"""A reader in OHIF on a slow line, whose network, browser and page fail: nothing drawn is lost or sent twice."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from ohif_page import PATIENCE_MS, OhifPage
from playwright.sync_api import Route
from running_server import RunningServer

from local_pacs.ct_series import ct_series
from local_pacs.orthanc import Orthanc

pytestmark = pytest.mark.e2e

TINY = Path(__file__).parents[1] / "support" / "tiny.toml"
CASES = 4
READER = "Dr. Jörg Ott"
SAVES = "**/datastore/label?*"
ANSWER_SECONDS = 60


@pytest.fixture
def patients(blobs: Callable[[int], Any], orthanc: Orthanc) -> Any:
    cases = blobs(CASES)
    for number, image in enumerate(sorted(cases.studies.iterdir())):
        orthanc.store(ct_series(image, image.name.split(".")[0], datetime.datetime(2026, 5, 6, 7, number)))
    return cases


@pytest.fixture
def server(make_server: Callable[..., RunningServer], orthanc: Orthanc, patients: Any, tmp_path: Path) -> RunningServer:
    places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(tmp_path)}
    conf = {"recipe": TINY, "labels": "ball", "seed": 1, "autopilot": "false", "project_dir": tmp_path / "project"}
    return make_server(orthanc.dicom_web, places, **conf).start()


def test_nothing_drawn_is_lost_whatever_fails(
    server: RunningServer, make_ohif: Callable[..., OhifPage], tmp_path: Path
) -> None:
    ohif = make_ohif(server.address, tmp_path / "profile")
    studies = requests.get(f"{server.address}/proxy/dicom/qido/studies?limit=1", timeout=ANSWER_SECONDS).json()
    ohif.open(str(studies[0]["0020000D"]["Value"][0]))
    ohif.slow_down(latency_ms=300, mbit_per_second=2)  # OHIF's own 20 MB, which no test needs to wait for, are there
    ohif.give_name(READER)
    case = ohif.next_case()

    drawing = draw_and_kill_the_browser(ohif)
    ohif = make_ohif(server.address, tmp_path / "profile")
    ohif.open(case["StudyInstanceUID"])
    ohif.be(READER)
    see_it_again(ohif, case, drawing)
    drawn_slices = ohif.drawn_slices()
    ohif.press("Control+z")
    ohif.wait_for_drawn([])  # what is there again is one step
    ohif.press("Control+y")
    ohif.wait_for_drawn(drawn_slices)

    drawing = load_the_page_anew(ohif, case)
    assert ohif.drawing() == drawing
    fail_between(ohif)
    fail_to_be_heard(server, ohif, case)
    assert requests.get(f"{server.address}/info/", timeout=ANSWER_SECONDS).json()["cases"]["drafts"] == []
    assert ohif.problems == []


def draw_and_kill_the_browser(ohif: OhifPage) -> list[int]:
    """Draw, and kill the browser before a draft is kept. Return the drawing."""
    ohif.paint(slices=2)
    drawing = ohif.drawing()
    ohif.wait_for_text("Not saved yet")
    ohif.wait_until_kept()
    ohif.kill()
    return drawing


def see_it_again(ohif: OhifPage, case: dict[str, Any], drawing: list[int]) -> None:
    """Check that the case opens by itself, with what was drawn."""
    ohif.wait_for_case(case["id"])
    ohif.wait_for_text("What you drew last, before the page ended, is there again; Undo takes it back.")
    assert ohif.drawing() == drawing
    assert ohif.warns_before_leaving()


def load_the_page_anew(ohif: OhifPage, case: dict[str, Any]) -> list[int]:
    """Draw once more, load the page anew before a draft is kept, and return the drawing."""
    ohif.paint(slices=3)
    drawing = ohif.drawing()
    ohif.wait_until_kept()
    ohif.load_anew()
    see_it_again(ohif, case, drawing)
    return drawing


def fail_between(ohif: OhifPage) -> None:
    """Save while a proxy answers for the server, and while there is no network: the drawing stays."""
    page = "<html>502 Bad Gateway</html>"
    ohif.page.route(SAVES, lambda route: route.fulfill(status=502, content_type="text/html", body=page))
    ohif.press_save()
    ohif.wait_for_text("the server does not answer: is it running?")
    ohif.page.unroute(SAVES)
    ohif.wait_for_text("The server answers again. What is drawn here is still there.")
    ohif.page.context.set_offline(True)
    ohif.press_save()
    ohif.wait_for_text("the server does not answer: is it running?")
    assert ohif.warns_before_leaving()
    ohif.page.context.set_offline(False)
    ohif.wait_for_text("The server answers again. What is drawn here is still there.")


def fail_to_be_heard(server: RunningServer, ohif: OhifPage, case: dict[str, Any]) -> None:
    """Lose the answer to a label that the server has kept: pressing again asks nothing, and makes no second version."""

    def lose_the_answer(route: Route) -> None:
        route.fetch(timeout=PATIENCE_MS)
        route.abort()

    ohif.page.route(SAVES, lose_the_answer)
    ohif.press_save()
    ohif.wait_for_text("the server does not answer: is it running?")
    assert server.progress()["annotated"] == 1
    ohif.page.unroute(SAVES)
    ohif.wait_for_text("The server answers again. What is drawn here is still there.")
    ohif.take_clicks()
    following = ohif.save_and_next()
    assert ohif.take_clicks() == 1
    assert following["id"] != case["id"]
    place = {"label": case["id"], "tag": "final"}
    info = requests.get(f"{server.address}/datastore/label/info", place, timeout=ANSWER_SECONDS).json()
    assert (info["version"], info["client_id"]) == (1, READER)
