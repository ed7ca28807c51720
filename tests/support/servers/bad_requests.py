"""Requests that are wrong in one way each, with the status and the words that the answer to each must have."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from small_studies import REASONS

NO_SESSION = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
HUGE = "x" * 5000


@dataclass(frozen=True)
class Bad:
    """A request, the status of its answer, and the words that the answer's one line must contain.

    `files` maps the form field in which a file is sent to the file's name.
    """

    name: str
    method: str
    path: str
    status: int
    expected: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def bad(
    name: str,
    method: str,
    path: str,
    status: int,
    *expected: str,
    files: Mapping[str, str] | None = None,
    **options: Any,
) -> Bad:
    return Bad(name, method, path, status, expected, files or {}, options)


def params_of(params: object) -> dict[str, Any]:
    """Return a form with the field `params`."""
    return {"data": {"params": params if isinstance(params, str) else json.dumps(params)}}


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
"""What needs a label or a model, while there is none."""

LABEL = "/datastore/label?image=case_0"
GOOD_LABEL = {"label": "good.nii.gz"}
JSON_TYPE = {"Content-Type": "application/json"}

BAD_PARAMS = [
    bad(f"label with params {shown}", "PUT", LABEL, status, expected, files=GOOD_LABEL, **params_of(params))
    for shown, params, status, expected in [
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
        ("no annotated slice", {"annotated_slices": []}, 422, "annotated_slices: expected"),
        ("annotated slices that are not there", {"annotated_slices": [0, 10_000]}, 422, "got 10000"),
        ("an annotated slice twice", {"annotated_slices": [1, 1]}, 422, "each once"),
        ("annotated slices a word", {"annotated_slices": "most"}, 422, "annotated_slices: expected"),
        ("annotated slices no numbers", {"annotated_slices": ["1", 1.5, None]}, 422, "annotated_slices: expected"),
        ("another image", {"image": "case_1"}, 403, "'image'"),
        ("a path", {"image_path": "/etc/passwd"}, 403, "'image_path'"),
        ("a session", {"session_id": NO_SESSION}, 403, "'session_id'"),
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
        bad(f"{method} label {what}", method, f"/datastore/label?{key}={image}&tag={tag}", status, expected)
        for method, key in (("GET", "label"), ("DELETE", "id"))
        for what, image, tag, status, expected in [
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
    *(
        bad(f"label's {key} changed", "PUT", "/datastore/label/info?label=case_0&tag=final", 403, f"'{key}'",
            data={"info": json.dumps({key: value})})
        for key, value in (("annotated_slices", "all"), ("slice_axis", 0))
    ),
    bad("label info no object", "PUT", "/datastore/label/info?label=case_0&tag=final", 422, data={"info": "[]"}),
    *(
        bad(f"{method} image {image}", method, f"/datastore/image?{key}={image}", 404, f"no image '{image}'")
        for method, key in (("GET", "image"), ("DELETE", "id"))
        for image in ("case_99", "../case_0", "/etc/passwd", "case_0.nii.gz")
    ),
    bad("image info outside", "GET", "/datastore/image/info?image=../x", 404, "no image"),
    bad("image path changed", "PUT", "/datastore/image/info?image=case_0", 403, "'path'",
        data={"info": '{"path": "/etc/passwd"}'}),
    bad("labels of an image changed", "PUT", "/datastore/image/info?image=case_0", 403, "'labels_not_used'",
        data={"info": '{"labels_not_used": []}'}),
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
    bad("image that would not be listed", "PUT", "/datastore/image?image=new", 422, "image.mhd",
        files={"file": "image.mhd"}),
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
        bad(f"training with {shown}", "POST", path, status, expected, json=params)
        for path in ("/train/segmentation", "/train/")
        for shown, params, status, expected in [
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
        bad(f"scoring with {shown}", "POST", path, status, expected, json=params)
        for path in ("/scoring/variance", "/scoring/")
        for shown, params, status, expected in [
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
"""What is wrong whether or not there is a model."""

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
        bad(f"inference with params {shown}", "POST", f"{INFER}?image=case_0", status, expected, **params_of(params))
        for shown, params, status, expected in [
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
        bad(f"batch inference with {shown}", "POST", BATCH, status, expected, json=params)
        for shown, params, status, expected in [
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
"""What is wrong although there is a model."""
