"""Routes for images and labels: list, download, add, remove."""

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Query, Response, UploadFile
from fastapi.responses import FileResponse, StreamingResponse
from monailabel.endpoints import datastore
from monailabel.interfaces.datastore import DefaultLabelTag
from monailabel.utils.others.generic import file_checksum, remove_file
from starlette.background import BackgroundTask

from activelabel.data.files.names import stem_of
from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.errors import InvalidInputError, NotFoundError, NotReadyError
from activelabel.server.actions.case_json import kept_as_json
from activelabel.server.actions.reviews import decides
from activelabel.server.login.roles import OTHERS_LABEL, REVIEWS, require
from activelabel.server.routes.one_line_route import AnyUser, OneLineRoute, login
from activelabel.server.routes.request_checks import (
    SERVERS_IMAGE_INFO,
    SERVERS_LABEL_INFO,
    check_label_info,
    parse_label_params,
    parse_params,
    refuse_servers_own,
    require_image,
    require_label,
    require_new_image_id,
    require_tag,
)
from activelabel.server.routes.served import application
from activelabel.server.routes.uploads import received
from activelabel.server.routes.whole_file import whole_file

CHECKSUMS = ("SHA256", "SHA512", "MD5")

router = APIRouter(route_class=OneLineRoute)


@router.put("/datastore/label")
def save_label(
    user: AnyUser,
    image: str,
    label: Annotated[UploadFile, File()],
    params: Annotated[str, Form()] = "{}",
    tag: str = DefaultLabelTag.FINAL.value,
) -> dict[str, Any]:
    """Keep a label, as final or as a draft. A refusal says why in one line, and leaves the earlier label in place."""
    app = application()
    require_image(image, app.datastore)
    tag = tag or DefaultLabelTag.FINAL.value
    require_tag(tag)
    info = {**parse_label_params(params, image), **login()}
    check_label_info(info)
    if decides(info):
        require(REVIEWS)
    with tempfile.TemporaryDirectory() as folder:
        kept = app.datastore.keep_label(image, str(received(label, folder)), tag, info)
    if tag != DefaultLabelTag.FINAL.value:
        app.reviews.note_correction(image, tag, info)
    answer = kept_as_json(kept, app.project.ledger) if tag == DefaultLabelTag.FINAL.value else {}
    app.look_for_work()
    return {"image": image, "label": image, **answer}


@router.delete("/datastore/label")
def remove_label(id: str, tag: str, user: AnyUser) -> dict[str, Any]:
    """Remove a label; every version of it stays in the archive. Only a reviewer may remove labels of others."""
    app = application()
    require_label(id, tag, app.datastore)
    kept = app.project.ledger.current_annotation(id, tag)
    if kept is not None and kept.annotator != user.username:
        require(OTHERS_LABEL)
    result = datastore.remove_label(id, tag, user.username)
    app.look_for_work()
    return dict(result)


@router.get("/datastore/label", response_model=None)
def download_label(label: str, tag: str, user: AnyUser, form: Literal["nifti", "rtstruct"] = "nifti") -> Any:
    """Download a label's file, or an RTSTRUCT of it if its image is of a PACS."""
    store = application().datastore
    require_label(label, tag, store)
    application().blind.require_may_see(label, tag)
    if form == "rtstruct":
        name = {"Content-Disposition": f'attachment; filename="{label}_rtstruct.dcm"'}
        return Response(store.rtstruct(label, tag), media_type="application/dicom", headers=name)
    return whole_file(store.label_file(label, tag), f"{label}{LABEL_ENDING}")


@router.head("/datastore/label", response_model=None)
def check_label(image: str, tag: str, user: AnyUser) -> Any:
    """Tell whether there is such a label."""
    store = application().datastore
    require_label(image, tag, store)
    store.label_file(image, tag)
    return {}


@router.get("/datastore/label/info")
def label_info(label: str, tag: str, user: AnyUser) -> dict[str, Any]:
    """Give the information about a label."""
    require_label(label, tag, application().datastore)
    application().blind.require_may_see(label, tag)
    return dict(datastore.get_label_info(label, tag))


@router.put("/datastore/label/info")
@router.put("/datastore/updatelabelinfo", include_in_schema=False)
def update_label_info(
    label: str,
    tag: str,
    user: AnyUser,
    info: Annotated[str, Form()] = "{}",
    params: Annotated[str, Form()] = "{}",
) -> None:
    """Add entries to the information about a label; `segmentationMeta` of Slicer's reviewer module is a decision.

    The host's older address calls the field `params`.
    """
    app = application()
    require_label(label, tag, app.datastore)
    added = {**parse_label_params(params, label), **parse_label_params(info, label)}
    refuse_servers_own(added, SERVERS_LABEL_INFO)
    app.reviews.note_label_info(label, tag, added, login())
    app.datastore.update_label_info(label, tag, added)


