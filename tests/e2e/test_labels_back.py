"""Labels come back as the host's clients send them, are kept in every version, and can be taken back."""

import gzip
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
import SimpleITK
from monailabel.client import MONAILabelClient
from numpy.typing import NDArray
from running_server import RunningServer
from slicer_module import SlicerModule, params_at_0_8_5, params_at_main
from small_studies import TINY_RECIPE, boxes, write_image, write_model, write_nifti

from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from ActiveLabelLib.server.answers import Project, User
from ActiveLabelLib.server.server import connect

pytestmark = pytest.mark.e2e

LABELS = ("liver", "spleen", "kidney")
BIG = (192, 160, 96)

# As Slicer sends them: in another order than the app's, with an empty kidney; `idx` also counts skipped segments.
SLICER_SEGMENTS = [{"name": "spleen", "idx": 2}, {"name": "kidney", "idx": 3}, {"name": "liver", "idx": 5}]
SLICER_VALUES = boxes(1, 3)  # spleen, then liver
KEPT_VALUES = boxes(2, 1)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels-back") / "studies"
    folder.mkdir()
    for number in range(12):
        write_image(folder / f"case_{number}.nii.gz", number)
    noise = np.random.default_rng(0).normal(50, 20, BIG).astype(np.float32)
    write_nifti(folder / "big.nii", noise)
    return folder


@pytest.fixture(scope="module")
def server(start_server: Callable[..., RunningServer], studies: Path) -> RunningServer:
    """A server with an untrained model."""
    conf = {"recipe": TINY_RECIPE, "labels": ",".join(LABELS), "device": "cpu", "autopilot": "false"}
    server = start_server(studies, **conf, finished_by="saving")  # boxes do not look like finished drawings
    with write_model(studies.parent / "model.safetensors", LABELS).open("rb") as content:
        assert requests.put(f"{server.address}/model/segmentation", files={"file": content}, timeout=60).ok
    return server


@pytest.fixture(scope="module")
def ledger(server: RunningServer, studies: Path) -> Ledger:
    return Ledger(sqlite_url(studies / "activelabel" / "ledger.sqlite"))


@pytest.fixture(scope="module")
def next_case(studies: Path, ledger: Ledger) -> Callable[[], str]:
    """Return an image that no other test uses, nor one that the server has chosen for another test."""
    names = iter(sorted(path.name.split(".")[0] for path in studies.glob("case_*.nii.gz")))
    return lambda: next(name for name in names if ledger.current_annotation(name) is None)


def label_file(folder: Path, values: NDArray[np.generic], name: str = "label.nii.gz") -> Path:
    """Write a label as a client would, as NIfTI or NRRD by its name."""
    if not name.endswith(".nrrd"):
        return write_nifti(folder / name, values)
    written = write_nifti(folder / "written.nii.gz", values)
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(written)), str(folder / name))
    return folder / name


def values_of(path: Path) -> NDArray[np.generic]:
    return np.asarray(nibabel.load(path).dataobj)


def shown(studies: Path, image: str, tag: str = "final") -> Path:
    """Return the path at which the host and other tools look for a label."""
    return studies / "labels" / tag / f"{image}.nii.gz"


@pytest.mark.parametrize(
    ("name", "also"),
    [("label.nii.gz", {}), ("label.nii", {}), ("label.nrrd", {"model": "segmentation"})],  # as of December 2025
)
def test_slicer_sends_values_in_the_order_of_its_segments(
    server: RunningServer, studies: Path, tmp_path: Path, next_case: Callable[[], str], name: str, also: dict[str, str]
) -> None:
    image = next_case()
    file = label_file(tmp_path, SLICER_VALUES, name)
    answer = server.save_label(image, file, label_info=SLICER_SEGMENTS, **also)
    coverage = "nobody asked, whole volume"
    assert answer == {"image": image, "label": image, "state": "finished", "coverage": coverage}
    np.testing.assert_array_equal(values_of(shown(studies, image)), KEPT_VALUES)
    np.testing.assert_array_equal(
        nibabel.load(shown(studies, image)).affine, nibabel.load(studies / f"{image}.nii.gz").affine
    )
    listed = server.client.datastore()["objects"][image]["labels"]["final"]["info"]
    assert listed["params"]["label_names"] == {"liver": 1, "spleen": 2, "kidney": 3}
    assert [segment["name"] for segment in listed["label_info"]] == list(LABELS)
    assert listed["client_id"] == "ann"


