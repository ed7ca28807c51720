"""Routes for actions on cases that the host's API lacks, the same for every client, with typed answers."""

import tempfile
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, File, Form, Query, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from activelabel.data.files.studies_folder import LABEL_ENDING
from activelabel.server.actions.case_answers import (
    ActiveNoted,
    CaseMoved,
    CaseSkipped,
    Decided,
    QueryAnswer,
    Released,
    ReviewAnswer,
    SavedLabel,
    Worklist,
)
from activelabel.server.actions.case_json import kept_as_json
from activelabel.server.actions.worklist import LARGEST_PAGE, PAGE
from activelabel.server.client_info import read_label_info
from activelabel.server.routes.one_line_route import AnyUser, OneLineRoute, login
from activelabel.server.routes.request_checks import (
    check_label_info,
    check_params,
    parse_label_params,
    require_image,
)
from activelabel.server.routes.served import application
from activelabel.server.routes.task_options import CLIENT_ID
from activelabel.server.routes.uploads import received
from activelabel.server.routes.whole_file import whole_file
from activelabel.store.case_states import CaseState, Verdict
from activelabel.store.records.labels import FINAL
from activelabel.strategies.case_requests import LONGEST_REASON

router = APIRouter(route_class=OneLineRoute, prefix="/activelabel")

_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
Line = Annotated[str, Field(max_length=LONGEST_REASON, pattern=_ONE_LINE)]
"""A text of one line."""
Version = Annotated[int, Field(ge=1)]


class PersonRequest(BaseModel):
    """Body of a request about nothing but the person who asks."""

    model_config = ConfigDict(extra="forbid")

    client_id: str | None = Field(default=None, description=CLIENT_ID)


class CaseRequest(PersonRequest):
    """Body of a request for a case: its image, and optionally the person's name."""

    image: str = Field(min_length=1, max_length=255, description="the id of the case's image")


class SkipCaseRequest(PersonRequest):
    """Body of a skip request; without an image, the case that the annotator holds is skipped."""

    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="the id of the image; without it, the case that the annotator holds",
    )
    skip: Any = Field(default=None, description="`not now`, which is the default, or `cannot be annotated`")
    reason: Any = Field(default=None, description="reason of the skip, in one line")


class ReviewRequest(PersonRequest):
    """Body of a request for a label to review."""

    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="the id of the image; without it, the label that has waited longest",
    )


class HeartbeatRequest(PersonRequest):
    """Body of a heartbeat: a client sends one every so often while its annotator works, and none while they do not."""

    seconds: float = Field(gt=0, le=600, description="how long the annotator was active since the last heartbeat")
    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="the id of the image; without it, that of the annotator's newest query",
    )


class ApproveRequest(CaseRequest):
    """Body of a decision about a label."""

    note: Line = Field(default="", description="what the annotator should know, in one line")
    difficulty: Literal["easy", "medium", "hard"] | None = Field(default=None, description="how hard the case is")
    version: Version | None = Field(
        default=None, description="the version that the reviewer has seen; refused if there is a newer one"
    )


class AdjudicateRequest(CaseRequest):
    """Body of a decision between two readings."""

    take: Literal["first", "second", "staple"] = Field(description="the label that counts, `staple` for one of both")
    note: Line = Field(default="", description="why, in one line")
    difficulty: Literal["easy", "medium", "hard"] | None = Field(default=None, description="how hard the case is")


class ReturnRequest(ApproveRequest):
    """Body of the decision to return a label, which takes a note."""

    note: Line = Field(min_length=1, description="what the annotator should correct, in one line")


@router.post("/skip")
def skip_case(user: AnyUser, request: Annotated[SkipCaseRequest | None, Body()] = None) -> CaseSkipped:
    """Skip a case: `not now`, the default, or `cannot be annotated`."""
    asked = request or SkipCaseRequest()
    if asked.image is not None:
        require_image(asked.image, application().datastore)
    return CaseSkipped.model_validate(application().cases.skip_case(_params(asked), asked.image))


@router.post("/bring-back")
def bring_back(user: AnyUser, request: CaseRequest) -> CaseMoved:
    """Return a case that was marked `cannot be annotated` to the pool."""
    require_image(request.image, application().datastore)
    return CaseMoved.model_validate(application().cases.bring_back(_params(request), request.image))


@router.post("/finish", response_model_exclude_none=True)
def finish_case(user: AnyUser, request: CaseRequest) -> SavedLabel:
    """Finish the annotator's own draft, unchanged, as checked."""
    require_image(request.image, application().datastore)
    return SavedLabel.model_validate(application().cases.finish_case(_params(request), request.image))


