"""The script that is added to OHIF, in a browser with stand-ins for OHIF's services."""

from collections.abc import Iterator
from importlib.resources import files

import pytest
from ohif_page import CHROMIUM, OPTIONS
from playwright.sync_api import Page, Route, sync_playwright

from activelabel.server.routes import viewer

pytestmark = pytest.mark.e2e

ADDRESS = "http://server.test"
STAND_INS = """
    window.notices = [];
    window.asked = [];
    window.config = { extensions: [] };
    class Notifications { show(notice) { window.notices.push(notice); return notices.length; } }
    window.notifications = new Notifications();
    window.notificationsOfTheTab = new Notifications();
    window.labelmap = { imageIds: [] };
    window.segmentations = { getSegmentation: () => ({ representationData: { Labelmap: labelmap } }) };
    window.commands = {
        storeSegmentation: { commandFn: async () => { asked.push([...labelmap.imageIds]); return 'the SEG'; } },
        downloadSegmentation: { commandFn: () => { asked.push([...labelmap.imageIds]); } },
    };
    window.commandsManager = {
        getCommand: name => commands[name],
        registerCommand: (context, name, command) => { commands[name] = command; },
    };
"""
ENTER = """() => {
    const [ours] = window.config.extensions;
    ours.preRegistration({ extensionManager: { getActiveDataSource: () => ['pacs'] } });
    const services = { uiNotificationService: notifications, segmentationService: segmentations };
    ours.onModeEnter({ servicesManager: { services }, commandsManager });
    ours.onModeEnter({ servicesManager: { services }, commandsManager });  // once for each study that is opened
}"""


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        page = browser.new_page()
        page.route(f"{ADDRESS}/**", answer)
        page.goto(f"{ADDRESS}/ohif/")
        page.evaluate(STAND_INS)
        page.evaluate((files(viewer) / "ohif.js").read_text(encoding="utf-8"))
        page.evaluate(ENTER)
        yield page
        browser.close()


def answer(route: Route) -> None:
    """Answer as a server without a model."""
    if "/infer/" in route.request.url:
        route.fulfill(status=409, json={"detail": "no model yet: label 4 cases"})
    elif route.request.url.endswith("/auth/token/valid"):
        route.fulfill(status=401, json={"detail": "the login has ended"})
    elif "/gone" in route.request.url:
        route.abort()
    else:
        route.fulfill(status=200, content_type="text/html", body="<html><head></head><body></body></html>")


def ask(page: Page, path: str, kind: str, *notices: tuple[str, str, str]) -> list[str]:
    """Send a request as the panel does, for an answer of this kind, then show notices, and return their text.

    The panel shows them as soon as the request has reached its last state.
    """
    shown = [{"title": title, "message": message, "type": type_} for title, message, type_ in notices]
    return list(
        page.evaluate(
            """([path, kind, shown]) => new Promise(done => {
            const request = new XMLHttpRequest();
            request.open('POST', path);
            request.responseType = kind;
            request.onreadystatechange = () => {
                if (request.readyState === 4) {
                    shown.forEach(notice => notificationsOfTheTab.show(notice));
                    done(notices.map(({ message }) => message));
                }
            };
            request.send('{}');
        })""",
            [path, kind, shown],
        )
    )


@pytest.mark.parametrize("kind", ["arraybuffer", "json", ""])
def test_the_servers_line_follows_what_the_panel_says_once(page: Page, kind: str) -> None:
    failed = ("MONAI Label - segmentation", "Failed to Run Segmentation", "error")
    assert ask(page, "/infer/segmentation", kind, failed, failed) == [
        "Failed to Run Segmentation: no model yet: label 4 cases",
        "Failed to Run Segmentation",
    ]


def test_a_server_that_does_not_answer_is_reported_as_gone(page: Page) -> None:
    shown = ask(page, "/gone", "json", ("MONAI Label", "Failed to Fetch Next Sample", "error"))
    assert shown == ["Failed to Fetch Next Sample: the server does not answer: does it run?"]


def test_other_notices_stay_as_they_are(page: Page) -> None:
    notices = [("MONAI Label", "Connecting", "info"), ("Measurements", "Failed", "error")]
    assert ask(page, "/infer/segmentation", "json", *notices) == ["Connecting", "Failed"]


@pytest.mark.parametrize("command", ["storeSegmentation", "downloadSegmentation"])
@pytest.mark.parametrize("order", [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]])
@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        ([1, 0, 0], [0, 1, 0], ["c", "b", "a"]),  # the normal points up, so the highest comes first
        ([-1, 0, 0], [0, 1, 0], ["a", "b", "c"]),
    ],
)
def test_a_seg_is_made_of_slices_in_the_order_of_its_frames(
    page: Page, command: str, order: list[str], rows: list[int], columns: list[int], expected: list[str]
) -> None:
    """Slices a, b and c lie 10, 20 and 30 mm up; afterwards their list is as before."""
    asked, afterwards = page.evaluate(
        """async ([command, order, rows, columns]) => {
            const heights = { 'image a': 10, 'image b': 20, 'image c': 30 };
            window.cornerstone = {
                cache: { getImage: id => ({ referencedImageId: `image ${id}` }) },
                metaData: { get: (kind, id) => kind === 'imagePlaneModule' && {
                    rowCosines: rows, columnCosines: columns, imagePositionPatient: [5, 7, heights[id]],
                } },
            };
            labelmap.imageIds = order;
            await commands[command].commandFn({ segmentationId: '1' });
            return [asked, labelmap.imageIds];
        }""",
        [command, order, rows, columns],
    )
    assert asked == [expected]
    assert afterwards == order


def test_a_reader_who_draws_counts_as_present_and_hears_that_their_login_has_ended(page: Page) -> None:
    """A moving mouse sends a request at most once in two minutes; an idle page sends none."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.mouse.click(5, 5)
    assert asked == [], "the page itself was asked for a moment ago"
    page.evaluate("() => { const now = performance.now(); performance.now = () => now + 121000; }")
    page.wait_for_timeout(300)
    assert asked == [], "nobody is there"
    for _ in range(3):
        page.mouse.click(5, 5)
        page.keyboard.press("a")
    page.wait_for_function("() => notices.length > 0")
    assert asked == [f"{ADDRESS}/auth/token/valid"]
    assert page.evaluate("() => notices.map(({ title, message }) => [title, message])") == [
        ["Login", "the login has ended"]
    ]
