"""The whole loop of a reader who works in OHIF, on a real PACS."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
import pytest
import requests
from contrast import faint, without_ring
from numpy.typing import NDArray
from ohif_page import OhifPage
from running_server import RunningServer

from local_pacs.ct_series import ct_series
from local_pacs.orthanc import Orthanc

pytestmark = pytest.mark.e2e

TINY = Path(__file__).parents[1] / "support" / "tiny.toml"
CASES = 6
READER = "Dr. Jörg Ott"
ANSWER_SECONDS = 60
COLOUR_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PANEL = "section.activelabel"


@pytest.fixture
def patients(blobs: Callable[[int], Any], orthanc: Orthanc) -> Any:
    """Balls as CT series in the PACS, each the study of a patient with the name of its file."""
    cases = blobs(CASES)
    for number, image in enumerate(sorted(cases.studies.iterdir())):
        send(orthanc, image, number)
    return cases


def send(orthanc: Orthanc, image: Path, number: int) -> str:
    slices = ct_series(image, image.name.split(".")[0], datetime.datetime(2026, 5, 6, 7, number))
    orthanc.store(slices)
    return str(slices[0].SeriesInstanceUID)


def test_the_whole_loop_in_ohif(
    make_server: Callable[..., RunningServer],
    make_ohif: Callable[[str], OhifPage],
    orthanc: Orthanc,
    patients: Any,
    tmp_path: Path,
) -> None:
    recipe = tmp_path / "patient.toml"
    recipe.write_text(
        TINY.read_text(encoding="utf-8").replace("epochs = 2", "epochs = 80")
    )  # so that it finds the balls
    # The server has its own folder for temporary files: the client keeps an answer under the name of the server's file.
    places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(tmp_path)}
    conf = {"recipe": recipe, "labels": "ball", "seed": 1, "readers": 2, "readers_share": 0.1}
    # One model only: the mask that the page shows is compared with that of the model in use.
    conf |= {"start": 2, "retrain_after": 5}
    conf["read_ahead"] = "false"  # in the end a case is asked for that must not be in the cache
    server = make_server(orthanc.dicom_web, places, project_dir=tmp_path / "project", **conf).start()
    assert server.info()["datastore"]["total"] == CASES
    studies = requests.get(f"{server.address}/proxy/dicom/qido/studies?limit=1", timeout=ANSWER_SECONDS).json()
    assert len(studies) == 1  # the query is passed on
    study = str(studies[0]["0020000D"]["Value"][0])
    ohif = make_ohif(server.address)

    ohif.open(study)
    ohif.give_name(READER)
    first = ohif.next_case()
    second = draw_the_first_case(server, ohif, orthanc, first)
    third = draw_export_and_take_back(server, ohif, second)
    skipped = draw_one_more(ohif)
    drafted = ohif.skip("Not now", "the reader is tired")
    assert len({one["id"] for one in (first, second, third, skipped, drafted)}) == 5
    assert server.info()["cases"]["not_now"][0]["reason"] == "the reader is tired"
    assert ohif.take_clicks() == 2  # *Skip*, and how; the reason is typed

    drawn = leave_a_draft(server, ohif, drafted)
    server.kill()
    server.start()
    ohif.open(first["StudyInstanceUID"])  # not that of the case that is held, which would open by itself
    last = take_up_the_draft(server, ohif, drafted, drawn)
    finish_while_the_model_is_trained(server, ohif, last, skipped)
    see_what_the_model_says(server, ohif, skipped)
    decide_between_two_readings(server, ohif, patients)
    read_the_pages(server, ohif)
    do_without_the_pacs(server, orthanc, patients, tmp_path)

    assert ohif.problems == []
    ohif.close()
    assert server.stop() == 0


def info_of(server: RunningServer, image_id: str) -> dict[str, Any]:
    """Return the server's info on an image."""
    return dict(
        requests.get(f"{server.address}/datastore/image/info", {"image": image_id}, timeout=ANSWER_SECONDS).json()
    )


def voxels_of(server: RunningServer, path: str, **query: str) -> NDArray[np.intp]:
    """Return the indices of the voxels of the first structure in a mask of the server."""
    answer = requests.get(f"{server.address}/{path}", query, timeout=ANSWER_SECONDS)
    answer.raise_for_status()
    file = server.log.parent / "mask.nii.gz"
    file.write_bytes(answer.content)
    return np.argwhere(np.asarray(nibabel.load(file).dataobj) == 1)


