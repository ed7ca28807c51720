"""OHIF in a headless browser, used as an annotator uses it: through its visible controls."""

import contextlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright
from playwright.sync_api import TimeoutError as TooSlowError

CHROMIUM = "/usr/bin/chromium"
# Chromium refuses to run as root in its sandbox, and draws WebGL without a graphics card only when told to. The page
# itself is not drawn in that way: put together 60 times a second, it would take a third of a processor.
OPTIONS = [
    "--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing", "--disable-gpu-rasterization",
]  # fmt: skip
PATIENCE_MS = 120_000
MENU_MS = 500
TRIES_OF_A_MENU = 10
DAB_MS = 100

_SEES_IMAGE = """() => {
    const canvas = document.querySelector('canvas.cornerstone-canvas');
    if (!canvas || !canvas.width) return false;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let grey = 0;
    for (let at = 0; at < pixels.length; at += 4) grey += pixels[at] > 40;
    return grey > 1000;
}"""
_COLOURED = """() => {
    const canvas = document.querySelector('canvas.cornerstone-canvas');
    if (!canvas || !canvas.width) return 0;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let coloured = 0;
    for (let at = 0; at < pixels.length; at += 4) {
        const channels = [pixels[at], pixels[at + 1], pixels[at + 2]];
        coloured += Math.max(...channels) - Math.min(...channels) > 30;
    }
    return coloured;
}"""
# OHIF has no services yet while its scripts still load.
_VOLUME = """(() => {
    const service = window.services?.segmentationService;
    const [drawing] = service?.getSegmentations() ?? [];
    return drawing && service.getLabelmapVolume(drawing.segmentationId);
})()"""
_DRAWING = f"() => [...({_VOLUME}?.voxelManager.getCompleteScalarDataArray() ?? [])]"
_DRAWN_SLICES = f"""() => {{
    const volume = {_VOLUME};
    if (!volume) return [];
    const [columns, rows, slices] = volume.dimensions;
    const values = volume.voxelManager.getCompleteScalarDataArray();
    return [...Array(slices).keys()].filter(
        slice => values.slice(slice * columns * rows, (slice + 1) * columns * rows).some(value => value));
}}"""
# The place in the stored image of a slice that is shown as `(9/16)`: OHIF counts from the head.
_PLACE = "shown => (([number, count]) => count - number)(shown.match(/[0-9]+/g))"
# What the browser's own database holds: nothing before the panel has made it, which a look must not do.
STROKES = """new Promise((resolve, reject) => {
    const request = indexedDB.open('activelabel');
    request.onupgradeneeded = () => request.transaction.abort();
    request.onerror = () => request.error.name === 'AbortError' ? resolve([]) : reject(request.error);
    request.onsuccess = () => {
        const found = [], database = request.result;
        try {
            const reading = database.transaction('strokes');
            reading.objectStore('strokes').openCursor().onsuccess = ({ target: { result: cursor } }) => {
                if (cursor) {
                    found.push([cursor.key, cursor.value]);
                    cursor.continue();
                }
            };
            reading.oncomplete = () => resolve(found);
            reading.onabort = () => reject(reading.error);
        } catch (error) {
            reject(error);
        }
        database.close();  // once what was begun has ended
    };
})"""
"""Keys and values, in the order of the keys."""
# Whether something is drawn, and each slice of it lies in the browser's own database as it is now.
_IS_KEPT = f"""async () => {{
    const kept = (await {STROKES}).map(([, one]) => one), drawn = ({_DRAWN_SLICES})();
    const volume = {_VOLUME}, size = volume.dimensions[0] * volume.dimensions[1];
    const values = volume.voxelManager.getCompleteScalarDataArray();
    return drawn.length > 0 && drawn.every(slice => kept.some(({{ start, values: one }}) =>
        start === slice * size && one.every((value, at) => value === values[start + at])));
}}"""
_HAS_DRAWING = """image => window.services?.segmentationService?.getSegmentations().some(
    one => one.segmentationId.endsWith(image))"""
