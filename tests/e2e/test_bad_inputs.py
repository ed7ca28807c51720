"""Every bad input has its 4xx with one clear line, and changes nothing: no file, no folder, no row of the ledger."""

import http.client
import json
import pickle
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
import SimpleITK
import torch
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
WRITTEN_BEHIND_SECONDS = 1.5
"""After that long, the server has written its listing of the studies if something had changed it."""

NO_SESSION = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
HUGE = "x" * 5000


@dataclass(frozen=True)
class Bad:
    """A request, the status it must have, and what its one line must say.

    `files` are names of bad or good files by the field in which they are sent.
    """

    name: str
    method: str
    path: str
    status: int
    said: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def bad(
    name: str, method: str, path: str, status: int, *said: str, files: Mapping[str, str] | None = None, **options: Any
) -> Bad:
    return Bad(name, method, path, status, said, files or {}, options)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is watched: studies and all around them."""
    root = tmp_path_factory.mktemp("bad-inputs")
    (root / "studies").mkdir()
    for number in range(IMAGES):
        write_image(root / "studies" / f"case_{number}.nii.gz", number)
    return root


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is sent, by name."""
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
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(folder / "image.nii.gz")), str(folder / "image.mha"))
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(folder / "good.nii.gz")), str(folder / "good.seg.nrrd"))
    colours = SimpleITK.GetImageFromArray(np.zeros((*reversed(SHAPE), 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(colours, str(folder / "colours.nrrd"))
    return folder


@pytest.fixture(scope="module")
def server(start_server: Callable[..., RunningServer], root: Path) -> RunningServer:
    """A server that does nothing by itself."""
    conf = {"recipe": TINY_RECIPE, "labels": ",".join(LABELS), "device": "cpu", "autopilot": "false"}
    server = start_server(root / "studies", **conf, allowed_origins=VIEWER)
    time.sleep(WRITTEN_BEHIND_SECONDS)
    return server


@pytest.fixture(scope="module")
def labelled(server: RunningServer, files: Path) -> RunningServer:
    """The server with a label for each image: those that must stay."""
    for number in range(IMAGES):
        server.save_label(f"case_{number}", files / "good.nii.gz")
    time.sleep(WRITTEN_BEHIND_SECONDS)
    return server


@pytest.fixture(scope="module")
def model(labelled: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> RunningServer:
    """The server with labels and a model in use."""
    file = write_model(tmp_path_factory.mktemp("model") / "model.pt", LABELS)
    with file.open("rb") as content:
        answer = requests.put(f"{labelled.address}/model/segmentation", files={"file": content}, timeout=60)
    assert answer.ok, answer.text
    mask, _ = labelled.client.infer(
        "segmentation", "case_0", {}
    )  # what the libraries write at their first use is there
    Path(mask).unlink()
    return labelled


@pytest.fixture
def unchanged(root: Path) -> Iterator[None]:
    """Whatever the test does, nothing may come of it."""
    before = snapshot(root)
    yield
    assert snapshot(root) == before


def answer_of(server: RunningServer, request: Bad, files: Path) -> requests.Response:
    sent = {part: (name, (files / name).read_bytes()) for part, name in request.files.items()}
    return requests.request(
        request.method, f"{server.address}{request.path}", files=sent or None, timeout=60, **request.options
    )


def assert_refused(status: int, body: str, wanted: int, *said: str) -> None:
    """The status that is wanted, and one line that says all of `said`, without anything of the server's inside."""
    assert status == wanted, body
    line = json.loads(body)["detail"]
    assert isinstance(line, str)
    assert "\n" not in line
    assert len(line) < 700
    for part in said:
        assert part in line, line
    for inside in ("Traceback", "Error:", "/tmp/tmp", "site-packages"):
        assert inside not in line


def request_as_written(server: RunningServer, method: str, path: str) -> tuple[int, str]:
    """Send a path as it is; an ordinary client would resolve its dots."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.read().decode()


# Before there is anything


FIRST = [
    bad("training without labels", "POST", "/train/segmentation", 409, "no training case is annotated"),
    bad("all trainers without labels", "POST", "/train/", 409, "no training case is annotated"),
    bad("training elsewhere without labels", "POST", "/train/segmentation", 409, json={"name": "../../x"}),
    bad("inference without a model", "POST", "/infer/segmentation?image=case_0", 409, "no model yet"),
    bad("batch inference without a model", "POST", "/batch/infer/segmentation", 409, "no model yet"),
    bad("scoring without a model", "POST", "/scoring/variance", 409, "no model yet"),
    bad("all scoring without a model", "POST", "/scoring/", 409, "no model yet"),
    bad("model download without a model", "GET", "/model/segmentation", 404, "segmentation"),
    bad("model info without a model", "GET", "/model/info/segmentation", 404, "segmentation"),
    bad("withdrawing without a model", "DELETE", "/model/segmentation", 409, "no model yet"),
    bad("data set without labels", "GET", "/datastore/dataset", 409, "no label yet"),
]


@pytest.mark.parametrize("request_", FIRST, ids=str)
def test_what_must_come_first_is_said(server: RunningServer, files: Path, unchanged: None, request_: Bad) -> None:
    answer = answer_of(server, request_, files)
    assert_refused(answer.status_code, answer.text, request_.status, *request_.said)


# Labels, by the host's own client


BAD_LABELS = {
    **{f"{kind}.nii.gz": ({}, word) for kind, word in REASONS.items()},
    "other-grid.nii.gz": ({}, "12x10x9 voxels, expected its image's 12x10x8"),
    "other-affine.nii.gz": ({}, "affine is not its image's"),
    "fractions.nii.gz": ({}, "no whole numbers, for example 0.5"),
    "unnamed-value.nii.gz": ({}, "value 3"),
    "negative-value.nii.gz": ({}, "value -1"),
    "notes.txt": ({}, "expected a file that ends in .nii"),
    "good.seg.nrrd": ({}, "expected a label map"),
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
    """Status and body of the answer that the host's client gets to a label."""
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


# Everything else that a request may get wrong, while there is no model


def params_of(params: object) -> dict[str, Any]:
    """A form with the field `params`."""
    return {"data": {"params": params if isinstance(params, str) else json.dumps(params)}}


LABEL = "/datastore/label?image=case_0"
GOOD_LABEL = {"label": "good.nii.gz"}
JSON_TYPE = {"Content-Type": "application/json"}

BAD_PARAMS = [
    bad(f"label with params {shown}", "PUT", LABEL, status, said, files=GOOD_LABEL, **params_of(params))
    for shown, params, status, said in [
        ("a list", [1], 422, "expected a JSON object"),
        ("a number", 3, 422, "expected a JSON object"),
        ("malformed", "{", 422, "expected a JSON object"),
        ("too deep", "[" * 100_000, 422, "expected a JSON object"),
        ("NaN", '{"x": NaN}', 422, "NaN is no JSON number"),
        ("half a character", '{"x": "\\ud800"}', 422, "expected a JSON object"),
        ("inner params odd", {"params": [1]}, 422, "params"),
        ("client a number", {"client_id": 5}, 422, "client_id"),
        ("client an object", {"client_id": {"a": 1}}, 422, "client_id"),
        ("client very long", {"client_id": HUGE}, 422, "client_id"),
        ("client with a line break", {"client_id": "ann\nroot"}, 422, "client_id"),
        ("client half a character", '{"client_id": "\\ud800"}', 422, "params"),
        ("image", {"image": "case_1"}, 403, "'image'"),
        ("model", {"model": "x"}, 403, "'model'"),
    ]
]

BAD_NAMES = [
    bad("label tag outside", "PUT", f"{LABEL}&tag=../../../x", 422, "tag '../../../x'", files=GOOD_LABEL),
    bad("label tag absolute", "PUT", f"{LABEL}&tag=/tmp/x", 422, "tag", files=GOOD_LABEL),
    bad("label tag hidden", "PUT", f"{LABEL}&tag=.git", 422, "tag", files=GOOD_LABEL),
    bad("label tag huge", "PUT", f"{LABEL}&tag={HUGE}", 422, "tag", files=GOOD_LABEL),
    bad("label tag with a line break", "PUT", f"{LABEL}&tag=a%0Ab", 422, "tag", files=GOOD_LABEL),
    bad("label tag with a NUL", "PUT", f"{LABEL}&tag=a%00b", 422, "tag", files=GOOD_LABEL),
    bad("label image with a NUL", "PUT", "/datastore/label?image=a%00b", 404, "no image", files=GOOD_LABEL),
    bad("label without a file", "PUT", LABEL, 422, "label: Field required"),
    bad("label as a text field", "PUT", LABEL, 422, "label", data={"label": "x"}),
    bad("label without an image", "PUT", "/datastore/label", 422, "image: Field required", files=GOOD_LABEL),
    *(
        bad(f"{method} label {what}", method, f"/datastore/label?{key}={image}&tag={tag}", status, said)
        for method, key in (("GET", "label"), ("DELETE", "id"))
        for what, image, tag, status, said in [
            ("image outside", "../case_0", "final", 404, "no image '../case_0'"),
            ("image absolute", "/etc/passwd", "final", 404, "no image '/etc/passwd'"),
            ("tag outside", "case_0", "../final", 422, "tag '../final'"),
            ("tag of no label", "case_0", "original", 404, "no label tagged 'original'"),
        ]
    ),
    bad("label info outside", "GET", "/datastore/label/info?label=../x&tag=final", 404, "no image"),
    bad("label info changed outside", "PUT", "/datastore/label/info?label=../x&tag=final", 404, "no image"),
    bad("label's names changed", "PUT", "/datastore/label/info?label=case_0&tag=final", 403, "'label_info'",
        data={"info": '{"label_info": []}'}),
    bad("label's names changed, older address", "PUT", "/datastore/updatelabelinfo?label=case_0&tag=final", 403,
        "'params'", data={"params": '{"params": {"label_names": {"ball": 2}}}'}),
    bad("label info no object", "PUT", "/datastore/label/info?label=case_0&tag=final", 422, data={"info": "[]"}),
    *(
        bad(f"{method} image {image}", method, f"/datastore/image?{key}={image}", 404, f"no image '{image}'")
        for method, key in (("GET", "image"), ("DELETE", "id"))
        for image in ("case_99", "../case_0", "/etc/passwd", "case_0.nii.gz")
    ),
    bad("image info outside", "GET", "/datastore/image/info?image=../x", 404, "no image"),
    bad("image path changed", "PUT", "/datastore/image/info?image=case_0", 403, "'path'",
        data={"info": '{"path": "/etc/passwd"}'}),
    bad("listing of an unknown kind", "GET", "/datastore/?output=x", 422, "output"),
    bad("data set of no cases", "GET", "/datastore/dataset?limit_cases=0", 422, "limit_cases"),
]  # fmt: skip

BAD_IMAGES = [
    *(
        bad(f"image {kind}", "PUT", "/datastore/image?image=new", 422, f"{kind}.nii.gz", word,
            files={"file": f"{kind}.nii.gz"})
        for kind, word in REASONS.items()
    ),
    *(
        bad(f"image called {shown}", "PUT", f"/datastore/image?image={image}", 422, "image id",
            files={"file": "image.nii.gz"})
        for shown, image in [
            ("outside", "../x"), ("absolute", "/tmp/x"), ("hidden", ".x"), ("deep", "a/b"), ("Windows", "a%5Cb"),
            ("huge", HUGE), ("with a line break", "a%0Ab"), ("with its ending", "new.nii.gz"), ("dots", "..."),
        ]
    ),
    bad("image that exists", "PUT", "/datastore/image?image=case_0", 409, "an image 'case_0' already",
        files={"file": "image.nii.gz"}),
    bad("image that exists, older address", "PUT", "/datastore/?image=case_0", 409, "an image 'case_0' already",
        files={"file": "image.nii.gz"}),
    bad("image of no ending", "PUT", "/datastore/image?image=new", 422, "notes.txt", files={"file": "notes.txt"}),
    bad("image that would not be listed", "PUT", "/datastore/image?image=new", 422, "image.mha",
        files={"file": "image.mha"}),
]  # fmt: skip

BAD_TASKS = [
    bad("unknown strategy", "POST", "/activelearning/best", 404, "no strategy 'best': use one of", "random"),
    bad("next sample for a number", "POST", "/activelearning/random", 422, "client_id", json={"client_id": 5}),
    bad("next sample for a long name", "POST", "/activelearning/random", 422, "client_id", json={"client_id": HUGE}),
    bad("next sample for two lines", "POST", "/activelearning/random", 422, "client_id", json={"client_id": "a\nb"}),
    bad("next sample by another strategy", "POST", "/activelearning/random", 403, "'strategy'",
        json={"strategy": "random_volumes"}),
    bad("next sample with a list", "POST", "/activelearning/random", 422, "the body", json=[1]),
    bad("next sample with no JSON", "POST", "/activelearning/random", 422, "JSON decode", data="{", headers=JSON_TYPE),
    bad("next sample too deep", "POST", "/activelearning/random", 400, "body", data="[" * 200_000, headers=JSON_TYPE),
    bad("unknown model", "POST", "/infer/best?image=case_0", 404, "no model 'best': use one of segmentation"),
    bad("unknown model, in batch", "POST", "/batch/infer/best", 404, "no model 'best'"),
    bad("unknown trainer", "POST", "/train/best", 404, "no trainer 'best': use one of segmentation"),
    bad("unknown scoring", "POST", "/scoring/best", 404, "no scoring method 'best'", "variance"),
    *(
        bad(f"training with {shown}", "POST", path, status, said, json=params)
        for path in ("/train/segmentation", "/train/")
        for shown, params, status, said in [
            ("an unknown option", {"epochs": 3}, 422, "'epochs' is not a known key"),
            ("own training files", {"train_ds": [{"image": "/etc/passwd"}]}, 422, "'train_ds'"),
            ("own validation files", {"val_ds": "/etc/passwd"}, 422, "'val_ds'"),
            ("epochs in words", {"max_epochs": "many"}, 422, "'max_epochs' is 'many'"),
            ("no epochs", {"max_epochs": 0}, 422, "'max_epochs' is 0"),
            ("an unknown device", {"device": "toaster"}, 422, "device"),
            ("odd GPUs", {"gpus": [0]}, 422, "gpus"),
            ("a folder of code", {"bundle_path": "/tmp"}, 403, "'bundle_path'"),
            ("another model", {"model": "x"}, 403, "'model'"),
            ("an object", {"gpus": {"a": 1}}, 422, "'gpus' is an object"),
            ("bad inner options", {"segmentation": {"max_epochs": 0}}, 422, "'max_epochs' is 0"),
            ("inner code", {"segmentation": {"bundle_path": "/tmp"}}, 403, "'bundle_path'"),
        ]
    ),
    bad("training with a list", "POST", "/train/segmentation", 422, "the body", json=["x"]),
    bad("training perhaps at once", "POST", "/train/segmentation?run_sync=perhaps", 422, "run_sync"),
    *(
        bad(f"scoring with {shown}", "POST", path, status, said, json=params)
        for path in ("/scoring/variance", "/scoring/")
        for shown, params, status, said in [
            ("an unknown option", {"repeats": 3}, 422, "'repeats' is not a known key"),
            ("odd GPUs", {"gpus": 0}, 422, "'gpus' is not a known key"),
            ("a folder of code", {"bundle_path": "/tmp"}, 403, "'bundle_path'"),
            ("another method", {"method": "entropy"}, 403, "'method'"),
        ]
    ),
    bad("reload", "POST", "/reload", 403, "reload is turned off"),
    bad("proxy without a PACS", "GET", "/proxy/dicom/wado/studies", 404, "no PACS"),
    bad("storing without a PACS", "POST", "/proxy/dicom/stow/studies", 404, "no PACS", data=b"x"),
    bad("log of endless length", "GET", f"/logs/?lines={10**30}", 422, "lines"),
]  # fmt: skip

BAD_SESSIONS = [
    bad("session from an archive", "PUT", "/session/?uncompress=true", 403, "uncompress is turned off",
        files={"files": "image.nii.gz"}),
    bad("session without files", "PUT", "/session/", 422, "files: Field required"),
    *(
        bad(f"{method} session {session}", method, f"/session/{session}", 404, "")
        for method in ("GET", "DELETE")
        for session in (NO_SESSION, "x", "%2e%2e", "..%2f..%2fx", NO_SESSION.upper())
    ),
]  # fmt: skip

WITHOUT_MODEL = [*BAD_PARAMS, *BAD_NAMES, *BAD_IMAGES, *BAD_TASKS, *BAD_SESSIONS]


@pytest.mark.parametrize("request_", WITHOUT_MODEL, ids=str)
def test_bad_request_is_refused(labelled: RunningServer, files: Path, unchanged: None, request_: Bad) -> None:
    answer = answer_of(labelled, request_, files)
    assert_refused(answer.status_code, answer.text, request_.status, *request_.said)


@pytest.mark.parametrize("path", ["/session/..", "/session/../../etc/passwd", "/datastore/../../x", "/infer/../x"])
def test_dots_in_an_address_lead_nowhere(labelled: RunningServer, unchanged: None, path: str) -> None:
    status, _ = request_as_written(labelled, "GET", path)
    assert status in (404, 405)


@pytest.mark.parametrize("path", ["/ohif/..", "/ohif/../../main.py", "/ohif//etc/passwd", "/ohif/%2e%2e/%2e%2e/x"])
def test_dots_below_the_viewer_give_its_page(labelled: RunningServer, unchanged: None, path: str) -> None:
    status, body = request_as_written(labelled, "GET", path)
    assert status == 200
    assert "<html" in body.lower()


def test_missing_image_or_label_is_said_without_a_body(labelled: RunningServer, unchanged: None) -> None:
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
    """What is unpickled with it: a file is made."""

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
    marker, file = root / "executed", tmp_path / "model.pt"
    write(file, marker)
    try:
        (pickle.loads(file.read_bytes()) if write is bare_pickle else torch.load(file, weights_only=False))
        assert marker.exists()  # whoever reads it carelessly runs it
    finally:
        marker.unlink(missing_ok=True)
    refuse_model(labelled, file, "is no model of this app")
    assert not marker.exists()


def refuse_model(server: RunningServer, file: Path, *said: str) -> None:
    with file.open("rb") as content:
        answer = requests.put(f"{server.address}/model/segmentation", files={"file": content}, timeout=60)
    assert_refused(answer.status_code, answer.text, 422, file.name, *said)


def test_what_is_no_model_of_this_project_is_refused(
    labelled: RunningServer, files: Path, tmp_path: Path, unchanged: None
) -> None:
    refuse_model(labelled, files / "notes.txt", "is no model of this app")
    refuse_model(labelled, files / "empty.nii.gz", "is no model of this app")
    whole = write_model(tmp_path / "whole.pt", LABELS).read_bytes()
    cut = tmp_path / "cut.pt"
    cut.write_bytes(whole[: len(whole) // 2])
    refuse_model(labelled, cut, "is no model of this app")
    recipe = load_recipe(str(TINY_RECIPE))
    wider = recipe.model_copy(update={"network": recipe.network.model_copy(update={"channels": (8, 16)})})
    refuse_model(labelled, write_model(tmp_path / "wider.pt", LABELS, wider), "network.channels 8, 16, expected 4, 8")
    refuse_model(labelled, write_model(tmp_path / "turned.pt", LABELS[::-1]), "labels box, ball, expected ball, box")
    broken = write_model(tmp_path / "broken.pt", LABELS, change=lambda weight: torch.full_like(weight, torch.nan))
    refuse_model(labelled, broken, "not finite")


def test_model_under_an_unknown_name_is_refused(labelled: RunningServer, tmp_path: Path, unchanged: None) -> None:
    with write_model(tmp_path / "model.pt", LABELS).open("rb") as content:
        answer = requests.put(f"{labelled.address}/model/x", files={"file": content}, timeout=60)
    assert_refused(answer.status_code, answer.text, 404, "no model 'x'")


# With a model


INFER = "/infer/segmentation"
BATCH = "/batch/infer/segmentation"

WITH_MODEL = [
    bad("inference of nothing", "POST", INFER, 422, "image, session_id or file"),
    *(
        bad(f"inference of image {image}", "POST", f"{INFER}?image={image}", 404, f"no image '{image}'")
        for image in ("case_99", "../case_0", "/etc/passwd", "/etc")
    ),
    *(
        bad(f"inference of a sent file {kind}", "POST", INFER, 422, f"{kind}.nii.gz", word,
            files={"file": f"{kind}.nii.gz"})
        for kind, word in REASONS.items()
    ),
    *(
        bad(f"inference with params {shown}", "POST", f"{INFER}?image=case_0", status, said, **params_of(params))
        for shown, params, status, said in [
            ("that name another image", {"image": "/etc/passwd"}, 403, "'image'"),
            ("that name a path", {"image_path": "/etc/passwd"}, 403, "'image_path'"),
            ("that name another model", {"model": "x"}, 403, "'model'"),
            ("that name a session", {"session": {"image": "/etc/passwd"}}, 403, "'session'"),
            ("a list", [1], 422, "expected a JSON object"),
            ("of an unknown extension", {"result_extension": ".png"}, 422, "result_extension '.png'"),
            ("of an odd extension", {"result_extension": ["x"]}, 422, "result_extension"),
            ("of an unknown type", {"result_dtype": "float64"}, 422, "result_dtype 'float64'"),
            ("that keep it perhaps", {"save_label": "perhaps"}, 422, "save_label"),
            ("that keep it outside", {"save_label": True, "label_tag": "../x"}, 422, "tag '../x'"),
            ("that keep it as an annotation", {"save_label": True, "label_tag": "final"}, 403, "'final'"),
            ("a tag of a number", {"save_label": True, "label_tag": 5}, 422, "label_tag"),
        ]
    ),
    bad("inference by an unknown measure", "POST", "/infer/uncertainty?image=case_0", 422, "measure",
        **params_of({"measure": "doubt"})),
    bad("inference that keeps no label as one", "POST", "/infer/uncertainty?image=case_0", 422, "no label",
        **params_of({"save_label": True})),
    bad("batch inference that keeps no labels as such", "POST", "/batch/infer/uncertainty", 422, "no label"),
    bad("inference as DICOM SEG", "POST", f"{INFER}?image=case_0&output=dicom_seg", 422, "dicom_seg"),
    bad("inference as something else", "POST", f"{INFER}?image=case_0&output=x", 422, "output"),
    *(
        bad(f"inference in session {session}", "POST", f"{INFER}?session_id={session}", 404, "no session")
        for session in (NO_SESSION, "../x", "/etc", HUGE)
    ),
    *(
        bad(f"batch inference with {shown}", "POST", BATCH, status, said, json=params)
        for shown, params, status, said in [
            ("paths", {"images": ["/etc/passwd"]}, 403, "'images'"),
            ("a folder of code", {"bundle_path": "/tmp"}, 403, "'bundle_path'"),
            ("a tag outside", {"label_tag": "../x"}, 422, "tag '../x'"),
            ("annotations as its result", {"label_tag": "final"}, 403, "'final'"),
            ("a size in words", {"max_batch_size": "all"}, 422, "'max_batch_size' is 'all'"),
            ("an unknown option", {"workers": 4}, 422, "'workers' is not a known key"),
        ]
    ),
    bad("batch inference of unknown images", "POST", f"{BATCH}?images=mine", 422, "images"),
    *(
        bad(f"{path} of {image}", "POST", f"/infer/{path}/segmentation?image={image}", 404, "not whole slides", **sent)
        for path, sent in (
            ("wsi", {"json": {"params": {"image": "/etc/passwd"}}}),
            ("wsi_v2", {"data": {"wsi": '{"params": {"image": "/etc/passwd"}}'}}),
        )
        for image in ("case_0", "/etc/passwd")
    ),
]  # fmt: skip


@pytest.mark.parametrize("request_", WITH_MODEL, ids=str)
def test_bad_inference_is_refused(model: RunningServer, files: Path, unchanged: None, request_: Bad) -> None:
    answer = answer_of(model, request_, files)
    assert_refused(answer.status_code, answer.text, request_.status, *request_.said)


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
    shutil.rmtree(root / "home" / ".cache" / "monailabel" / "sessions")  # the host's folder for all of them
    after = snapshot(root)
    assert {name: after[name] for name in after if "monailabel" not in name} == before


# Who asks


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
        said = [line for line in printed.splitlines() if "cannot start" in line]
        assert code == 2, printed
        assert "Traceback" not in printed
        assert len(said) == 1
        for part in (key, value, allowed):
            assert part in said[0]
        assert printed.splitlines()[-1] == said[0]
        assert [path.name for path in (tmp_path / key).rglob("*")] == ["studies", "case.nii.gz"]


# After all of that


def test_the_server_is_as_well_as_before(model: RunningServer, root: Path, files: Path) -> None:
    """Nothing came of it late either, nothing was a defect of the server, and good requests go on working."""
    before = snapshot(root)
    time.sleep(WRITTEN_BEHIND_SECONDS)
    assert snapshot(root) == before
    assert "Traceback" not in model.log.read_text()
    assert set(requests.get(f"{model.address}/datastore/?output=all", timeout=60).json()["objects"]) == {
        f"case_{number}" for number in range(IMAGES)
    }
    for number in range(IMAGES):
        kept = nibabel.load(root / "studies" / "labels" / "final" / f"case_{number}.nii.gz")
        np.testing.assert_array_equal(kept.dataobj, boxes(1, 2))
    assert model.next_sample() == {}
    assert requests.put(
        f"{model.address}/datastore/image", files={"file": ("new.nii.gz", (files / "image.nii.gz").read_bytes())},
        timeout=60,
    ).json() == {"image": "new"}  # fmt: skip
    assert model.next_sample()["id"] == "new"