@pytest.mark.parametrize("params", [params_at_0_8_5, params_at_main])
def test_slicers_stock_module_goes_from_next_sample_to_label_on_slicers_own_logic(
    server: RunningServer, studies: Path, tmp_path: Path, ledger: Ledger, params: Callable[..., dict[str, Any]]
) -> None:
    """It skips a case, sends what the model drew, keeps a draft of a correction, and sends that as it opens again."""
    info, reader = server.info(), params.__name__
    strategy = next(iter(info["strategies"]))  # the module takes the first
    assert strategy == "recipe"
    first = server.next_sample(strategy, reader)
    form = {"skip this case": "not now", "reason to skip it": "blurred"}
    sample = server.next_sample(strategy, reader, **form)
    assert (sample["skipped"]["id"], sample["skipped"]["reason"]) == (first["id"], "blurred")
    image = sample["id"]
    assert image != first["id"]

    module, sent = SlicerModule(Path(sample["path"])), tmp_path / "label.nii.gz"
    module.add_segments(info["labels"])
    file, result = server.client.infer("segmentation", image, {})
    module.import_label(Path(file), list(result["label_names"]))
    answer = server.save_label(image, sent, reader, **params(module.export(sent)))
    assert answer["unchanged_from"] == 1
    assert values_of(shown(studies, image)).any(), "an untrained model draws something"
    np.testing.assert_array_equal(values_of(shown(studies, image)), values_of(Path(file)))

    corrected = values_of(Path(file)).copy()
    corrected[2:6, 3:7, 0:2] = 2
    for value, name in enumerate(LABELS, 1):  # the brush takes from other segments what it gives to one
        module.draw(name, corrected == value)
    draft = server.save_label(image, sent, reader, **params(module.export(sent)), finished=False)
    assert draft["state"] == "draft"
    again = SlicerModule(Path(sample["path"]))
    original = server.client.download_label(image, "original")
    asked = {"label": image, "tag": "original"}
    told = requests.get(f"{server.address}/datastore/label/info", params=asked, timeout=60).json()
    again.import_label(Path(original), list(told["params"]["label_names"]))
    again.add_segments(info["labels"])
    answer = server.save_label(image, sent, reader, **params(again.export(sent)), finished=True)
    assert answer["state"] == "finished"
    np.testing.assert_array_equal(values_of(shown(studies, image)), corrected)
    newest = ledger.current_annotation(image)
    assert newest is not None
    assert newest.annotator == reader


def test_our_module_gets_what_the_stock_module_cannot_show(
    server: RunningServer, studies: Path, tmp_path: Path, patient_slicer: None
) -> None:
    asked = connect(server.address, "mod")
    assert asked.log_in() == User("mod", True)
    values = {"liver": 1, "spleen": 2, "kidney": 3}
    assert asked.project() == Project(server.info()["project"], LABELS, values, "recipe", has_model=True)
    of_another = {"X-ActiveLabel-Project": "another"}
    refused = requests.get(f"{server.address}/activelabel/query", {"client_id": "mod"}, headers=of_another, timeout=60)
    assert (refused.status_code, refused.json()["detail"][:27]) == (412, "another project than yours ")
    drawn, _ = server.client.infer("segmentation", "case_0", {})
    np.testing.assert_array_equal(values_of(asked.proposal_file("case_0", tmp_path)), values_of(Path(drawn)))
    uncertainty = nibabel.load(asked.uncertainty_file("case_0", tmp_path / "map"))
    image = nibabel.load(studies / "case_0.nii.gz")
    np.testing.assert_allclose(uncertainty.affine, image.affine)
    assert (uncertainty.shape, uncertainty.get_data_dtype()) == (image.shape, np.float32)
    assert np.asarray(uncertainty.dataobj).max() > 0
    assert asked.progress().line
    assert {row.image for row in asked.worklist().rows} == {"big", *(f"case_{number}" for number in range(12))}
    sample = asked.next_sample("recipe")
    query = asked.query()
    assert query is not None
    assert (query.image, query.asked) == (sample["id"], ())
    assert query.places.step_mm > 0
    asked.release()
    assert asked.query() is None


