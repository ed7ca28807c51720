"""Draws the pictures of OHIF in docs/clients.md: `python tests/support/browser/ohif_pictures.py http://127.0.0.1:8000`.

The server is that of `make ohif`, better with the recipe `quick_slices`, with a model, and with a case that two others
have read differently. The case that is asked for stays as it is, and is held afterwards.
"""

import argparse
from io import BytesIO
from pathlib import Path

from ohif_page import OhifPage
from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parents[3] / "docs" / "pictures" / "ohif"
PATIENCE_MS = 300_000
SETTLED_MS = 3000
GAP = 16


def main(server: str) -> None:
    with sync_playwright() as playwright:
        ohif = OhifPage(playwright, server)
        ohif.page.set_viewport_size({"width": 1440, "height": 810})
        ohif.page.set_default_timeout(PATIENCE_MS)
        open_a_study(ohif.page, server)
        ohif.give_name("Dr. Jörg Ott")
        panel = ohif.page.locator("section.activelabel")
        steps = [panel.screenshot()]
        ohif.next_case()
        ohif.page.wait_for_timeout(SETTLED_MS)
        save(ohif.page.screenshot(), "case")
        steps.append(panel.screenshot())
        skip = panel.get_by_role("button", name="Skip")
        skip.click()
        panel.get_by_label("Reason").fill("moved during the scan")
        steps.append(panel.screenshot())
        skip.click()
        side_by_side(steps, "panel")
        ohif.page.set_viewport_size({"width": 1280, "height": 720})
        ohif.page.wait_for_timeout(SETTLED_MS)
        save(ohif.page.screenshot(), "small")
        ohif.page.set_viewport_size({"width": 1440, "height": 810})
        ohif.show_uncertainty(0.8)
        ohif.page.wait_for_timeout(SETTLED_MS)
        save(ohif.page.screenshot(), "uncertainty")
        others = [unfolded(ohif, part) for part in ("Worklist", "Learning curve")]
        side_by_side(others, "worklist")
        ohif.close()
        review(OhifPage(playwright, server), server)


def review(ohif: OhifPage, server: str) -> None:
    """Draw a label under review, by somebody who has drawn none."""
    ohif.page.set_viewport_size({"width": 1440, "height": 810})
    ohif.page.set_default_timeout(PATIENCE_MS)
    open_a_study(ohif.page, server)
    ohif.give_name("Prof. Ruth Vogel")
    ohif.take_for_review()
    ohif.page.wait_for_timeout(SETTLED_MS)
    save(ohif.page.screenshot(), "review")
    ohif.press_button("Let go")
    ohif.wait_for_text("left undecided")
    ohif.close()


def unfolded(ohif: OhifPage, part: str) -> bytes:
    """Open a part of the panel, and return its picture."""
    ohif.unfold(part)
    ohif.page.wait_for_timeout(SETTLED_MS)
    heads, body = (
        ohif.page.locator(f"section.activelabel {kind}").bounding_box() for kind in (".al-heads", ".al-folded")
    )
    assert heads is not None
    assert body is not None
    height = body["y"] + body["height"] - heads["y"]
    return ohif.page.screenshot(clip={"x": body["x"], "y": heads["y"], "width": body["width"], "height": height})


def open_a_study(page: Page, server: str) -> None:
    """Open the first study of the list in the MONAI Label mode."""
    page.goto(f"{server}/ohif/")
    page.locator("table tbody tr").first.click()
    page.get_by_role("button", name="MONAI Label").last.click()
    page.locator("section.activelabel").wait_for()
    page.get_by_role("button", name="Confirm and Hide").click()
    page.wait_for_timeout(SETTLED_MS)


def side_by_side(shots: list[bytes], name: str) -> None:
    images = [Image.open(BytesIO(shot)).convert("RGB") for shot in shots]
    width = sum(image.width for image in images) + GAP * (len(images) - 1)
    joined = Image.new("RGB", (width, max(image.height for image in images)), "white")
    left = 0
    for image in images:
        joined.paste(image, (left, 0))
        left += image.width + GAP
    joined.save(PICTURES / f"{name}.png", optimize=True)


def save(shot: bytes, name: str) -> None:
    Image.open(BytesIO(shot)).convert("RGB").save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("server", help="its address")
    main(parser.parse_args().server.rstrip("/"))