def draw_the_first_case(
    server: RunningServer, ohif: OhifPage, orthanc: Orthanc, sample: dict[str, Any]
) -> dict[str, Any]:
    """Draw on one slice and save; check that the drawing is a label at its place. Return the next case."""
    assert sample["strategy"] == "variance"
    assert sample["query"] == {"kind": "volume"}
    assert sample["StudyInstanceUID"] in ohif.page.url
    text = ohif.shown_text()
    assert sample["PatientID"] in text
    assert sample["reason"] in text
    assert "There is no model yet" in text
    ohif.page.evaluate("() => { window.loaded = true; }")
    ohif.take_clicks()
    ohif.press_save()
    ohif.wait_for_text("Nothing is drawn")
    assert server.progress()["annotated"] == 0
    assert ohif.take_clicks() == 1
    assert faint(ohif.page, PANEL) == []  # nothing can be undone, and the message is a warning
    ohif.press_button("Skip")
    assert (faint(ohif.page, PANEL), without_ring(ohif.page, PANEL)) == ([], [])
    ohif.press("Escape")
    ohif.take_clicks()

    ohif.scroll(3)
    assert ohif.number() == "(12/16)"
    assert ohif.paint() == [16 - 12]  # in this view OHIF counts slices from the head
    assert ohif.warns_before_leaving()
    ohif.rename_segment("lump")
    ohif.press_save()
    ohif.wait_for_text("'lump' is not a label of this app")  # the server's own line
    ohif.rename_segment("ball")
    ohif.take_clicks()
    following = ohif.save_and_next()
    assert ohif.take_clicks() == 1
    assert ohif.page.evaluate("() => window.loaded"), "the page was not loaded anew"
    assert not ohif.warns_before_leaving()
    assert server.progress()["annotated"] == 1
    assert len(orthanc.series("SEG")) == 1
    voxels = voxels_of(server, "datastore/label", label=sample["id"], tag="final")
    assert set(voxels[:, 2]) == {16 - 12}
    np.testing.assert_allclose(voxels[:, :2].mean(axis=0), [(24 - 1) / 2, (20 - 1) / 2], atol=1.5)
    return following


def draw_export_and_take_back(server: RunningServer, ohif: OhifPage, sample: dict[str, Any]) -> dict[str, Any]:
    """Undo and redo by keys, export the drawing as OHIF does, save it, and return the next case."""
    assert ohif.drawing() == [0] * (24 * 20 * 16)
    drawn = ohif.paint(slices=8)
    assert len(drawn) == 8
    drawing = ohif.drawing()
    ohif.press("Control+z")
    ohif.wait_for_drawn(drawn[1:])  # the last stroke is nearest to the feet
    for _ in range(9):
        ohif.press("Control+z")
    ohif.wait_for_drawn([])
    for _ in range(9):
        ohif.press("Control+y")
    ohif.wait_for_drawn(drawn)
    assert ohif.drawing() == drawing
    # An export says nothing about whether the case is finished.
    ohif.export("kept as a draft: something is drawn on 8 of 16 slices")
    assert sorted(set(voxels_of(server, "activelabel/draft", image=sample["id"], client_id=READER)[:, 2])) == drawn
    ohif.take_clicks()
    following = ohif.save_and_next()
    assert ohif.take_clicks() == 1
    return following


def draw_one_more(ohif: OhifPage) -> dict[str, Any]:
    """Draw on the open case, and do all else by keys. Return the next case."""
    ohif.paint(slices=8)
    ohif.open_and_close_by_keys("Skip", "Reason")
    ohif.open_and_close_by_keys("Worklist")
    following = ohif.save_and_next_by_keys()
    assert ohif.take_clicks() == 0
    return following


def leave_a_draft(server: RunningServer, ohif: OhifPage, sample: dict[str, Any]) -> list[int]:
    """Draw and go back to the list of studies; check that the drawing is a draft. Return it."""
    ohif.paint(slices=8)
    drawing = ohif.drawing()
    ohif.leave()
    server.wait_for(lambda: bool(server.info()["cases"]["drafts"]), "the draft", ANSWER_SECONDS)
    (draft,) = server.info()["cases"]["drafts"]
    assert (draft["id"], draft["annotator"]) == (sample["id"], READER)
    return drawing


def take_up_the_draft(
    server: RunningServer, ohif: OhifPage, sample: dict[str, Any], drawing: list[int]
) -> dict[str, Any]:
    """Open the case that is held, with its draft; finish it, and return the next case."""
    ohif.wait_for_text("You have a case open")
    assert ohif.name() == READER  # in a page that was loaded anew
    assert ohif.next_case()["id"] == sample["id"]
    assert ohif.drawing() == drawing
    assert "You draw on your draft" in ohif.shown_text()
    assert server.progress()["annotated"] == 3
    following = ohif.save_and_next()
    assert server.progress()["annotated"] == 4
    return following


