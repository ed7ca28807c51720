"""The whole loop of a reader who works in OHIF, on a real PACS."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
from ohif_page import OhifPage
from running_server import RunningServer

from local_pacs.ct_series import ct_series
from local_pacs.orthanc import Orthanc

pytestmark = pytest.mark.e2e

TINY = Path(__file__).parents[1] / "support" / "tiny.toml"
CASES = 6
ANSWER_SECONDS = 60


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
        TINY.read_text(encoding="utf-8").replace("epochs = 2", "epochs = 30")
    )  # so that it finds the balls
    # The server has its own folder for temporary files: the client keeps an answer under the name of the server's file.
    places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(tmp_path)}
    server = make_server(
        orthanc.dicom_web, places, recipe=recipe, labels="ball", seed=1, project_dir=tmp_path / "project"
    ).start()
    assert server.info()["datastore"]["total"] == CASES
    ohif = make_ohif(server.address)

    annotated = draw_and_export(server, ohif, orthanc)
    train_on_labels_of_a_script(server, orthanc, patients, annotated)
    see_what_the_model_says(server, ohif, annotated)
    do_without_the_pacs(server, orthanc, patients, tmp_path)

    assert ohif.problems == []
    ohif.close()
    assert server.stop() == 0


def info_of(server: RunningServer, image_id: str) -> dict[str, Any]:
    """Return the server's info on an image."""
    return dict(
        requests.get(f"{server.address}/datastore/image/info", {"image": image_id}, timeout=ANSWER_SECONDS).json()
    )


def draw_and_export(server: RunningServer, ohif: OhifPage, orthanc: Orthanc) -> str:
    """Ask for the next sample, draw and export; check that the drawing is a label. Return the image's id."""
    studies = requests.get(f"{server.address}/proxy/dicom/qido/studies?limit=1", timeout=ANSWER_SECONDS).json()
    assert len(studies) == 1  # the query is passed on
    ohif.open(studies[0]["0020000D"]["Value"][0])
    assert ohif.connect() == f"{server.address}/"
    assert "no model yet" in ohif.run_segmentation_in_vain()
    ohif.picture(server.log.parent / "refused.png")
    sample = ohif.next_sample()
    assert sample["strategy"] == "variance"  # OHIF asked for `random`
    assert "no model yet" in sample["reason"] or "validation case" in sample["reason"]
    assert sample["query"] == {"kind": "volume"}
    assert ohif.page.url.endswith(sample["StudyInstanceUID"])

    ohif.connect()
    ohif.scroll(3)
    assert ohif.number() == "(12/16)"
    slice_number = ohif.paint()
    assert slice_number == 16 - 12  # in this view OHIF counts slices from the head
    ohif.rename_segment("lump")
    ohif.export("'lump' is not a label of this app")
    assert server.progress()["annotated"] == 0
    ohif.rename_segment("ball")
    ohif.export("kept as a draft: something is drawn on 1 of 16 slices")  # one stroke does not finish a volume
    assert (server.progress()["annotated"], server.progress()["annotated_slices"]) == (0, 0)
    (draft,) = server.info()["cases"]["drafts"]
    assert (draft["id"], draft["annotator"]) == (sample["id"], "127.0.0.1")
    ohif.export("is stored, and a label now")  # the second export of the same drawing confirms that it is complete
    assert server.progress()["annotated"] == 1
    assert len(orthanc.series("SEG")) == 3
    label = requests.get(
        f"{server.address}/datastore/label", {"label": sample["id"], "tag": "final"}, timeout=ANSWER_SECONDS
    )
    path = server.log.parent / "label.nii.gz"
    path.write_bytes(label.content)
    voxels = np.argwhere(np.asarray(nibabel.load(path).dataobj) == 1)
    assert set(voxels[:, 2]) == {slice_number}
    np.testing.assert_allclose(voxels[:, :2].mean(axis=0), [(24 - 1) / 2, (20 - 1) / 2], atol=1.5)

    assert ohif.next_sample()["id"] != sample["id"]
    return str(sample["id"])


def train_on_labels_of_a_script(server: RunningServer, orthanc: Orthanc, patients: Any, annotated: str) -> None:
    """Check that labels of the stock client reach the PACS too; enough of them make a model."""
    objects = requests.get(f"{server.address}/datastore/?output=all", timeout=ANSWER_SECONDS).json()["objects"]
    training = [image_id for image_id in sorted(objects) if image_id != annotated][:3]
    for image_id in training:
        server.save_label(image_id, patients.label_of(objects[image_id]["image"]["info"]["PatientID"]))
    assert len(orthanc.series("SEG")) == 3 + len(training)
    server.wait_for_model(1)
    assert server.progress()["scored"] > 0


def see_what_the_model_says(server: RunningServer, ohif: OhifPage, annotated: str) -> None:
    """Check voxel by voxel that OHIF shows the server's prediction."""
    ohif.open(info_of(server, annotated)["StudyInstanceUID"])
    ohif.connect()
    assert ohif.coloured_pixels() == 0
    shown = ohif.run_segmentation()
    mask, params = server.client.infer("segmentation", annotated, {})
    assert params["label_names"] == {"ball": 1}
    expected = np.asarray(nibabel.load(mask).dataobj).ravel(order="F")
    assert expected.any()
    np.testing.assert_array_equal(shown, expected)
    assert ohif.coloured_pixels() > 100
    ohif.picture(server.log.parent / "ohif.png")


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
