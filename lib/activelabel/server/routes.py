"""The host's routes again, checked first and off the event loop.

The host answers inference, next sample and saving inside `async def`, so one of them holds up all the others; and it
believes whatever a request names. The routes here stand in front of the host's own: the same addresses, parameters and
roles. Each checks what is named, then calls the function behind the host's route in a worker thread. Errors become a
4xx with their one line.
"""

import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, File, Form, HTTPException, Request, Response, UploadFile
from fastapi.routing import APIRoute
from monailabel.config import settings as host_settings
from monailabel.endpoints import batch_infer, datastore, infer, scoring, session, train, wsi_infer
from monailabel.endpoints import model as model_file
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.interfaces.exception import MONAILabelException
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType
from monailabel.interfaces.utils.app import app_instance

from activelabel.errors import (
    ActiveLabelError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    NotReadyError,
    UnavailableError,
)
from activelabel.server.annotator import client_address
from activelabel.server.checks import (
    parse_params,
    refuse_reserved,
    require_image,
    require_known,
    require_label,
    require_new_image_id,
    require_session,
    require_tag,
)
from activelabel.server.pacs_proxy import pass_to_pacs

STATUS: dict[type[ActiveLabelError], int] = {
    InvalidInputError: 422,
    NotFoundError: 404,
    NotReadyError: 409,
    ForbiddenError: 403,
    UnavailableError: 503,
}

