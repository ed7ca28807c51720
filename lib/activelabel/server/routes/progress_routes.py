"""Routes for the progress of the project: as JSON, and as a stream of events."""

from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from activelabel.login.identity import asking
from activelabel.server.actions.progress_answers import ProjectProgress
from activelabel.server.routes.one_line_route import AnyUser, OneLineRoute
from activelabel.server.routes.served import application

router = APIRouter(route_class=OneLineRoute, prefix="/activelabel")

LastEventId = Annotated[str | None, Header(max_length=64)]
"""The id of the last event that a client has seen, which a browser sends when it connects again."""
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""A stream is of no use in a cache, or in the buffer of a proxy."""


@router.get("/progress")
def progress(user: AnyUser) -> ProjectProgress:
    """Tell what runs and how long it takes, what the project waits for, learning curve and forecast."""
    return application().progress.read()


@router.get("/events", response_model=None)
async def events(user: AnyUser, last_event_id: LastEventId = None) -> StreamingResponse:
    """Send an event when the progress, the model in use or the state of a case changes, until the client leaves."""
    hub = application().events
    who = asking.get()
    person = "" if who is None else who.name
    hub.check_room(person)
    return StreamingResponse(hub.stream(last_event_id, person), media_type="text/event-stream", headers=_HEADERS)