# How many pixels of the map over the first view can be seen; nothing before there are any.
_SHOWN_MAP = """() => {
    const canvas = document.querySelector('canvas.activelabel-uncertainty');
    if (!canvas || canvas.hidden || !canvas.width) return 0;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.filter((value, at) => at % 4 === 3 && value > 0).length;
}"""
_ASK = re.compile("Next case|Open it")
# Counts what an annotator presses anywhere but in the image.
_COUNT_CLICKS = """
    window.clicks = 0;
    window.addEventListener('pointerdown', event => {
        window.clicks += !event.target.closest('[data-viewport-uid], .cornerstone-canvas');
    }, true);
"""


class OhifPage:
    """OHIF's MONAI Label mode at a server's address.

    Attributes:
        problems: errors of the page itself, in the order in which they came.
    """

    def __init__(self, playwright: Playwright, address: str, profile: Path | None = None) -> None:
        """Open a browser, which keeps what it knows in the folder `profile`, or forgets it."""
        launch = playwright.chromium
        looks: dict[str, Any] = {"viewport": {"width": 1600, "height": 900}, "ignore_https_errors": True}
        start: dict[str, Any] = {"executable_path": CHROMIUM, "args": OPTIONS, "timeout": PATIENCE_MS}
        self._profile = profile
        self._browser: Browser | BrowserContext
        if profile is None:
            self._browser = launch.launch(**start)
            self.page: Page = self._browser.new_page(**looks)
        else:
            self._browser = launch.launch_persistent_context(profile, **start, **looks)
            self.page = self._browser.new_page()
        self._address = address
        self.problems: list[str] = []
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.add_init_script(_COUNT_CLICKS)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: dialog.accept())

    def open(self, study_uid: str) -> None:
        """Open a study, and wait until its image is drawn."""
        self.page.goto(f"{self._address}/ohif/monai-label?StudyInstanceUIDs={study_uid}")
        self.wait_for_image()
        notice = self.page.get_by_role("button", name="Confirm and Hide")
        if notice.is_visible():
            notice.click()

    def load_anew(self) -> None:
        """Load the page anew, as F5 does, and wait until its image is drawn."""
        self.page.reload()
        self.wait_for_image()

    def wait_for_image(self) -> None:
        """Wait for the image; the first one may take half a minute."""
        self.page.wait_for_function(_SEES_IMAGE)

    def next_case(self) -> dict[str, Any]:
        """Ask for a case, wait until it is open, and return the server's answer."""
        return self._case_after(lambda: self._panel.get_by_role("button", name=_ASK).click())

    def save_and_next(self) -> dict[str, Any]:
        """Save the drawing, wait until the next case is open, and return the server's answer."""
        return self._case_after(self.press_save)

    def give_name(self, name: str) -> None:
        """Say who annotates."""
        field = self._panel.get_by_label("Your name")
        field.fill(name)
        field.press("Enter")

    def be(self, name: str) -> None:
        """Say who annotates, unless the browser knows it: Chromium writes a cookie to the disk after up to 30 s."""
        self._panel.get_by_text(re.compile(f"Ask for a case|You are {name}")).first.wait_for()
        if self._panel.get_by_label("Your name").is_visible() and self.name() != name:
            self.give_name(name)

    def name(self) -> str:
        """Return the name that the panel shows in its field."""
        return self._panel.get_by_label("Your name").input_value()

    def unfold(self, part: str) -> str:
        """Open a part of the panel, and return its text once there is some."""
        self._panel.get_by_role("button", name=part, exact=True).click()
        folded = self._panel.locator(".al-folded")
        folded.locator("p:visible").first.wait_for()
        return folded.inner_text()

    def skip(self, kind: str, reason: str) -> dict[str, Any]:
        """Skip the case, wait until the next one is open, and return the server's answer."""
        self._panel.get_by_role("button", name="Skip").click()
        self._panel.get_by_label("Reason").fill(reason)
        return self._case_after(lambda: self._panel.get_by_role("button", name=kind).click())

    def _case_after(self, press: Callable[[], None]) -> dict[str, Any]:
        with self.page.expect_response("**/activelearning/*") as answer:
            press()
        sample = dict(answer.value.json())
        if sample:
            self.wait_for_case(sample["id"])
        return sample

    def press_save(self) -> None:
        """Press *Save and next*."""
        self.press_button("Save and next")

    def press_button(self, name: str) -> None:
        """Press a button of the panel."""
        self._panel.get_by_role("button", name=name).click()

    def save_and_next_by_keys(self) -> dict[str, Any]:
        """Save the drawing without a mouse, wait until the next case is open, and return the server's answer."""
        self._reach("Save and next")
        return self._case_after(lambda: self.press("Space"))

    def open_and_close_by_keys(self, part: str, field: str | None = None) -> None:
        """Open a part of the panel by its button, and close it by Escape: the button has the focus again."""
        button = self._reach(part)
        self.press("Space")
        self._panel.locator("button[aria-expanded=true]", has_text=part).wait_for()
        if field is not None:
            self._panel.get_by_label(field).press_sequentially("wz[")  # letters, which are no commands here
            assert self._panel.get_by_label(field).input_value() == "wz["
        self.press("Escape")
        self._panel.locator("button[aria-expanded=false]:focus", has_text=part).wait_for()
        assert button.is_visible()

    def _reach(self, name: str) -> Locator:
        """Put the focus on a button as the Tab key does, which the browser tells from a press of the mouse."""
        button = self._panel.get_by_role("button", name=name)
        button.focus()
        self.press("Tab")
        self.press("Shift+Tab")
        return button

    def take_for_review(self) -> None:
        """Take the next label for review, and wait until it is shown."""
        self.press_button("Take the next label")
        self._panel.locator("button:enabled", has_text="Let go").wait_for()

    def see_reading(self, name: str) -> list[int]:
        """Show one of two readings by its button, wait until it is there, and return it."""
        self.press_button(name)
        self._panel.locator("button[aria-pressed=true]", has_text=name).wait_for()
        return self.drawing()

    def wait_for_drawn(self, slices: Sequence[int]) -> None:
        """Wait until just these slices of the stored image are drawn on."""
        self.page.wait_for_function(f"slices => ({_DRAWN_SLICES})().join() === slices.join()", arg=list(slices))

    def wait_until_kept(self) -> None:
        """Wait until the browser's disk has all that is drawn: it may be slow."""
        self.page.wait_for_function(_IS_KEPT)

    def wait_for_colours(self, pixels: int) -> None:
        """Wait until more than so many pixels of the first view are not grey."""
        self.page.wait_for_function(f"pixels => ({_COLOURED})() > pixels", arg=pixels)

    def wait_for_case(self, image: str) -> None:
        """Wait until a case can be drawn on."""
        self.page.wait_for_function(_HAS_DRAWING, arg=image)
        self._panel.locator("button:enabled", has_text="Save and next").wait_for()
        self.wait_for_image()

    def shown_text(self) -> str:
        """Return the text of the panel."""
        return self._panel.inner_text()

    def wait_for_text(self, text: str) -> None:
        """Wait until the panel shows a text."""
        self._panel.get_by_text(text).wait_for()

    def take_clicks(self) -> int:
        """Return how often something was pressed outside the image since the last call."""
        return int(self.page.evaluate("() => { const count = clicks; clicks = 0; return count; }"))

    def leave(self) -> None:
        """Go back to the list of studies, within the page."""
        self.page.click("[data-cy=return-to-work-list]")
        self.page.get_by_text("Study List").first.wait_for()

    @property
    def _panel(self) -> Locator:
        return self.page.locator("section.activelabel")

    def scroll(self, slices: int) -> None:
        """Scroll by this number of slices in the axial view, towards the feet; towards the head if it is negative."""
        box = self.page.locator("canvas.cornerstone-canvas").first.bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        for _ in range(abs(slices)):
            before = self.number()
            self.page.mouse.wheel(0, 100 if slices > 0 else -100)
            self.page.wait_for_function("before => !document.body.innerText.includes(before)", arg=before)

    def number(self) -> str:
        """Return the slice number that the axial view shows, as `(9/16)`."""
        shown = self.page.locator("[data-cy=viewport-overlay-bottom-right]").first.inner_text()  # I: 9 (9/16)
        return f"({shown.split('(')[1]}"

    def paint(self, slices: int = 1) -> list[int]:
        """Draw a dot in the middle of the axial view, or on several slices around the one that is shown.

        Return the indices of all drawn slices in the stored image.
        """
        box = self.page.locator("canvas.cornerstone-canvas").first.bounding_box()
        assert box is not None
        self.scroll(-(slices // 2))
        for place in range(slices):
            if place:
                self.scroll(1)
            self._dab(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            self.page.wait_for_function(f"shown => ({_DRAWN_SLICES})().includes(({_PLACE})(shown))", arg=self.number())
        self.wait_for_colours(0)
        return self.drawn_slices()

    def _dab(self, x: float, y: float) -> None:
        """Draw a dot by a stroke of a few pixels: the viewer waits 400 ms whether a click becomes a double click."""
        self.page.mouse.move(x - 3, y)
        self.page.mouse.down()
        self.page.mouse.move(x + 3, y, steps=3)
        self.page.mouse.up()
        self.page.wait_for_timeout(DAB_MS)

    def drawing(self) -> list[int]:
        """Return the values of the drawing in the order of the stored image."""
        return list(self.page.evaluate(_DRAWING))

    def drawn_slices(self) -> list[int]:
        """Return the indices of the slices on which something is drawn."""
        return list(self.page.evaluate(_DRAWN_SLICES))

    def press(self, keys: str) -> None:
        """Press keys on the page."""
        self.page.keyboard.press(keys)

    def warns_before_leaving(self) -> bool:
        """Tell whether the browser would ask before the page is left."""
        event = "new Event('beforeunload', {cancelable: true})"
        return not self.page.evaluate(f"() => window.dispatchEvent({event})")

    def show_uncertainty(self, opacity: float) -> int:
        """Move the slider, and return how many pixels of the map are shown in the first view."""
        self._panel.get_by_label("Uncertainty").fill(str(opacity))
        shown = self.page.wait_for_function(_SHOWN_MAP)
        return int(shown.json_value())

    def rename_segment(self, name: str) -> None:
        """Give the first segment another name."""
        self.page.evaluate(
            "name => services.segmentationService.setSegmentLabel("
            "services.segmentationService.getSegmentations()[0].segmentationId, 1, name)",
            name,
        )

    def export(self, outcome: str) -> None:
        """Export a DICOM SEG, and wait until the viewer shows this text about the outcome."""
        name = self.page.locator("xpath=//button[@role='combobox'][contains(., 'Structures')]")
        save = self.page.get_by_role("button", name="Save", exact=True)
        menu = self.page.get_by_role("menuitem")
        for _ in range(TRIES_OF_A_MENU):  # a menu that is drawn anew meanwhile swallows what is pressed
            name.locator("xpath=preceding::button[@aria-haspopup='menu'][1]").click()
            with contextlib.suppress(TooSlowError):
                menu.filter(has_text="Export & Download").press("ArrowRight", timeout=10_000)
                menu.filter(has_text="Export DICOM SEG").press("Enter", timeout=10_000)
                save.wait_for(timeout=30_000)
                break
            while menu.count():  # first the inner menu, then the outer one
                self.page.keyboard.press("Escape")
                self.page.wait_for_timeout(MENU_MS)
        save.click()
        self.page.get_by_text(outcome).wait_for()

    def picture(self, path: Path) -> None:
        """Save a screenshot."""
        self.page.screenshot(path=path)

    def slow_down(self, latency_ms: float, mbit_per_second: float) -> None:
        """Make the network of the page as slow as a line may be."""
        speed = mbit_per_second * 1e6 / 8
        devtools = self.page.context.new_cdp_session(self.page)
        devtools.send("Network.enable")
        devtools.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": latency_ms, "downloadThroughput": speed, "uploadThroughput": speed},
        )

    def kill(self) -> None:
        """End the browser of a profile as a crash would."""
        place = f"--user-data-dir={self._profile}"
        for process in psutil.process_iter(["cmdline"]):
            if place in (process.info["cmdline"] or []):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def close(self) -> None:
        """End the browser."""
        self._browser.close()
