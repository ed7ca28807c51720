"""Routes for inference, and for sessions, which keep images for it outside the studies."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, File, Form, Query, UploadFile
from fastapi.concurrency import run_in_threadpool
from monailabel.endpoints import batch_infer, infer, session
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType
from monailabel.interfaces.utils.app import app_instance

from activelabel.errors import ForbiddenError, InvalidInputError, NotFoundError
from activelabel.server.known import require_known
from activelabel.server.routes.one_line_route import AnyUser, OneLineRoute, login
from activelabel.server.routes.request_checks import (
    no_session,
    parse_params,
    require_image,
    require_session,
)
from activelabel.server.routes.served import application
from activelabel.server.routes.task_options import BatchInferOptions, InferOptions, parse_options
from activelabel.server.routes.turns import queued, turns
from activelabel.server.routes.uploads import check_room_for_session, received, safe_name

router = APIRouter(route_class=OneLineRoute)


@router.post("/infer/{model}", response_model=None)
async def run_inference(
    background_tasks: BackgroundTasks,
    user: AnyUser,
    model: str,
    image: str = "",
    session_id: str = "",
    params: Annotated[str, Form()] = "{}",
    file: Annotated[UploadFile | None, File()] = None,
    label: Annotated[UploadFile | None, File()] = None,
    output: infer.ResultType | None = None,
) -> Any:
    """Segment the image of a session, else the uploaded file, else an image of the studies."""

    def run() -> Any:
        result = _infer(model, image, session_id, parse_params(params), file, output)
        return infer.send_response(application().datastore, result, output, background_tasks)

    return await turns.run(run)


def _infer(
    model: str,
    image: str,
    session_id: str,
    params: Mapping[str, Any],
    file: UploadFile | None,
    output: infer.ResultType | None,
) -> dict[str, Any]:
    app = application()
    require_known(model, app.tasks.infers, "model")
    options = parse_options(InferOptions, params, "inference")
    if output is infer.ResultType.dicom_seg:
        raise InvalidInputError("output 'dicom_seg': masks are sent as NIfTI or NRRD; use image, json or all")
    with tempfile.TemporaryDirectory() as folder:
        if session_id:
            source = _session_image(session_id)
        elif file is not None:
            source = str(received(file, folder))
        elif image:
            require_image(image, app.datastore)
            source = image
        else:
            raise InvalidInputError("inference needs image, session_id or file, and got none of them")
        return dict(app.inference.infer({**params, **options.model_dump(), "model": model, "image": source, **login()}))


def _session_image(session_id: str) -> str:
    require_session(session_id)
    sessions = app_instance().sessions()
    found = sessions.get_session(session_id) if sessions is not None else None
    return str(found.image) if found else no_session(session_id)


@router.post("/infer/wsi/{model}", include_in_schema=False)
@router.post("/infer/wsi_v2/{model}", include_in_schema=False)
def refuse_whole_slides(model: str, user: AnyUser) -> None:
    """Refuse the host's routes for pathology slides, whose requests may name any file of the server."""
    raise NotFoundError(f"'{model}' segments volumes, not whole slides: use POST /infer/{model}")


@router.post("/batch/infer/{model}", response_model=None)
def run_batch_inference(
    model: str,
    user: AnyUser,
    images: BatchInferImageType = BatchInferImageType.IMAGES_ALL,
    params: dict[str, Any] | None = None,
    run_sync: bool = False,
) -> Any:
    """Segment many images of the studies in the background."""
    app = application()
    require_known(model, app.tasks.infers, "model")
    options = parse_options(BatchInferOptions, params, "batch inference")
    app.models.require_labels_of(model)
    app.models.require_model()
    with queued("batch_infer", now=run_sync):
        return batch_infer.run(model, images, options.host_request(str(app.project.device)), run_sync)


@router.put("/session/")
async def create_session(
    background_tasks: BackgroundTasks,
    user: AnyUser,
    files: Annotated[list[UploadFile], File()],
    uncompress: bool = False,
    expiry: Annotated[int, Query(le=10**9)] = 0,
) -> dict[str, Any]:
    """Keep uploaded images for a while, outside the studies."""
    if uncompress:
        raise ForbiddenError(
            "uncompress is turned off, as an archive may write anywhere: send the image files themselves"
        )
    check_room_for_session(app_instance().sessions(), application().project.settings.sessions_at_once)
    names = [safe_name(file.filename) for file in files]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise InvalidInputError(f"two files are called {min(doubled)}: give each its own name")
    for file, name in zip(files, names, strict=True):
        file.filename = name
    return dict(await run_in_threadpool(session.create_session, background_tasks, False, expiry, files))


@router.get("/session/{session_id}", response_model=None)
def get_session(session_id: str, user: AnyUser, update_ts: bool = False, image: bool = False) -> Any:
    """Give the description of a session, or its image."""
    if image and Path(_session_image(session_id)).is_dir():
        raise InvalidInputError("the session's image is a folder of several files, which cannot be sent as one")
    require_session(session_id)
    return session.get_session(session_id, update_ts, image)


@router.delete("/session/{session_id}")
def remove_session(session_id: str, user: AnyUser) -> dict[str, Any]:
    """Remove a session and its image."""
    require_session(session_id)
    return dict(session.remove_session(session_id))