def test_a_label_with_exchanged_axes_is_put_back_on_its_image(
    server: RunningServer, studies: Path, tmp_path: Path, next_case: Callable[[], str]
) -> None:
    image = next_case()
    label = SimpleITK.ReadImage(str(label_file(tmp_path, boxes(1, 2, 3))))
    turned = SimpleITK.Flip(SimpleITK.PermuteAxes(label, [2, 0, 1]), [True, False, False])
    SimpleITK.WriteImage(turned, str(tmp_path / "turned.nrrd"))
    server.save_label(image, tmp_path / "turned.nrrd")
    np.testing.assert_array_equal(values_of(shown(studies, image)), boxes(1, 2, 3))


def test_a_label_sent_as_a_bare_file_is_kept_in_every_version(
    server: RunningServer, studies: Path, tmp_path: Path, next_case: Callable[[], str], ledger: Ledger
) -> None:
    """Every version stays, the newest counts, and no time is recorded as the image was not asked for."""
    image = next_case()
    address = f"{server.address}/datastore/label?image={image}"
    # The last one is empty, which is a label too: the structure is not visible.
    versions = [boxes(1), boxes(3, 2), boxes(0)]
    for values in versions:
        with label_file(tmp_path, values).open("rb") as content:
            answer = requests.put(address, files={"label": content}, timeout=60)
        assert answer.ok, answer.text
        np.testing.assert_array_equal(values_of(shown(studies, image)), values)
    history = ledger.history(image)
    assert [item.version for item in history] == [1, 2, 3]
    assert [item.annotator for item in history] == ["127.0.0.1"] * 3
    assert [item.seconds for item in history] == [None] * 3
    assert [item.superseded_at is None for item in history] == [False, False, True]
    archive = studies / "activelabel" / "labels"
    for item, values in zip(history, versions, strict=True):
        np.testing.assert_array_equal(values_of(archive / item.file), values)
    downloaded = requests.get(f"{server.address}/datastore/label?label={image}&tag=final", timeout=60).content
    assert gzip.decompress(downloaded) == gzip.decompress((archive / history[-1].file).read_bytes())


def test_a_draft_opens_again_and_counts_when_it_is_finished(
    server: RunningServer, studies: Path, tmp_path: Path, ledger: Ledger
) -> None:
    annotated = server.progress()["annotated"]
    image = server.next_sample(annotator="dan")["id"]
    values = boxes(2, shape=BIG) if image == "big" else boxes(2)
    answer = server.save_label(image, label_file(tmp_path, values), annotator="dan", finished=False)
    assert answer["state"] == "draft"
    assert answer["message"].startswith("kept as a draft, as its client says")
    np.testing.assert_array_equal(values_of(shown(studies, image, "original")), values)
    sample = server.next_sample(annotator="dan")
    assert (sample["id"], sample["PatientID"], sample["draft"]["version"]) == (image, f"{image} | draft", 1)
    assert server.progress()["annotated"] == annotated
    finished = requests.post(
        f"{server.address}/activelabel/finish", json={"client_id": "dan", "image": image}, timeout=60
    )
    expected = {"image": image, "state": "finished", "coverage": "answer for the volume"}
    assert (finished.status_code, finished.json()) == (200, expected)
    np.testing.assert_array_equal(values_of(shown(studies, image)), values)
    assert server.progress()["annotated"] == annotated + 1
    assert ledger.open_drafts() == []


def test_seconds_run_from_the_next_sample_to_the_saved_label(
    server: RunningServer, tmp_path: Path, ledger: Ledger
) -> None:
    before_asking = time.monotonic()
    image = server.next_sample(annotator="eve")["id"]
    asked = time.monotonic()
    time.sleep(0.3)
    values = boxes(1) if image != "big" else boxes(1, shape=BIG)
    file = label_file(tmp_path, values)
    before_saving = time.monotonic()
    server.save_label(image, file, annotator="eve")
    saved = time.monotonic()
    annotation = ledger.current_annotation(image)
    assert annotation is not None
    assert annotation.seconds is not None
    assert before_saving - asked <= annotation.seconds <= saved - before_asking
    assert annotation.annotator == "eve"