@router.put("/draft", response_model_exclude_none=True)
def save_draft(
    user: AnyUser, image: str, label: Annotated[UploadFile, File()], params: Annotated[str, Form()] = "{}"
) -> SavedLabel:
    """Keep a drawing as the annotator's draft: every version is kept, and nothing learns from it."""
    app = application()
    require_image(image, app.datastore)
    sent = parse_label_params(params, image)
    read_label_info(sent)  # `finished` may say what it likes, but in the form that it has with a label
    info = {**sent, **login(), "finished": False}
    check_label_info(info)
    with tempfile.TemporaryDirectory() as folder:
        kept = app.datastore.keep_label(image, str(received(label, folder)), FINAL, info)
    return SavedLabel.model_validate({"image": image, **kept_as_json(kept, app.project.ledger)})


@router.get("/draft", response_model=None)
def open_draft(user: AnyUser, image: str, client_id: str | None = None) -> StreamingResponse:
    """Download the annotator's own open draft of an image."""
    require_image(image, application().datastore)
    file = application().cases.draft_file(_params(PersonRequest(client_id=client_id)), image)
    return whole_file(file, f"{image}{LABEL_ENDING}")


@router.get("/query")
def current_query(user: AnyUser, client_id: str | None = None) -> QueryAnswer:
    """Give the query that the annotator holds: reason, slices as programs and viewers count them, model, expiry."""
    return application().cases.current_query(_params(PersonRequest(client_id=client_id)))


@router.post("/release")
def release(user: AnyUser, request: Annotated[PersonRequest | None, Body()] = None) -> Released:
    """Let go of the case that one holds, and of the label that one has before them for review, without a word on it."""
    return application().cases.release(_params(request or PersonRequest()))


@router.post("/heartbeat")
def heartbeat(user: AnyUser, request: HeartbeatRequest) -> ActiveNoted:
    """Note how long the annotator was active since the last heartbeat; it counts at most the time that has passed."""
    if request.image is not None:
        require_image(request.image, application().datastore)
    params = _params(PersonRequest(client_id=request.client_id))
    return application().cases.note_active(params, request.seconds, request.image)


@router.get("/worklist")
def worklist(
    user: AnyUser,
    state: Annotated[list[CaseState] | None, Query()] = None,
    annotator: str | None = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE,
    after: Annotated[str, Query(max_length=255, pattern=_ONE_LINE)] = "",  # PostgreSQL refuses a text with NUL
) -> Worklist:
    """List the cases with their states, who brought each about, since when, and the note that belongs to it.

    One answer has `limit` cases at most; `next` is what to send as `after` for the following ones.
    """
    return application().cases.worklist(state or (), annotator, limit, after, application().blind.fold())


@router.get("/cases")
def list_cases(user: AnyUser) -> dict[str, Any]:
    """List drafts, skipped cases and cases that cannot be annotated: the part `cases` of `GET /info/`."""
    return dict(application().blind.fold().cases(application().cases.cases()))


@router.post("/review")
def take_for_review(user: AnyUser, request: Annotated[ReviewRequest | None, Body()] = None) -> ReviewAnswer:
    """Take a finished label for review: that of an image, or the one that has waited longest."""
    asked = request or ReviewRequest()
    if asked.image is not None:
        require_image(asked.image, application().datastore)
    return application().reviews.take(_params(asked), asked.image)


@router.post("/approve")
def approve(user: AnyUser, request: ApproveRequest) -> Decided:
    """Approve the final label of a case; nobody approves a label that they alone have drawn. Not between two readings
    that differ (409), of which `POST /activelabel/adjudicate` takes one.
    """
    return _decide(request, Verdict.APPROVED)


@router.post("/adjudicate")
def adjudicate(user: AnyUser, request: AdjudicateRequest) -> Decided:
    """Decide between two readings that differ: take one, or merge both by STAPLE; the label is approved."""
    require_image(request.image, application().datastore)
    params = _params(PersonRequest(client_id=request.client_id))
    return application().reviews.adjudicate(params, request.image, request.take, request.note, request.difficulty)


@router.post("/return")
def return_label(user: AnyUser, request: ReturnRequest) -> Decided:
    """Return the final label of a case to its annotator, with a note; nothing learns from it."""
    return _decide(request, Verdict.RETURNED)


def _decide(request: ApproveRequest, verdict: Verdict) -> Decided:
    require_image(request.image, application().datastore)
    reviews = application().reviews
    params = _params(PersonRequest(client_id=request.client_id))
    return reviews.decide(params, request.image, verdict, request.note, request.difficulty, request.version)


def _params(request: BaseModel) -> dict[str, Any]:
    params = request.model_dump(exclude={"image"}, exclude_none=True)
    check_params(params)
    return {**params, **login()}
