"""Routes of our own for what the host's API cannot say of a case: skip, bring back, finish, and where it stands."""

from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from activelabel.server.routes.one_line_route import AnyUser, OneLineRoute, login
from activelabel.server.routes.request_checks import check_params, require_image
from activelabel.server.routes.served import application
from activelabel.server.routes.task_options import CLIENT_ID

router = APIRouter(route_class=OneLineRoute, prefix="/activelabel")


class CaseRequest(BaseModel):
    """Whose request it is, where the client says it, and of which case."""

    model_config = ConfigDict(extra="forbid")

    client_id: str | None = Field(default=None, description=CLIENT_ID)
    image: str = Field(min_length=1, max_length=255, description="the id of the case's image")


class SkipCaseRequest(BaseModel):
    """Without an image: what the annotator holds."""

    model_config = ConfigDict(extra="forbid")

    client_id: str | None = Field(default=None, description=CLIENT_ID)
    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="the id of the image; without it, the case they hold",
    )
    skip: Any = Field(default=None, description="`not now`, which is the default, or `cannot be annotated`")
    reason: Any = Field(default=None, description="why, in one line")


@router.post("/skip")
def skip_case(user: AnyUser, request: Annotated[SkipCaseRequest | None, Body()] = None) -> dict[str, Any]:
    """Skip a case: `not now`, which is what nothing said means, or `cannot be annotated`."""
    asked = request or SkipCaseRequest()
    if asked.image is not None:
        require_image(asked.image, application().datastore)
    return dict(application().cases.skip_case(_params(asked), asked.image))


@router.post("/bring-back")
def bring_back(user: AnyUser, request: CaseRequest) -> dict[str, Any]:
    """Take a case back into the pool that cannot be annotated."""
    require_image(request.image, application().datastore)
    return dict(application().cases.bring_back(_params(request), request.image))


@router.post("/finish")
def finish_case(user: AnyUser, request: CaseRequest) -> dict[str, Any]:
    """Say that one's draft is finished as it is, and was looked over."""
    require_image(request.image, application().datastore)
    return dict(application().cases.finish_case(_params(request), request.image))


@router.get("/cases")
def list_cases(user: AnyUser) -> dict[str, Any]:
    """Drafts, skipped cases, those that cannot be annotated: what `GET /info/` has under `cases`."""
    return dict(application().cases.cases())


def _params(request: BaseModel) -> dict[str, Any]:
    params = request.model_dump(exclude={"image"}, exclude_none=True)
    check_params(params)
    return {**params, **login()}
