"""OHIF in a headless browser, used as an annotator uses it: through its visible controls."""

import contextlib
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Playwright
from playwright.sync_api import TimeoutError as TooSlowError

CHROMIUM = "/usr/bin/chromium"
# Chromium refuses to run as root in its sandbox, and draws WebGL without a graphics card only when told to.
OPTIONS = ["--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PATIENCE_MS = 120_000

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
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let coloured = 0;
    for (let at = 0; at < pixels.length; at += 4) {
        const channels = [pixels[at], pixels[at + 1], pixels[at + 2]];
        coloured += Math.max(...channels) - Math.min(...channels) > 30;
    }
    return coloured;
}"""
_DRAWN_SLICES = """() => {
    const volume = services.segmentationService.getLabelmapVolume('1');
    const [width, height] = volume.dimensions;
    const slices = new Set();
    volume.voxelManager.getCompleteScalarDataArray().forEach((value, at) => {
        if (value) slices.add(Math.floor(at / (width * height)));
    });
    return [...slices];
}"""
_LABELMAP = "() => [...services.segmentationService.getLabelmapVolume('1').voxelManager.getCompleteScalarDataArray()]"


class OhifPage:
    """OHIF's MONAI Label mode at a server's address.

    Attributes:
        problems: errors of the page itself, in the order in which they came.
    """

    def __init__(self, playwright: Playwright, address: str) -> None:
        self._browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        self._address = address
        self.problems: list[str] = []
        self.page: Page = self._browser.new_page(viewport={"width": 1600, "height": 900}, ignore_https_errors=True)
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: dialog.accept())

    def open(self, study_uid: str) -> None:
        """Open a study, and wait until its image is drawn."""
        self.page.goto(f"{self._address}/ohif/monai-label?StudyInstanceUIDs={study_uid}")
        self.wait_for_image()
        notice = self.page.get_by_role("button", name="Confirm and Hide")
        if notice.is_visible():
            notice.click()

    def wait_for_image(self) -> None:
        """Wait for the image; the first one may take half a minute."""
        self.page.wait_for_function(_SEES_IMAGE)

    def connect(self) -> str:
        """Press the round arrow, and return the address that the panel had before."""
        address = self.page.locator("#monailabelServerURL").input_value()
        self.page.click(".settingsTable button.actionButton")
        self.page.wait_for_selector("label[for=tab-1]")
        self.page.wait_for_function("() => services.segmentationService.getLabelmapVolume('1')")
        return address

    def next_sample(self) -> dict[str, Any]:
        """Press Next Sample and OK, wait until the image is drawn, and return the server's answer."""
        button = self.page.get_by_role("button", name="Next Sample")
        if not button.is_visible():
            self.page.click("label[for=tab-1]")
        with self.page.expect_response("**/activelearning/*") as answer:
            button.click()
        sample = dict(answer.value.json())  # before the page is left
        with self.page.expect_navigation():
            self.page.click(".nextSampleForm button.actionButton")
        self.wait_for_image()
        return sample

    def scroll(self, slices: int) -> None:
        """Scroll by this number of slices in the axial view."""
        box = self.page.locator("canvas.cornerstone-canvas").first.bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        for _ in range(slices):
            before = self.number()
            self.page.mouse.wheel(0, 100)
            self.page.wait_for_function("before => !document.body.innerText.includes(before)", arg=before)

    def number(self) -> str:
        """Return the slice number that the axial view shows, as `(9/16)`."""
        shown = self.page.locator("[data-cy=viewport-overlay-bottom-right]").first.inner_text()  # I: 9 (9/16)
        return f"({shown.split('(')[1]}"

    def paint(self) -> int:
        """Draw a dot in the middle of the axial view, and return the index of its slice in the stored image."""
        self.page.click("[data-cy=Brush]")
        box = self.page.locator("canvas.cornerstone-canvas").first.bounding_box()
        assert box is not None
        self.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.wait_for_function(f"() => ({_COLOURED})() > 0")
        drawn = self.page.evaluate(_DRAWN_SLICES)
        assert len(drawn) == 1, drawn
        return int(drawn[0])

    def rename_segment(self, name: str) -> None:
        """Give the first segment another name."""
        self.page.evaluate(f"() => services.segmentationService.setSegmentLabel('1', 1, {name!r})")

    def export(self, outcome: str) -> None:
        """Export a DICOM SEG, and wait until the viewer shows this text about the outcome."""
        name = self._of_panel("button[@role='combobox']")
        save = self.page.get_by_role("button", name="Save")
        for _ in range(3):  # a menu that is drawn anew while it is clicked swallows the click
            name.locator("xpath=preceding::button[@aria-haspopup='menu'][1]").click()
            self.page.get_by_role("menuitem", name="Export & Download").hover()
            self.page.get_by_role("menuitem", name="Export DICOM SEG").click()
            with contextlib.suppress(TooSlowError):
                save.wait_for(timeout=30_000)
                break
            self.page.keyboard.press("Escape")
        save.click()
        self.page.get_by_text(outcome).wait_for()

    def run_segmentation_in_vain(self) -> str:
        """Press Run Segmentation, which must fail, and return the text of the notice."""
        self._press_run_segmentation()
        failed = self.page.get_by_text("Failed to Run Segmentation").first
        failed.wait_for()
        return failed.inner_text()

    def _press_run_segmentation(self) -> None:
        button = self.page.locator('button[title="Run Segmentation"]')
        if not button.is_visible():
            self.page.click("label[for=tab-2]")
        button.click()

    def run_segmentation(self) -> list[int]:
        """Press Run Segmentation, and return the values of the shown voxels in the order of the stored image."""
        self._press_run_segmentation()
        self.page.get_by_text("Running Segmentation - Successful").wait_for()
        self.page.wait_for_function(f"() => ({_COLOURED})() > 0")
        return list(self.page.evaluate(_LABELMAP))

    def coloured_pixels(self) -> int:
        """Return the number of pixels of the first view that are not grey."""
        return int(self.page.evaluate(_COLOURED))

    def picture(self, path: Path) -> None:
        """Save a screenshot."""
        self.page.screenshot(path=path)

    def close(self) -> None:
        """End the browser."""
        self._browser.close()

    def _of_panel(self, element: str) -> Locator:
        return self.page.locator(f"xpath=//{element}[contains(., 'Segmentations')]")
