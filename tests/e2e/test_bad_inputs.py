"""Every bad input has its 4xx with one clear line, and changes nothing: no file, no folder, no row of the ledger."""

import http.client
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
import SimpleITK
import torch
from bad_requests import FIRST, INFER, WITH_MODEL, WITHOUT_MODEL, Bad
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException
from running_server import RunningServer
from small_studies import AFFINE_RAS, BROKEN, REASONS, SHAPE, TINY_RECIPE, boxes, write_image, write_model, write_nifti
from watched import snapshot

from activelabel.recipes import load_recipe

pytestmark = pytest.mark.e2e

LABELS = ("ball", "box")
IMAGES = 4
VIEWER = "http://viewer.example"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The watched folder: the studies and everything around them."""
    root = tmp_path_factory.mktemp("bad-inputs")
    (root / "studies").mkdir()
    for number in range(IMAGES):
        write_image(root / "studies" / f"case_{number}.nii.gz", number)
    return root


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that are sent, by name."""
    folder = tmp_path_factory.mktemp("files")
    for name, write in BROKEN.items():
        write(folder / f"{name}.nii.gz")
    moved = AFFINE_RAS.copy()
    moved[0, 3] = 10
    write_image(folder / "image.nii.gz")
    write_nifti(folder / "good.nii.gz", boxes(1, 2))
    write_nifti(folder / "other-grid.nii.gz", boxes(1, 2, shape=(12, 10, 9)))
    write_nifti(folder / "other-affine.nii.gz", boxes(1, 2), moved)
    write_nifti(folder / "fractions.nii.gz", boxes(1, 0.5, dtype=np.float32))
    write_nifti(folder / "unnamed-value.nii.gz", boxes(1, 3))
    write_nifti(folder / "negative-value.nii.gz", boxes(1, -1, dtype=np.int16))
    (folder / "notes.txt").write_text("a label, in words")
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(folder / "image.nii.gz")), str(folder / "image.mhd"))  # in two files
    colours = SimpleITK.GetImageFromArray(np.zeros((*reversed(SHAPE), 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(colours, str(folder / "colours.nrrd"))
    return folder


@pytest.fixture(scope="module")
def server(start_server: Callable[..., RunningServer], root: Path) -> RunningServer:
    """A server without an autopilot and without labels."""
    conf = {"recipe": TINY_RECIPE, "labels": ",".join(LABELS), "device": "cpu", "autopilot": "false"}
    server = start_server(root / "studies", True, **conf, allowed_origins=VIEWER, finished_by="saving")
    write_listing(server)
    return server


def write_listing(server: RunningServer) -> dict[str, Any]:
    """Ask for the listing of the studies, which the server writes then and else a moment later, and return it."""
    return dict(requests.get(f"{server.address}/datastore/?output=all", timeout=60).json())


@pytest.fixture(scope="module")
def labelled(server: RunningServer, files: Path) -> RunningServer:
    """The server with a label for each image, which must stay."""
    for number in range(IMAGES):
        server.save_label(f"case_{number}", files / "good.nii.gz")
    write_listing(server)
    return server


@pytest.fixture(scope="module")
def model(labelled: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> RunningServer:
    """The server with labels and an uploaded model."""
    file = write_model(tmp_path_factory.mktemp("model") / "model.safetensors", LABELS)
    with file.open("rb") as content:
        answer = requests.put(f"{labelled.address}/model/segmentation", files={"file": content}, timeout=60)
    assert answer.ok, answer.text
    # After one inference the files that libraries write at their first use exist.
    mask, _ = labelled.client.infer("segmentation", "case_0", {})
    Path(mask).unlink()
    return labelled


@pytest.fixture
def unchanged(root: Path) -> Iterator[None]:
    """Check that the test has changed no file, folder or row."""
    before = snapshot(root)
    yield
    assert snapshot(root) == before


def answer_of(server: RunningServer, request: Bad, files: Path) -> requests.Response:
    sent = {part: (name, (files / name).read_bytes()) for part, name in request.files.items()}
    return requests.request(
        request.method, f"{server.address}{request.path}", files=sent or None, timeout=60, **request.options
    )


def assert_refused(status: int, body: str, wanted: int, *expected: str) -> None:
    """Check the status, and that the body is one line with all words of `expected` and no internals of the server."""
    assert status == wanted, body
    line = json.loads(body)["detail"]
    assert isinstance(line, str)
    assert "\n" not in line
    assert len(line) < 700
    for part in expected:
        assert part in line, line
    for inside in ("Traceback", "Error:", "/tmp/tmp", "site-packages"):
        assert inside not in line


def request_as_written(server: RunningServer, method: str, path: str) -> tuple[int, str]:
    """Send a path unchanged; an ordinary client would resolve its dots."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.read().decode()


# Before the first label and model


def test_the_server_prints_ready_when_it_listens_and_not_before(server: RunningServer) -> None:
    """The host initialises the app before the web server has tried to take the port."""

    def printed() -> str:
        return server.log.read_text(encoding="utf-8", errors="replace")

    server.wait_for(lambda: "activelabel is ready at" in printed(), "the server to say that it is ready", 60)
    assert f"activelabel is ready at {server.address}, with {IMAGES} cases waiting" in printed()
    assert printed().index("Application startup complete") < printed().index("activelabel is ready at")


@pytest.mark.parametrize("request_", FIRST, ids=str)
def test_requests_that_need_a_label_or_model_first_are_refused_in_one_line(
    server: RunningServer, files: Path, unchanged: None, request_: Bad
) -> None:
    answer = answer_of(server, request_, files)
    assert_refused(answer.status_code, answer.text, request_.status, *request_.expected)


# Labels, by the host's own client


BAD_LABELS = {
    **{f"{kind}.nii.gz": ({}, word) for kind, word in REASONS.items()},
    "other-grid.nii.gz": ({}, "12x10x9 voxels, expected its image's 12x10x8"),
    "other-affine.nii.gz": ({}, "affine is not its image's"),
    "fractions.nii.gz": ({}, "no whole numbers, for example 0.5"),
    "unnamed-value.nii.gz": ({}, "value 3"),
    "negative-value.nii.gz": ({}, "value -1"),
    "notes.txt": ({}, "expected a file that ends in .nii"),
    "colours.nrrd": ({}, "3 values, expected one"),
}
BAD_SEGMENTS: dict[str, tuple[object, str]] = {
    "unknown name": ([{"name": "ball", "idx": 1}, {"name": "cube", "idx": 2}], "'cube' is not a label of this app"),
    "one segment less than values": ([{"name": "ball", "idx": 1}], "value 2"),
    "two of one name": ([{"name": "ball", "idx": 1}, {"name": "ball", "idx": 2}], "two segments are called 'ball'"),
    "names only": (["ball", "box"], "expected label_info like"),
    "no list": (5, "expected label_info like"),
    "nameless": ([{"idx": 1}, {"idx": 2}], "expected label_info like"),
    "name with a line break": ([{"name": "ball\nbox", "idx": 1}], "is not a label of this app"),
}


def refusal_of_label(
    server: RunningServer, file: Path, params: dict[str, Any], image: str = "case_0"
) -> tuple[int, str]:
    """Return the status and body of the answer that the host's client gets to a label."""
    with pytest.raises(MONAILabelClientException) as refusal:
        MONAILabelClient(server.address, client_id="ann").save_label(image, str(file), params=params)
    status, _, body = str(refusal.value.msg).removeprefix("Status: ").partition("; Response: ")
    return int(status), body


@pytest.mark.parametrize("name", BAD_LABELS)
def test_bad_label_file_is_refused_by_its_name(
    labelled: RunningServer, files: Path, unchanged: None, name: str
) -> None:
    params, word = BAD_LABELS[name]
    assert_refused(*refusal_of_label(labelled, files / name, params), 422, name, word)


@pytest.mark.parametrize("name", BAD_SEGMENTS)
def test_bad_segments_are_refused(labelled: RunningServer, files: Path, unchanged: None, name: str) -> None:
    segments, word = BAD_SEGMENTS[name]
    refused = refusal_of_label(labelled, files / "good.nii.gz", {"label_info": segments})
    assert_refused(*refused, 422, word)


def test_label_of_an_unknown_image_is_refused(labelled: RunningServer, files: Path, unchanged: None) -> None:
    for image in ("case_99", "../case_0", "/etc/passwd", str(files / "image")):
        refused = refusal_of_label(labelled, files / "good.nii.gz", {}, image)
        assert_refused(*refused, 404, f"there is no image '{image}'")


@pytest.mark.parametrize("request_", WITHOUT_MODEL, ids=str)
def test_bad_request_is_refused(labelled: RunningServer, files: Path, unchanged: None, request_: Bad) -> None:
    answer = answer_of(labelled, request_, files)
    assert_refused(answer.status_code, answer.text, request_.status, *request_.expected)


@pytest.mark.parametrize("path", ["/session/..", "/session/../../etc/passwd", "/datastore/../../x", "/infer/../x"])
def test_dots_in_an_address_lead_nowhere(labelled: RunningServer, unchanged: None, path: str) -> None:
    status, _ = request_as_written(labelled, "GET", path)
    assert status in (404, 405)


@pytest.mark.parametrize("path", ["/ohif/..", "/ohif/../../main.py", "/ohif//etc/passwd", "/ohif/%2e%2e/%2e%2e/x"])
def test_dots_below_the_viewer_give_its_page(labelled: RunningServer, unchanged: None, path: str) -> None:
    status, body = request_as_written(labelled, "GET", path)
    assert status == 200
    assert "<html" in body.lower()


def test_head_requests_refuse_a_missing_image_or_label_by_status_alone(
    labelled: RunningServer, unchanged: None
) -> None:
    for path, status in [
        ("image?image=../case_0", 404),
        ("image?image=case_0&check_sum=CRC:1", 422),
        ("image?image=case_0&check_sum=SHA256:0", 404),
        ("image?image=case_0", 200),
        ("label?image=/etc/passwd&tag=final", 404),
        ("label?image=case_0&tag=../final", 422),
        ("label?image=case_0&tag=final", 200),
    ]:
        assert requests.head(f"{labelled.address}/datastore/{path}", timeout=60).status_code == status, path


# Uploaded models


@dataclass
class Intruder:
    """An object whose unpickling makes a file."""

    marker: Path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.marker,)


def legacy_pickle(file: Path, marker: Path) -> None:
    torch.save({"weights": Intruder(marker)}, file, _use_new_zipfile_serialization=False)


def zipped_pickle(file: Path, marker: Path) -> None:
    torch.save({"weights": Intruder(marker)}, file)


def bare_pickle(file: Path, marker: Path) -> None:
    file.write_bytes(pickle.dumps(Intruder(marker)))


@pytest.mark.parametrize("write", [legacy_pickle, zipped_pickle, bare_pickle])
def test_code_in_a_model_is_not_run(
    labelled: RunningServer, root: Path, tmp_path: Path, unchanged: None, write: Callable[[Path, Path], None]
) -> None:
    marker, pickled = root / "executed", tmp_path / "model.pt"
    write(pickled, marker)
    try:
        (pickle.loads(pickled.read_bytes()) if write is bare_pickle else torch.load(pickled, weights_only=False))
        assert marker.exists()  # a careless reader would run it
    finally:
        marker.unlink(missing_ok=True)
    file = pickled.rename(tmp_path / "model.safetensors")  # under this name torch itself would not unpickle it
    refuse_model(labelled, file, "is no model of this app")
    assert not marker.exists()


def refuse_model(server: RunningServer, file: Path, *expected: str) -> None:
    with file.open("rb") as content:
        answer = requests.put(f"{server.address}/model/segmentation", files={"file": content}, timeout=60)
    assert_refused(answer.status_code, answer.text, 422, file.name, *expected)


def test_a_file_that_is_no_model_of_this_project_is_refused(
    labelled: RunningServer, files: Path, tmp_path: Path, unchanged: None
) -> None:
    refuse_model(labelled, files / "notes.txt", "is no model of this app")
    refuse_model(labelled, files / "empty.nii.gz", "is no model of this app")
    whole = write_model(tmp_path / "whole.safetensors", LABELS).read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole[: len(whole) // 2])
    refuse_model(labelled, cut, "is no model of this app")
    recipe = load_recipe(str(TINY_RECIPE))
    wider = recipe.model_copy(update={"network": recipe.network.model_copy(update={"channels": (8, 16)})})
    refuse_model(
        labelled, write_model(tmp_path / "wider.safetensors", LABELS, wider), "network.channels 8, 16, expected 4, 8"
    )
    refuse_model(
        labelled, write_model(tmp_path / "turned.safetensors", LABELS[::-1]), "labels box, ball, expected ball, box"
    )
    broken = write_model(
        tmp_path / "broken.safetensors", LABELS, change=lambda weight: torch.full_like(weight, torch.nan)
    )
    refuse_model(labelled, broken, "not finite")


def test_model_under_an_unknown_name_is_refused(labelled: RunningServer, tmp_path: Path, unchanged: None) -> None:
    with write_model(tmp_path / "model.safetensors", LABELS).open("rb") as content:
        answer = requests.put(f"{labelled.address}/model/x", files={"file": content}, timeout=60)
    assert_refused(answer.status_code, answer.text, 404, "no model 'x'")


# With a model


@pytest.mark.parametrize("request_", WITH_MODEL, ids=str)
def test_bad_inference_is_refused(model: RunningServer, files: Path, unchanged: None, request_: Bad) -> None:
    answer = answer_of(model, request_, files)
    assert_refused(answer.status_code, answer.text, request_.status, *request_.expected)


def test_names_of_uploads_stay_inside(model: RunningServer, files: Path, unchanged: None) -> None:
    text = (files / "text.nii.gz").read_bytes()
    for sent, shown in [
        ("../../../x.nii.gz", "x.nii.gz"),
        ("C:\\ward\\x.nii.gz", "x.nii.gz"),
        ("/etc/passwd", "passwd"),
        ("..", "upload.nii.gz"),
        (".nii.gz", "upload.nii.gz"),
        ("x" * 300 + ".nii.gz", "xxx.nii.gz"),
        ("a\tb;c.nii.gz", "a_b_c.nii.gz"),
    ]:
        answer = requests.post(f"{model.address}{INFER}", files={"file": (sent, text)}, timeout=60)
        assert_refused(answer.status_code, answer.text, 422, shown, "cannot be read" if "nii" in shown else "ends in")


def test_session_files_stay_inside(model: RunningServer, root: Path, files: Path) -> None:
    before = snapshot(root)
    image = (files / "image.nii.gz").read_bytes()
    made = requests.put(
        f"{model.address}/session/", files={"files": ("../../../escaped.nii.gz", image)}, timeout=60
    ).json()
    kept = Path(made["session_info"]["image"])
    assert kept.name == "escaped.nii.gz"
    assert kept.is_relative_to(root / "home" / ".cache" / "monailabel" / "sessions")
    session = f"{model.address}/session/{made['session_id']}"
    assert requests.get(f"{session}?image=true", timeout=60).content == image
    assert requests.delete(session, timeout=60).ok
    shutil.rmtree(root / "home" / ".cache" / "monailabel" / "sessions")  # the host's folder for all sessions
    after = snapshot(root)
    # The host makes the folder of caches where nothing has made it yet.
    of_host = {name for name in after if "monailabel" in name or name == "home/.cache/"} - before.keys()
    assert {name: after[name] for name in after.keys() - of_host} == before


# Origins of requests


def test_pages_from_elsewhere_are_refused(model: RunningServer, unchanged: None) -> None:
    def ask(**headers: str) -> requests.Response:
        return requests.get(f"{model.address}/info/", headers=headers, timeout=60)

    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example:8000"}):
        answer = ask(**headers)
        assert_refused(answer.status_code, answer.text, 403, next(iter(headers.values())))
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
    assert requests.options(f"{model.address}/datastore/label", headers=preflight, timeout=60).status_code == 403
    assert ask(Origin=model.address).ok
    assert ask(Origin=VIEWER).headers["access-control-allow-origin"] == VIEWER


# Settings


def test_wrong_setting_stops_the_server_with_one_line(tmp_path: Path) -> None:
    wrong = {
        "repeats": ("many", "Monte Carlo repeats, 1 to 1000"),
        "retrain": ("5", "use one of recipe, labels"),
    }

    def start(key: str) -> tuple[int, str]:
        studies = tmp_path / key / "studies"
        studies.mkdir(parents=True)
        write_image(studies / "case.nii.gz")
        conf = {"labels": "ball", "recipe": "quick", key: wrong[key][0]}
        return RunningServer(studies, conf, tmp_path / f"{key}.log", {}).start_in_vain()

    with ThreadPoolExecutor() as threads:
        ended = dict(zip(wrong, threads.map(start, wrong), strict=True))
    for key, (code, printed) in ended.items():
        value, allowed = wrong[key]
        lines = [line for line in printed.splitlines() if "cannot start" in line]
        assert code == 2, printed
        assert "Traceback" not in printed
        assert len(lines) == 1
        for part in (key, value, allowed):
            assert part in lines[0]
        assert printed.splitlines()[-1] == lines[0]
        assert [path.name for path in (tmp_path / key).rglob("*")] == ["studies", "case.nii.gz"]


# After all bad requests


def test_the_server_is_as_well_as_before(model: RunningServer, root: Path, files: Path) -> None:
    """The bad requests have no late effect, the log shows no server error, and good requests still work."""
    before = snapshot(root)
    assert write_listing(model)["objects"].keys() == {f"case_{number}" for number in range(IMAGES)}
    assert snapshot(root) == before
    assert "Traceback" not in model.log.read_text(encoding="utf-8", errors="replace")
    for number in range(IMAGES):
        kept = nibabel.load(root / "studies" / "labels" / "final" / f"case_{number}.nii.gz")
        np.testing.assert_array_equal(kept.dataobj, boxes(1, 2))
    assert model.next_sample() == {}
    assert requests.put(
        f"{model.address}/datastore/image", files={"file": ("new.nii.gz", (files / "image.nii.gz").read_bytes())},
        timeout=60,
    ).json() == {"image": "new"}  # fmt: skip
    assert model.next_sample()["id"] == "new"
