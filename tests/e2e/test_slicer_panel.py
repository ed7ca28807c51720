"""Our module for 3D Slicer, end to end: a person before its panel, and a server as a user starts it."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from running_server import RunningServer
from slicer_panel import PanelOnScreen
from small_studies import AFFINE_RAS, TINY_RECIPE, boxes, write_image

from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

pytestmark = pytest.mark.e2e

LIVER, SPLEEN = boxes(1) == 1, boxes(0, 1) == 1


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    for number in range(8):
        write_image(folder / f"case_{number}.nii.gz", number)
    return folder


def test_cases_are_drawn_skipped_and_taken_up_again_after_a_crash_until_a_training_starts(
    make_server: Callable[..., RunningServer], studies: Path, tmp_path: Path, patient_slicer: None
) -> None:
    server = make_server(studies, recipe=TINY_RECIPE, labels="liver=1,spleen=5", device="cpu", start=2).start()
    ledger = Ledger(sqlite_url(studies / "activelabel" / "ledger.sqlite"))
    ann = PanelOnScreen(tmp_path / "ann", address=server.address, name="ann")
    ann.click("Connect")
    assert ann.line == f"connected to {server.address} as ann"

    # Three cases drawn: two clicks each, and one more for the very first.
    ann.click("Next case")
    clicks, drawn = ann.clicks, []
    for _ in range(3):
        drawn.append(ann.session.case.image)
        ann.paint("liver", LIVER, AFFINE_RAS)
        ann.paint("spleen", SPLEEN, AFFINE_RAS)
        ann.click("Finish and next")
    assert ann.clicks - clicks == 3, "one click a case that is not drawing"
    assert len(set(drawn)) == 3
    for image in drawn:
        kept = ledger.current_annotation(image)
        assert kept is not None
        assert (kept.annotator, kept.slices) == ("ann", None)
        file = nibabel.load(studies / "labels" / "final" / f"{image}.nii.gz")
        np.testing.assert_array_equal(np.asarray(file.dataobj), LIVER * 1 + SPLEEN * 5)

    # One skipped.
    skipped = ann.session.case.image
    ann.write("reason of a skip, in one line", "moved while it was taken")
    ann.click("Cannot be annotated")
    assert ann.session.case is None
    (note,) = [row.note for row in ann.session.worklist().rows if row.image == skipped]
    assert note == "moved while it was taken"

    # One left as a draft: kept after 30 s without a click. More is drawn, and the server is killed.
    ann.click("Next case")
    image = ann.session.case.image
    ann.paint("liver", LIVER, AFFINE_RAS)
    ann.wait(31)
    assert ledger.open_draft(image, "ann") is not None
    server.kill()
    ann.paint("spleen", SPLEEN, AFFINE_RAS)
    ann.wait(31)
    assert not ann.session.connected
    assert "kept here" in ann.line
    ann.click("Finish")
    assert ann.session.case is not None
    assert "does not answer" in ann.line

    # The server comes back, and so does the panel; it sends what was drawn meanwhile.
    server.start()
    ann.wait(11)
    assert ann.session.connected
    draft = ledger.open_draft(image, "ann")
    assert draft is not None
    assert draft.version == 2

    # Another Slicer of the same person takes the draft up, and finishes it: a training starts.
    again = PanelOnScreen(tmp_path / "again", address=server.address, name="ann")
    again.click("Connect")
    again.click("Next case")
    assert (again.session.case.image, again.session.case.opened_with) == (image, "draft")
    again.click("Finish")
    assert again.line == f"{image}: finished"
    np.testing.assert_array_equal(
        np.asarray(nibabel.load(studies / "labels" / "final" / f"{image}.nii.gz").dataobj), LIVER * 1 + SPLEEN * 5
    )
    # A fast machine may have trained between two looks.
    server.wait_for(lambda: bool(server.children("train") or server.progress()["latest_model"]), "a training")
    again.show_tab(2)
    states = dict(row[:2] for row in [(r.image, r.state) for r in again.session.worklist().rows])
    assert [states[name] for name in (*drawn, image)] == ["finished"] * 4
    assert states[skipped] == "cannot be annotated"
