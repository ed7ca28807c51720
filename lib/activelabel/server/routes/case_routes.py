"""Routes for actions on cases that the host's API lacks: skip, bring back, finish, list."""

from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from activelabel.server.routes.one_line_route import AnyUser, OneLineRoute, login
from activelabel.server.routes.request_checks import check_params, require_image
from activelabel.server.routes.served import application
from activelabel.server.routes.task_options import CLIENT_ID

router = APIRouter(route_class=OneLineRoute, prefix="/activelabel")


class CaseRequest(BaseModel):
    """Body of a request for a case: its image, and optionally the annotator's name."""

    model_config = ConfigDict(extra="forbid")

    client_id: str | None = Field(default=None, description=CLIENT_ID)
    image: str = Field(min_length=1, max_length=255, description="the id of the case's image")


class SkipCaseRequest(BaseModel):
    """Body of a skip request; without an image, the case that the annotator holds is skipped."""

    model_config = ConfigDict(extra="forbid")

    client_id: str | None = Field(default=None, description=CLIENT_ID)
    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="the id of the image; without it, the case that the annotator holds",
    )
    skip: Any = Field(default=None, description="`not now`, which is the default, or `cannot be annotated`")
    reason: Any = Field(default=None, description="reason of the skip, in one line")


@router.post("/skip")
def skip_case(user: AnyUser, request: Annotated[SkipCaseRequest | None, Body()] = None) -> dict[str, Any]:
    """Skip a case: `not now`, the default, or `cannot be annotated`."""
    asked = request or SkipCaseRequest()
    if asked.image is not None:
        require_image(asked.image, application().datastore)
    return dict(application().cases.skip_case(_params(asked), asked.image))


@router.post("/bring-back")
def bring_back(user: AnyUser, request: CaseRequest) -> dict[str, Any]:
    """Return a case that was marked `cannot be annotated` to the pool."""
    require_image(request.image, application().datastore)
    return dict(application().cases.bring_back(_params(request), request.image))


@router.post("/finish")
def finish_case(user: AnyUser, request: CaseRequest) -> dict[str, Any]:
    """Finish the annotator's own draft, unchanged, as checked."""
    require_image(request.image, application().datastore)
    return dict(application().cases.finish_case(_params(request), request.image))


@router.get("/cases")
def list_cases(user: AnyUser) -> dict[str, Any]:
    """List drafts, skipped cases and cases that cannot be annotated: the part `cases` of `GET /info/`."""
    return dict(application().cases.cases())


def _params(request: BaseModel) -> dict[str, Any]:
    params = request.model_dump(exclude={"image"}, exclude_none=True)
    check_params(params)
    return {**params, **login()}