def test_the_versions_of_a_deleted_label_stay(
    server: RunningServer, studies: Path, tmp_path: Path, next_case: Callable[[], str], ledger: Ledger
) -> None:
    image = next_case()
    before = len(ledger.history(image))  # labels of tests that ran on this server before
    server.save_label(image, label_file(tmp_path, boxes(1)))
    annotated = server.progress()["annotated"]
    label = f"{server.address}/datastore/label?id={image}&tag=final"
    assert requests.delete(label, timeout=60).ok
    assert not shown(studies, image).exists()
    assert requests.get(label.replace("id=", "label="), timeout=60).status_code == 404
    assert "final" not in server.client.datastore()["objects"][image]["labels"]
    assert server.progress()["annotated"] == annotated - 1
    (annotation,) = ledger.history(image)[before:]
    assert annotation.deleted_at is not None
    np.testing.assert_array_equal(values_of(studies / "activelabel" / "labels" / annotation.file), boxes(1))
    assert requests.delete(label, timeout=60).status_code == 404
    server.save_label(image, label_file(tmp_path, boxes(2)))
    np.testing.assert_array_equal(values_of(shown(studies, image)), boxes(2))
    assert [item.version for item in ledger.history(image)[before:]] == [annotation.version, annotation.version + 1]


def test_labels_with_other_tags_are_kept_and_do_not_count(
    server: RunningServer, studies: Path, tmp_path: Path, next_case: Callable[[], str], ledger: Ledger
) -> None:
    image = next_case()
    annotated = server.progress()["annotated"]
    server.client.save_label(image, str(label_file(tmp_path, boxes(3))), tag="second-reader")
    np.testing.assert_array_equal(values_of(shown(studies, image, "second-reader")), boxes(3))
    assert server.progress()["annotated"] == annotated
    assert ledger.current_annotation(image) is None
    assert ledger.current_annotation(image, "second-reader") is not None


def test_a_prediction_is_kept_as_original_where_slicer_looks_for_it(server: RunningServer, studies: Path) -> None:
    file, params = server.client.infer("segmentation", "case_0", {"save_label": True, "result_extension": ".nrrd"})
    sent = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(file)).transpose()
    np.testing.assert_array_equal(values_of(shown(studies, "case_0", "original")), sent)
    listed = server.client.datastore()["objects"]["case_0"]["labels"]["original"]["info"]
    assert listed["params"]["label_names"] == params["label_names"] == {"liver": 1, "spleen": 2, "kidney": 3}
    assert server.client.datastore()["objects"]["case_0"]["labels"].keys() == {"final", "original"}
    Path(file).unlink()


def test_an_image_outside_the_studies_is_segmented_in_a_session(server: RunningServer, tmp_path: Path) -> None:
    """Slicer also names its volume then, which is not in the studies."""
    session = server.client.create_session(str(write_image(tmp_path / "mine.nii.gz", 99)))["session_id"]
    file, _ = server.client.infer("segmentation", "Volume 7", {}, session_id=session)
    assert nibabel.load(file).shape == nibabel.load(tmp_path / "mine.nii.gz").shape
    Path(file).unlink()
    server.client.remove_session(session)


# While a slow request runs


GOES = 20


def answers_amid(server: RunningServer, slow: Callable[[], object]) -> bool:
    """Return whether a request to `/info/` was made and answered in the middle half of the time of a slow request.

    A server that is held up answers none there: at the beginning the slow request may not have come yet, and at the end
    its own answer may be on the way. What is slow on one machine is not on another, nor are turns of the processor
    given fairly: the request is made again until it is so.
    """

    def timed() -> tuple[float, float]:
        began = time.monotonic()
        slow()
        return began, time.monotonic()

    for _ in range(GOES):
        answers = list[tuple[float, float]]()
        with ThreadPoolExecutor(1) as thread:
            running: Future[tuple[float, float]] = thread.submit(timed)
            while not running.done():
                asked = time.monotonic()
                assert requests.get(f"{server.address}/info/", timeout=60).ok
                answers.append((asked, time.monotonic()))
            began, ended = running.result()
        quarter = (ended - began) / 4
        if any(began + quarter <= asked and answered <= ended - quarter for asked, answered in answers):
            return True
    return False


def infer(server: RunningServer, image: str) -> None:
    answer = requests.post(f"{server.address}/infer/segmentation?image={image}&output=image", timeout=300)
    assert answer.ok, answer.text


def test_info_answers_while_an_inference_runs(server: RunningServer) -> None:
    # The host's own route answers no other request meanwhile.
    assert answers_amid(server, lambda: infer(server, "big"))


def test_info_answers_while_labels_are_saved(server: RunningServer, studies: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 4, BIG, dtype=np.uint8)
    file = label_file(tmp_path, values, "label.nii")
    client = MONAILabelClient(server.address, client_id="ann")

    def save() -> Mapping[str, Any]:
        return dict(client.save_label("big", str(file)))

    assert answers_amid(server, save)
    np.testing.assert_array_equal(values_of(shown(studies, "big")), values)