def finish_while_the_model_is_trained(
    server: RunningServer, ohif: OhifPage, sample: dict[str, Any], skipped: dict[str, Any]
) -> None:
    """Check that a training has started by itself, and that the case that was skipped comes last, over its model."""
    assert sample["id"] != skipped["id"]
    ohif.paint(slices=8)
    server.wait_for_model(1)
    ohif.take_clicks()
    assert ohif.save_and_next()["id"] == skipped["id"]
    assert ohif.take_clicks() == 1


def see_what_the_model_says(server: RunningServer, ohif: OhifPage, sample: dict[str, Any]) -> None:
    """Check voxel by voxel that OHIF opens a case with the server's prediction."""
    mask, params = server.client.infer("segmentation", sample["id"], {})
    assert params["label_names"] == {"ball": 1}
    expected = np.asarray(nibabel.load(mask).dataobj).ravel(order="F")
    assert expected.any()
    assert "You draw over what the model draws" in ohif.shown_text()
    np.testing.assert_array_equal(ohif.drawing(), expected)
    ohif.wait_for_colours(100)
    assert ohif.show_uncertainty(0.7) > 0
    ohif.wait_for_text(f"{CASES - 1} of {CASES} cases annotated")
    worklist = ohif.unfold("Worklist")
    assert f"1 leased, {CASES - 1} finished" in worklist
    assert all(name in worklist for name in [READER, *(f"blob_{number:02d}" for number in range(CASES))])
    assert faint(ohif.page, PANEL) == []
    assert "volumes" in ohif.unfold("Learning curve")
    assert faint(ohif.page, PANEL) == []
    ohif.picture(server.log.parent / "ohif.png")


def decide_between_two_readings(server: RunningServer, ohif: OhifPage, patients: Any) -> None:
    """Check that a reviewer sees both readings of a case, voxel by voxel, and that the one on the screen is taken."""
    sample = server.next_sample(annotator="bob")
    assert sample["strategy"] == "second_reading"
    ball = patients.label_of(sample["PatientID"])
    server.save_label(sample["id"], ball, "bob", finished=True)
    first = voxels_of(server, "datastore/label", label=sample["id"], tag="final")
    ohif.open(sample["StudyInstanceUID"])
    ohif.give_name("Prof. Ruth Vogel")
    ohif.wait_for_text("Ask for a case")  # hers; the case that was open is another reader's
    ohif.take_for_review()
    assert "Two readings differ: ball Dice 0." in ohif.shown_text()
    drawn = np.reshape(ohif.drawing(), (24, 20, 16), order="F")
    np.testing.assert_array_equal(np.argwhere(drawn == 1), first)
    assert (faint(ohif.page, PANEL), without_ring(ohif.page, PANEL)) == ([], [])
    second = np.reshape(ohif.see_reading("2nd: bob"), (24, 20, 16), order="F")
    np.testing.assert_array_equal(second, np.asarray(nibabel.load(ball).dataobj))
    ohif.take_clicks()
    ohif.press_button("Take the second")
    ohif.wait_for_text("approved: the second reading")
    assert ohif.take_clicks() == 1
    taken = voxels_of(server, "datastore/label", label=sample["id"], tag="final")
    np.testing.assert_array_equal(taken, np.argwhere(second == 1))
    worklist = requests.get(f"{server.address}/activelabel/worklist?state=approved", timeout=ANSWER_SECONDS).json()
    assert [(case["image"], case["who"]) for case in worklist["cases"]] == [(sample["id"], ["Prof. Ruth Vogel"])]


def read_the_pages(server: RunningServer, ohif: OhifPage) -> None:
    """Check that the server's own pages can be read, in a browser that is set to dark colours too."""
    for path in ("/", "/docs", "/logs/"):
        ohif.page.goto(server.address + path)
        for scheme in COLOUR_SCHEMES:
            ohif.page.emulate_media(color_scheme=scheme)
            assert (path, faint(ohif.page), without_ring(ohif.page)) == (path, [], [])


def do_without_the_pacs(server: RunningServer, orthanc: Orthanc, patients: Any, folder: Path) -> None:
    """Check that known data are answered at once, and that requests that need the PACS get one line."""
    new = send(orthanc, next(iter(patients.studies.iterdir())).rename(folder / "late.nii.gz"), CASES)
    assert info_of(server, new)["PatientID"] == "late"  # listed, and not fetched
    orthanc.stop()
    for method, address in (("GET", "/proxy/dicom/qido/studies"), ("POST", f"/infer/segmentation?image={new}")):
        answer = requests.request(method, server.address + address, timeout=ANSWER_SECONDS)
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith(f"the PACS {orthanc.dicom_web} cannot be reached")
    unknown = requests.get(f"{server.address}/datastore/image/info?image=1.2.3", timeout=ANSWER_SECONDS)
    assert unknown.status_code == 404
    info = server.info()
    assert info["datastore"]["total"] == CASES + 1
    assert "cannot be reached" in info["datastore"]["pacs_problem"]
