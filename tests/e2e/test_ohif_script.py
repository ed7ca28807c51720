"""The script that is added to OHIF, in a browser with stand-ins for OHIF's services."""

from collections.abc import Iterator
from importlib.resources import files

import pytest
from contrast import faint, without_ring
from ohif_page import CHROMIUM, OPTIONS, PATIENCE_MS, STROKES
from playwright.sync_api import Page, sync_playwright

from activelabel.server.routes import viewer

pytestmark = pytest.mark.e2e

ADDRESS = "http://server.test"
EMPTY = "<html><head></head><body></body></html>"
STAND_INS = """
    window.notices = [];
    window.asked = [];
    window.config = { extensions: [], modes: [] };
    class Notifications { show(notice) { window.notices.push(notice); return notices.length; } }
    window.notifications = new Notifications();
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


# Strokes of eight days ago and of six: heads have the times, slices none.
KEEP = """() => new Promise((resolve, reject) => {
    const request = indexedDB.open('activelabel');
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
        const transaction = request.result.transaction('strokes', 'readwrite');
        const store = transaction.objectStore('strokes');
        for (const days of [8, 6]) {
            const place = ['ann', 'image', `page of ${days} days ago`, 1];
            store.put({ place, at: Date.now() - days * 24 * 3600 * 1000, labels: [], digests: [] }, [...place, -1]);
            store.put({ start: 0, values: Uint8Array.of(1) }, [...place, 0]);
        }
        transaction.oncomplete = () => { request.result.close(); resolve(); };
    };
})"""
PAGES_KEPT = f"async () => (await {STROKES}).map(([key]) => key[2])"
# What an earlier version has kept of two readers, of whom one has no name; it knew no projects.
KEEP_AS_BEFORE = """() => new Promise((resolve, reject) => {
    indexedDB.deleteDatabase('activelabel').onerror = reject;  // what comes next waits for it
    const request = indexedDB.open('activelabel', 2);
    request.onupgradeneeded = () => {
        const store = request.result.createObjectStore('strokes');
        store.createIndex('at', 'at');
        for (const reader of ['ann', '']) {
            const place = [reader, 'image', 'page', 1];
            store.put({ place, at: Date.now(), labels: ['ball'], digests: ['7'] }, [...place, -1]);
            store.put({ start: 4, values: Uint8Array.of(1, 0) }, [...place, 4]);
        }
        store.put({ start: 0, values: Uint8Array.of(1) }, ['ann', 'image', 'page', 2, 0]);  // without a head
        store.put('something else', 'key');
    };
    request.onerror = () => reject(request.error);
    request.onsuccess = () => { request.result.close(); resolve(); };
})"""

# The disk refuses one record: a request fails as it does in the browser itself, since there is one of that key.
REFUSE = """refused => {
    const put = IDBObjectStore.prototype.put;
    window.refused = 0;
    IDBObjectStore.prototype.put = function (one, key) {
        if (JSON.stringify(key) !== JSON.stringify(refused)) return put.call(this, one, key);
        window.refused++;
        put.call(this, 1, 'there');
        const request = this.add(one, 'there');
        this.delete('there');
        return request;
    };
}"""


def load(page: Page) -> None:
    """Load the script in a new page."""
    page.goto(f"{ADDRESS}/ohif/")
    page.evaluate(STAND_INS)
    page.evaluate((files(viewer) / "ohif.js").read_text(encoding="utf-8"))


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS, timeout=PATIENCE_MS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.route(f"{ADDRESS}/**", lambda route: route.fulfill(content_type="text/html", body=EMPTY))
        load(page)
        page.evaluate(ENTER)
        yield page
        browser.close()


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


def test_strokes_of_more_than_a_week_ago_are_removed_by_a_page_in_which_no_case_is_opened(page: Page) -> None:
    page.evaluate(KEEP)
    load(page)
    page.wait_for_function(f"async () => (await ({PAGES_KEPT})()).length < 4")
    assert page.evaluate(PAGES_KEPT) == ["page of 6 days ago"] * 2


def test_strokes_that_an_earlier_version_has_kept_move_to_places_of_an_unknown_project(page: Page) -> None:
    page.goto(f"{ADDRESS}/ohif/")  # the script is not there yet, and has nothing open
    page.evaluate(KEEP_AS_BEFORE)
    load(page)
    page.wait_for_function("async () => (await indexedDB.databases())[0].version === 3")
    moved = [["", "", "image", "page", 1], ["", "ann", "image", "page", 1]]
    kept = page.evaluate(f"async () => (await {STROKES}).map(([key, one]) => [key, one.place ?? [...one.values]])")
    assert kept == [row for place in moved for row in ([[*place, -1], place], [[*place, 4], [1, 0]])]


@pytest.mark.parametrize(("start", "left"), [(-1, []), (4, [-1])])
def test_a_record_that_cannot_be_moved_is_left_out_and_holds_up_no_other(
    page: Page, start: int, left: list[int]
) -> None:
    """Without its head, what an opening has kept is left out."""
    page.goto(f"{ADDRESS}/ohif/")
    page.evaluate(KEEP_AS_BEFORE)
    page.evaluate(REFUSE, ["", "ann", "image", "page", 1, start])
    page.evaluate(STAND_INS)
    page.evaluate((files(viewer) / "ohif.js").read_text(encoding="utf-8"))
    page.wait_for_function("async () => (await indexedDB.databases())[0].version === 3")
    keys = page.evaluate(f"async () => (await {STROKES}).map(([key]) => key)")
    assert page.evaluate("refused") == 1
    other = [["", "", "image", "page", 1, place] for place in (-1, 4)]
    assert keys == [*other, *(["", "ann", "image", "page", 1, place] for place in left)]


def test_contrast_is_that_of_the_colours_on_the_screen(page: Page) -> None:
    """The values are those of WCAG: half of black on white is a grey of 0.5, and a fifth of it one of 0.8."""
    page.set_content("""<body style="background: white"><style>button:focus { outline: none }</style>
        <p style="color: #767676">enough</p> <p style="color: #777777">too little</p>
        <p style="color: #777777; font-size: 24px">large</p> <p style="color: #777777; display: none">hidden</p>
        <p style="opacity: 0.5">half</p> <p style="background: rgb(0 0 0 / 20%); color: white">on a fifth</p>
        <button>without</button> <a href="/">with</a>""")
    assert faint(page) == ["too little: 4.48 < 4.5", "half: 3.98 < 4.5", "on a fifth: 1.61 < 4.5"]
    (line,) = without_ring(page)
    assert line.startswith("without: none")
