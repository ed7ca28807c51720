"""Proxy from a viewer in the browser to the PACS: off the event loop, and with a time limit."""

from collections.abc import Mapping

import requests
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from activelabel.errors import InvalidInputError, NotFoundError, NotReadyError
from activelabel.login.identity import asking
from activelabel.server.client_info import annotator_of
from activelabel.server.datastores.pacs import PacsDatastore
from activelabel.server.pacs.sent_series import sent_series
from activelabel.server.routes.served import application

SERVICES = ("qido", "wado", "stow")
_SENT_ON = ("accept", "content-type")


async def pass_to_pacs(request: Request, path: str) -> Response:
    """Forward a request with its query, and return the answer, without what the person who asks must not see yet.

    After a store request, the server takes in new segmentations before it answers: when the viewer receives the answer,
    the segmentation is a label, or the answer says why it is a draft or is not used.

    Raises:
        InvalidInputError: a segmentation was stored, and is not used as a label.
        NotReadyError: a segmentation was stored, and is a draft.
        NotFoundError: there is no PACS.
        UnavailableError: the PACS does not answer.
        ForbiddenError: the path leaves the DICOMweb services of the PACS, or asks for a drawing of another that the
            person who asks must not see before theirs.
    """
    datastore = application().datastore
    if not isinstance(datastore, PacsDatastore):
        raise NotFoundError("there is no PACS behind this server: its studies are a folder")
    first, _, rest = path.partition("/")
    service, path = (first, rest) if first in SERVICES else ("", path)
    headers = {name: value for name, value in request.headers.items() if name in _SENT_ON}
    body = await request.body()
    who = asking.get()
    if who is not None and request.method == "POST":
        datastore.exchange.note_sender(sent_series(body, headers.get("content-type", "")), who.name)
    refused, drafts = set(datastore.exchange.refused), set(datastore.exchange.drafts)
    sent = (request.method, service, path, request.url.query, body, headers)
    answer, content = await run_in_threadpool(_answer_to_show, datastore, *sent)
    if request.method == "POST" and answer.ok:
        await run_in_threadpool(datastore.refresh)
        for series, line in datastore.exchange.refused.items():
            if series not in refused:
                raise InvalidInputError(f"the PACS has it, but it is not used as a label: {line}")
        for series, line in datastore.exchange.drafts.items():
            if series not in drafts:
                raise NotReadyError(f"the PACS has it, {line}")
    return Response(content, answer.status_code, media_type=answer.headers.get("content-type"))


def _answer_to_show(
    datastore: PacsDatastore, method: str, service: str, path: str, query: str, body: bytes, headers: Mapping[str, str]
) -> tuple[requests.Response, bytes]:
    """The answer of the PACS, and its content as the person who asks may see it."""
    view = datastore.blind_view(application().blind.images(), annotator_of({})) if method == "GET" else None
    if view is not None:
        view.check_path(path)
    answer = datastore.pacs.forward(method, service, path, query, body, headers)
    if view is None or not answer.ok:
        return answer, answer.content
    return answer, view.without_hidden(path, answer.content, answer.headers.get("content-type", ""))