@router.put("/datastore/image")
@router.put("/datastore/", include_in_schema=False)
def add_image(
    user: AnyUser,
    file: Annotated[UploadFile, File()],
    image: str = "",
    params: Annotated[str, Form()] = "{}",
) -> dict[str, Any]:
    """Add a readable image to the studies."""
    info = {**parse_params(params), **login()}
    with tempfile.TemporaryDirectory() as folder:
        source = received(file, folder)
        image_id = image or stem_of(source.name)
        require_new_image_id(image_id)
        return {"image": application().datastore.add_image(image_id, str(source), info)}


@router.delete("/datastore/image")
@router.delete("/datastore/", include_in_schema=False)
def remove_image(id: str, user: AnyUser) -> dict[str, Any]:
    """Remove an image from the studies."""
    require_image(id, application().datastore)
    return dict(datastore.remove_image(id, user.username))


@router.get("/datastore/image", response_model=None)
def download_image(image: str, user: AnyUser, part: Annotated[int | None, Query(ge=0)] = None) -> Any:
    """Download an image's file as viewers show it.

    With `part`, one of its own files, counted from 0: the first names the image, the others are further channels. The
    header `X-Image-Parts` says how many there are, `X-Image-Modified` when it was changed, in nanoseconds, and
    `X-Image-Changed` when its entry in the folder was.
    """
    store = application().datastore
    require_image(image, store)
    if part is None:
        file = store.shown_file(image)
        return whole_file(file, file.name)
    parts = store.image_files(image).paths
    if part >= len(parts):
        raise NotFoundError(f"image '{image}' has {len(parts)} files: part {part} is not one of them")
    answer = whole_file(parts[part], parts[part].name)
    answer.headers["X-Image-Parts"] = str(len(parts))
    status = parts[part].stat()
    answer.headers["X-Image-Modified"] = str(status.st_mtime_ns)
    answer.headers["X-Image-Changed"] = str(status.st_ctime_ns)
    return answer


@router.head("/datastore/image", response_model=None)
def check_image(image: str, user: AnyUser, check_sum: str | None = None) -> Any:
    """Tell whether there is such an image, with the checksum `ALGORITHM:digest`, or a SHA256 digest alone."""
    require_image(image, application().datastore)
    datastore.download_image(image, check_only=True)
    if check_sum:
        name, _, digest = check_sum.rpartition(":")
        algorithm = name or CHECKSUMS[0]
        if algorithm not in CHECKSUMS:
            raise InvalidInputError(f"check_sum '{algorithm}': use one of {', '.join(CHECKSUMS)}")
        if file_checksum(str(application().datastore.shown_file(image)), algorithm) != f"{algorithm}:{digest}":
            raise NotFoundError(f"image '{image}' has another checksum")
    return {}


@router.get("/datastore/image/info")
def image_info(image: str, user: AnyUser) -> dict[str, Any]:
    """Give the information about an image."""
    require_image(image, application().datastore)
    return dict(datastore.get_image_info(image))


@router.put("/datastore/image/info")
def update_image_info(image: str, user: AnyUser, info: Annotated[str, Form()] = "{}") -> None:
    """Add entries to the information about an image."""
    require_image(image, application().datastore)
    added = parse_params(info)
    refuse_servers_own(added, SERVERS_IMAGE_INFO)
    application().datastore.update_image_info(image, {**added, **login()})


@router.get("/datastore/", response_model=None)
def list_datastore(user: AnyUser, output: datastore.ResultType | None = None) -> Any:
    """List all images and labels."""
    if output is datastore.ResultType.all:
        pieces = application().datastore.listing_in_pieces(application().blind.listed())
        return StreamingResponse(pieces, media_type="application/json")
    return datastore.datastore(output)


@router.get("/datastore/dataset", response_model=None)
def download_dataset(user: AnyUser, limit_cases: Annotated[int | None, Query(ge=1)] = None) -> Any:
    """Download annotated images and their labels as one archive, which the server does not keep."""
    store = application().datastore
    if not store.get_labeled_images():
        raise NotReadyError("there is no label yet: save one first")
    archive = Path(store.get_dataset_archive(limit_cases))
    return FileResponse(
        archive, media_type="application/zip", filename="dataset.zip", background=BackgroundTask(remove_file, archive)
    )