AnyUser = Annotated[User, Depends(RBAC(host_settings.MONAI_LABEL_AUTH_ROLE_USER))]
Annotator = Annotated[User, Depends(RBAC(host_settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]
Admin = Annotated[User, Depends(RBAC(host_settings.MONAI_LABEL_AUTH_ROLE_ADMIN))]


class OneLineRoute(APIRoute):
    """A route whose user errors are a 4xx with one line, and that knows whose machine it answers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route's handler."""
        handle = super().get_route_handler()

        async def handle_in_one_line(request: Request) -> Response:
            client_address.set(request.client.host if request.client else "")
            try:
                return await handle(request)
            except ActiveLabelError as error:
                raise HTTPException(STATUS.get(type(error), 400), str(error)) from error
            except MONAILabelException as error:
                raise HTTPException(400, str(error.msg)) from error

        return handle_in_one_line


router = APIRouter(route_class=OneLineRoute)


@router.get("/info/")
def app_info(user: AnyUser) -> dict[str, Any]:
    """What the app is, which values are in force and how far the project is."""
    return dict(app_instance().info())


@router.post("/activelearning/{strategy}")
def next_sample(strategy: str, user: AnyUser, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """The next case to annotate; an empty object when nothing is left."""
    app = app_instance()
    require_known(strategy, app.info_names("strategies"), "strategy")
    request = dict(params or {})
    refuse_reserved(request)
    sample = app.next_sample({**request, **login(user), "strategy": strategy})
    return {**app.datastore().get_image_info(sample["id"]), **sample} if sample else {}


@router.post("/infer/wsi/{model}")
def run_wsi_inference(model: str, user: AnyUser, image: str = "", params: dict[str, Any] | None = None) -> Any:
    """Whole-slide inference, which no model here offers beyond the plain one."""
    _check_inference(model, image, "", params or {})
    return wsi_infer.run_wsi_inference(BackgroundTasks(), model, image, "", params)


@router.post("/infer/{model}", response_model=None)
def run_inference(
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
    """Segment an image of the studies, of a session, or one sent along."""
    if file is None and not image and not session_id:
        raise InvalidInputError("inference needs image, session_id or file, and got none of them")
    if image:
        require_image(image, app_instance().datastore())
    _check_inference(model, image, session_id, parse_params(params))
    return infer.run_inference(background_tasks, model, image, session_id, params, file, label, output)


def _check_inference(model_name: str, image: str, session_id: str, params: dict[str, Any]) -> None:
    app = app_instance()
    require_known(model_name, app.info_names("models"), "model")
    refuse_reserved(params)
    if image:
        require_image(image, app.datastore())
    require_session(session_id)


@router.post("/batch/infer/{model}", response_model=None)
def run_batch_inference(
    model: str,
    user: Admin,
    images: BatchInferImageType = BatchInferImageType.IMAGES_ALL,
    params: dict[str, Any] | None = None,
    run_sync: bool = False,
) -> Any:
    """Segment many images of the studies in the background."""
    app = app_instance()
    require_known(model, app.info_names("models"), "model")
    refuse_reserved(params or {})
    app.require_model()
    return batch_infer.run(model, images, params or {}, run_sync)


@router.put("/datastore/label")
def save_label(
    user: Annotator,
    image: str,
    label: Annotated[UploadFile, File()],
    params: Annotated[str, Form()] = "{}",
    tag: str = DefaultLabelTag.FINAL.value,
) -> dict[str, Any]:
    """Keep a label, or say in one line why not; the earlier one stays until then."""
    app = app_instance()
    require_image(image, app.datastore())
    tag = tag or DefaultLabelTag.FINAL.value
    require_tag(tag)
    info = {**parse_params(params), **login(user)}
    with tempfile.TemporaryDirectory() as folder:
        label_id = app.datastore().save_label(image, str(_received(label, folder)), tag, info)
    return {**(app.on_save_label(image, label_id) or {}), "image": image, "label": label_id}


@router.delete("/datastore/label")
def remove_label(id: str, tag: str, user: Admin) -> dict[str, Any]:
    """Take a label back; every version of it stays in the archive."""
    app = app_instance()
    require_label(id, tag, app.datastore())
    result = datastore.remove_label(id, tag, user.username)
    app.on_remove_label(id)
    return dict(result)


@router.get("/datastore/label", response_model=None)
def download_label(label: str, tag: str, user: AnyUser) -> Any:
    """A label's file."""
    require_label(label, tag, app_instance().datastore())
    return datastore.download_label(label, tag)


@router.head("/datastore/label", response_model=None)
def check_label(image: str, tag: str, user: AnyUser) -> Any:
    """Whether there is such a label."""
    require_label(image, tag, app_instance().datastore())
    return datastore.download_label(image, tag, check_only=True)


@router.get("/datastore/label/info")
def label_info(label: str, tag: str, user: AnyUser) -> dict[str, Any]:
    """What is known of a label."""
    require_label(label, tag, app_instance().datastore())
    return dict(datastore.get_label_info(label, tag))


@router.put("/datastore/label/info")
@router.put("/datastore/updatelabelinfo", include_in_schema=False)
def update_label_info(
    label: str,
    tag: str,
    user: Annotator,
    info: Annotated[str, Form()] = "{}",
    params: Annotated[str, Form()] = "{}",
) -> None:
    """Add to what is known of a label. The host's older address calls the field `params`."""
    require_label(label, tag, app_instance().datastore())
    app_instance().datastore().update_label_info(label, tag, {**parse_params(params), **parse_params(info)})


@router.put("/datastore/image")
@router.put("/datastore/", include_in_schema=False)
def add_image(
    user: Annotator,
    file: Annotated[UploadFile, File()],
    image: str = "",
    params: Annotated[str, Form()] = "{}",
) -> dict[str, Any]:
    """Add an image to the studies, if it can be read."""
    info = {**parse_params(params), **login(user)}
    with tempfile.TemporaryDirectory() as folder:
        received = _received(file, folder)
        image_id = image or Path(file.filename or "").name.split(".")[0]
        require_new_image_id(image_id)
        return {"image": app_instance().datastore().add_image(image_id, str(received), info)}


@router.delete("/datastore/image")
@router.delete("/datastore/", include_in_schema=False)
def remove_image(id: str, user: Admin) -> dict[str, Any]:
    """Take an image out of the studies."""
    require_image(id, app_instance().datastore())
    return dict(datastore.remove_image(id, user.username))


@router.get("/datastore/image", response_model=None)
def download_image(image: str, user: AnyUser) -> Any:
    """An image's file."""
    require_image(image, app_instance().datastore())
    return datastore.download_image(image)


@router.head("/datastore/image", response_model=None)
def check_image(image: str, user: AnyUser, check_sum: str | None = None) -> Any:
    """Whether there is such an image, with such a checksum."""
    require_image(image, app_instance().datastore())
    return datastore.download_image(image, check_only=True, check_sum=check_sum)


@router.get("/datastore/image/info")
def image_info(image: str, user: AnyUser) -> dict[str, Any]:
    """What is known of an image."""
    require_image(image, app_instance().datastore())
    return dict(datastore.get_image_info(image))


@router.put("/datastore/image/info")
def update_image_info(image: str, user: Annotator, info: Annotated[str, Form()] = "{}") -> None:
    """Add to what is known of an image."""
    require_image(image, app_instance().datastore())
    app_instance().datastore().update_image_info(image, {**parse_params(info), **login(user)})


@router.get("/datastore/", response_model=None)
def list_datastore(user: AnyUser, output: datastore.ResultType | None = None) -> Any:
    """All images and labels."""
    return datastore.datastore(output)


@router.post("/train/", response_model=None, include_in_schema=False)
def run_all_training(user: Admin, params: dict[str, Any] | None = None, run_sync: bool = False) -> Any:
    """Train with every trainer."""
    app = app_instance()
    for trainer in app.info_names("trainers"):
        app.check_training(trainer, params or {})
    return train.run(params, run_sync)


@router.post("/train/{model}", response_model=None)
def run_training(
    model: str, user: Admin, params: dict[str, Any] | None = None, run_sync: bool = False, enqueue: bool = False
) -> Any:
    """Train in the background."""
    app = app_instance()
    require_known(model, app.info_names("trainers"), "trainer")
    app.check_training(model, params or {})
    return train.run_model(model, params, run_sync, enqueue)


@router.post("/scoring/", response_model=None, include_in_schema=False)
def run_all_scoring(user: Annotator, params: dict[str, Any] | None = None, run_sync: bool = False) -> Any:
    """Score with every method."""
    refuse_reserved(params or {})
    app_instance().require_model()
    return scoring.run(params, run_sync)


@router.post("/scoring/{method}", response_model=None)
def run_scoring(method: str, user: Annotator, params: dict[str, Any] | None = None, run_sync: bool = False) -> Any:
    """Score what is left, in the background."""
    app = app_instance()
    require_known(method, app.info_names("scoring"), "scoring method")
    refuse_reserved(params or {})
    app.require_model()
    return scoring.run_method(method, params, run_sync)


@router.get("/model/info/{model}")
def model_info(model: str, user: Admin) -> dict[str, Any]:
    """Checksum and statistics of the model in use."""
    require_known(model, app_instance().info_names("models"), "model")
    return dict(model_file.model_info(model))


@router.get("/model/{model}", response_model=None)
def download_model(model: str, user: Admin) -> Any:
    """The model in use."""
    require_known(model, app_instance().info_names("models"), "model")
    return model_file.download_model(model)


@router.put("/model/{model}")
def upload_model(model: str, file: UploadFile, user: Annotator) -> dict[str, Any]:
    """Publish a model file as a new version, if it is one of this project's network and labels."""
    app = app_instance()
    require_known(model, app.info_names("models"), "model")
    with tempfile.TemporaryDirectory() as folder:
        return dict(app.adopt_model(_received(file, folder)))


@router.delete("/model/{model}")
def withdraw_model(model: str, user: Annotator) -> dict[str, Any]:
    """Take the model in use out of service; the one before it serves again."""
    app = app_instance()
    require_known(model, app.info_names("models"), "model")
    return dict(app.withdraw_model())


@router.put("/session/")
def create_session(
    background_tasks: BackgroundTasks,
    user: AnyUser,
    files: Annotated[list[UploadFile], File()],
    uncompress: bool = False,
    expiry: int = 0,
) -> dict[str, Any]:
    """Keep uploaded images for a while, outside the studies."""
    if uncompress:
        raise ForbiddenError(
            "uncompress is turned off, as an archive may write anywhere: send the image files themselves"
        )
    return dict(session.create_session(background_tasks, False, expiry, files))


@router.get("/session/{session_id}", response_model=None)
def get_session(session_id: str, user: AnyUser, update_ts: bool = False, image: bool = False) -> Any:
    """What is known of a session, or its image."""
    require_session(session_id)
    return session.get_session(session_id, update_ts, image)


@router.delete("/session/{session_id}")
def remove_session(session_id: str, user: AnyUser) -> dict[str, Any]:
    """Forget a session and its image."""
    require_session(session_id)
    return dict(session.remove_session(session_id))


@router.post("/reload", include_in_schema=False)
def reload_app(user: Admin) -> None:
    """Refused: a second instance of the app would run beside the first."""
    raise ForbiddenError("reload is turned off: restart the server, nothing that was acknowledged is lost")


@router.get("/proxy/dicom/{path:path}", include_in_schema=False, response_model=None)
@router.post("/proxy/dicom/{path:path}", include_in_schema=False, response_model=None)
async def proxy_dicom(request: Request, path: str, user: AnyUser) -> Response:
    """A viewer's way to the PACS."""
    return await pass_to_pacs(request, path)


def login(user: User) -> dict[str, str]:
    """The annotator's login, where the host has one; without it everybody would be called admin."""
    return {"user": user.username} if host_settings.MONAI_LABEL_AUTH_ENABLE else {}


def _received(upload: UploadFile, folder: str) -> Path:
    """Write an upload into `folder`, under its own endings and nothing else of its name."""
    endings = "".join(Path(upload.filename or "").suffixes[-2:]) or ".nii.gz"
    path = Path(folder) / f"received{endings}"
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file)
    return path
