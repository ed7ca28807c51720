"""Replacements of the host's routes, which check requests first and run off the event loop.

The host answers inference, next sample and saving inside `async def`, so that one request blocks all others, and it
does not check the names in a request. The routes here, in `datastore_routes` and in `inference_routes` take precedence
over the host's, with the same addresses and parameters. Permissions are checked before, by `server.access` with the
table in `server.login.roles`. Each route checks the names in the request, then calls the function behind the host's
route in a worker thread. Errors become a 4xx with their one line.
"""

import shutil
import subprocess
import tempfile
from typing import Any

from fastapi import APIRouter, Request, Response, UploadFile
from monailabel.endpoints import model as model_file
from monailabel.endpoints import scoring, train

from activelabel.errors import ForbiddenError, NotFoundError
from activelabel.server.known import require_known
from activelabel.server.login.gate import let_fetch
from activelabel.server.routes import (
    case_routes,
    datastore_routes,
    inference_routes,
    login_routes,
    map_routes,
    pages,
    progress_routes,
)
from activelabel.server.routes.one_line_route import AnyUser, OneLineRoute, login
from activelabel.server.routes.pacs_proxy import pass_to_pacs
from activelabel.server.routes.request_checks import check_params
from activelabel.server.routes.served import application
from activelabel.server.routes.task_options import ScoringOptions, parse_options, trainer_params
from activelabel.server.routes.turns import queued
from activelabel.server.routes.uploads import received
from activelabel.server.routes.viewer.files import ViewerFiles, configuration
from activelabel.server.routes.whole_file import whole_file
from activelabel.training.checkpoints import ENDING

router = APIRouter(route_class=OneLineRoute)

_VIEWER = ViewerFiles()


@router.get("/info/")
def app_info(user: AnyUser) -> Response:
    """Describe the app, its settings in force and the progress of the project."""
    return Response(application().info.as_json(application().blind.fold()), media_type="application/json")


@router.post("/activelearning/{strategy}")
def next_sample(request: Request, strategy: str, user: AnyUser, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """Give the next case to annotate; an empty object if none is left."""
    app = application()
    require_known(strategy, app.tasks.strategies, "strategy")
    asked = dict(params or {})
    check_params(asked)
    sample = app.cases.next_sample({**asked, **login(), "strategy": strategy})
    if sample:
        let_fetch(request, sample["id"])
    return {**app.datastore.get_image_info(sample["id"]), **sample} if sample else {}


@router.post("/train/", response_model=None, include_in_schema=False)
def run_all_training(user: AnyUser, params: dict[str, Any] | None = None, run_sync: bool = False) -> Any:
    """Train with every trainer."""
    app = application()
    trainers = app.tasks.trainers
    asked = {trainer: trainer_params(params, trainer, trainers) for trainer in trainers}
    for trainer in trainers:
        app.check_training(trainer, asked[trainer])
    with queued("train", now=run_sync):
        return {
            trainer: {"result": train.run_model(trainer, asked[trainer], run_sync, enqueue=True), "detail": None}
            for trainer in trainers
        }


@router.post("/train/{model}", response_model=None)
def run_training(
    model: str, user: AnyUser, params: dict[str, Any] | None = None, run_sync: bool = False, enqueue: bool = False
) -> Any:
    """Train in the background."""
    app = application()
    trainers = app.tasks.trainers
    require_known(model, trainers, "trainer")
    asked = trainer_params(params, model, trainers)
    app.check_training(model, asked)
    with queued("train", now=run_sync):
        return train.run_model(model, asked, run_sync, enqueue)


@router.post("/scoring/", response_model=None, include_in_schema=False)
def run_all_scoring(user: AnyUser, params: dict[str, Any] | None = None, run_sync: bool = False) -> Any:
    """Score with every method."""
    parse_options(ScoringOptions, params, "scoring")
    application().models.require_model()
    with queued("scoring", now=run_sync):
        return scoring.run({}, run_sync)


@router.post("/scoring/{method}", response_model=None)
def run_scoring(method: str, user: AnyUser, params: dict[str, Any] | None = None, run_sync: bool = False) -> Any:
    """Score the images without a score, in the background."""
    app = application()
    require_known(method, app.tasks.scoring_methods, "scoring method")
    parse_options(ScoringOptions, params, "scoring")
    app.models.require_model_of(method)
    with queued("scoring", now=run_sync):
        return scoring.run_method(method, {}, run_sync)


@router.get("/model/info/{model}")
def model_info(model: str, user: AnyUser) -> dict[str, Any]:
    """Give checksum and statistics of the model in use."""
    require_known(model, application().tasks.infers, "model")
    return dict(model_file.model_info(model))


@router.get("/model/{model}", response_model=None)
def download_model(model: str, user: AnyUser) -> Any:
    """Download the model in use."""
    require_known(model, application().tasks.infers, "model")
    file = application().models.file()
    if file is None or not file.is_file():
        raise NotFoundError(f"model '{model}': there is no file of one in use: train a model, or put its file back")
    return whole_file(file, f"{model}{ENDING}")


@router.put("/model/{model}")
def upload_model(model: str, file: UploadFile, user: AnyUser) -> dict[str, Any]:
    """Publish a model file as a new version, if it fits this project's network and labels."""
    app = application()
    require_known(model, app.tasks.infers, "model")
    with tempfile.TemporaryDirectory() as folder:
        return dict(app.models.adopt(received(file, folder, app.models.largest_bytes())))


@router.delete("/model/{model}")
def withdraw_model(model: str, user: AnyUser) -> dict[str, Any]:
    """Withdraw the model in use; the best of the remaining models is used."""
    app = application()
    require_known(model, app.tasks.infers, "model")
    return dict(app.models.withdraw())


@router.post("/reload", include_in_schema=False)
def reload_app(user: AnyUser) -> None:
    """Refuse: a second instance of the app would run beside the first."""
    raise ForbiddenError("reload is turned off: restart the server, nothing that was acknowledged is lost")


@router.get("/proxy/dicom/{path:path}", include_in_schema=False, response_model=None)
@router.post("/proxy/dicom/{path:path}", include_in_schema=False, response_model=None)
async def proxy_dicom(request: Request, path: str, user: AnyUser) -> Response:
    """Forward a viewer's request to the PACS."""
    return await pass_to_pacs(request, path)


@router.get("/ohif/app-config.js", include_in_schema=False)
def configure_ohif(request: Request, user: AnyUser) -> Response:
    """Give the configuration of the viewer that the host serves."""
    return configuration().answer(request.headers)


@router.get("/logs/gpu")
def show_gpu(user: AnyUser) -> Response:
    """Show the output of `nvidia-smi`."""
    command = shutil.which("nvidia-smi")
    if command is None:
        raise NotFoundError("this machine has no nvidia-smi, so probably no NVIDIA GPU")
    printed = subprocess.run([command], capture_output=True, encoding="utf-8", errors="replace", check=False).stdout
    return Response(printed, media_type="text/plain")


@router.get("/ohif/{path:path}", include_in_schema=False, response_model=None)
def ohif_page(request: Request, path: str, user: AnyUser) -> Response:
    """Give a file of the viewer, or its page for any other address below `/ohif/`, which the viewer itself reads."""
    return _VIEWER.content(path).answer(request.headers)


_OWN = (
    router,
    login_routes.router,
    pages.router,
    datastore_routes.router,
    inference_routes.router,
    case_routes.router,
    map_routes.router,
    progress_routes.router,
)
ROUTES = [route for own in _OWN for route in own.routes]
"""All routes, in matching order."""
