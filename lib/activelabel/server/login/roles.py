"""Permissions: a table from each route to the least role that may use it. `docs/security.md` explains it.

An address that is not in the table needs an admin. If no login is required, everybody may do everything.
"""

import re
from functools import cache

from starlette.routing import compile_path

from activelabel.errors import ForbiddenError
from activelabel.login.identity import Role, asking

PUBLIC = frozenset(
    {
        "GET /login", "POST /login", "GET /login/start", "GET /login/callback", "POST /logout",
        "GET /auth/", "POST /auth/token", "GET /favicon.ico",
    }
)  # fmt: skip
"""Routes that are answered without a login."""

OTHERS_LABEL = "DELETE /datastore/label of others"
"""Not a route of its own: removing a label of another annotator."""

REVIEWS = "PUT /datastore/updatelabelinfo"
"""The route by which Slicer's reviewer module decides; a decision that comes with a label takes the same role."""

LEAST: dict[str, Role] = {
    **dict.fromkeys(
        [
            "GET /", "GET /docs", "GET /openapi.json", "GET /static/{path:path}", "GET /auth/token/valid",
            "GET /info/", "POST /activelearning/{strategy}",
            "POST /activelabel/skip", "POST /activelabel/bring-back", "POST /activelabel/finish",
            "GET /activelabel/cases", "GET /activelabel/worklist", "GET /activelabel/query",
            "PUT /activelabel/draft", "GET /activelabel/draft", "POST /activelabel/release",
            "POST /activelabel/heartbeat",
            "GET /activelabel/uncertainty", "GET /activelabel/probability",
            "GET /activelabel/progress", "GET /activelabel/events",
            "POST /infer/{model}", "POST /infer/wsi/{model}", "POST /infer/wsi_v2/{model}",
            "PUT /session/", "GET /session/{session_id}", "DELETE /session/{session_id}",
            "GET /datastore/", "GET /datastore/image", "GET /datastore/image/info", "GET /datastore/label",
            "GET /datastore/label/info", "PUT /datastore/label", "DELETE /datastore/label",
            "PUT /datastore/image", "PUT /datastore/", "PUT /datastore/image/info",
            "GET /train/", "GET /scoring/", "GET /batch/infer",
            "GET /ohif/{path:path}", "GET /ohif/app-config.js",
            "GET /proxy/dicom/{path:path}", "POST /proxy/dicom/{path:path}",
        ],
        Role.ANNOTATOR,
    ),
    **dict.fromkeys(
        [
            "PUT /datastore/label/info", "PUT /datastore/updatelabelinfo", OTHERS_LABEL,
            "POST /activelabel/review", "POST /activelabel/approve", "POST /activelabel/return",
            "POST /activelabel/adjudicate",
        ],
        Role.REVIEWER,
    ),
    **dict.fromkeys(
        [
            "POST /train/", "POST /train/{model}", "DELETE /train/",
            "POST /scoring/", "POST /scoring/{method}", "DELETE /scoring/",
            "POST /batch/infer/{model}", "DELETE /batch/infer",
            "GET /model/info/{model}", "GET /model/{model}", "PUT /model/{model}", "DELETE /model/{model}",
            "GET /datastore/dataset", "DELETE /datastore/image", "DELETE /datastore/",
        ],
        Role.MANAGER,
    ),
    **dict.fromkeys(["GET /logs/", "GET /logs/gpu", "POST /reload"], Role.ADMIN),
}  # fmt: skip

OF_WORKERS = frozenset({"GET /datastore/image", "GET /model/{model}"})
"""The routes that a worker without a shared folder needs; it may use no other."""


def permits(role: Role, method: str, path: str) -> bool:
    """Whether a user of this role may send a request."""
    if role is Role.WORKER:
        fitting = matching_entries(method, path)
        return bool(fitting) and fitting.keys() <= OF_WORKERS
    needed = least_role(method, path)
    return needed is None or role >= needed


def least_role(method: str, path: str) -> Role | None:
    """The least role for a request: the highest of all matching entries; None if no login is needed.

    HEAD needs the role of GET. OPTIONS needs none, as it only tells what a browser may send.
    """
    if method == "OPTIONS" or f"{'GET' if method == 'HEAD' else method} {path}" in PUBLIC:
        return None
    return max(matching_entries(method, path).values(), default=Role.ADMIN)


def matching_entries(method: str, path: str) -> dict[str, Role]:
    """The entries that match a request, with their roles."""
    method = "GET" if method == "HEAD" else method
    return {
        entry: LEAST[entry]
        for entry, address in _patterns().items()
        if entry.startswith(f"{method} ") and address.match(path)
    }


def require(entry: str) -> None:
    """Refuse a request if the role of its user is below that of `entry` in the table.

    Raises:
        ForbiddenError: the role of the user is too low.
    """
    who = asking.get()
    if who is not None and who.role < LEAST[entry]:
        raise ForbiddenError(f"{entry} takes the role {LEAST[entry].word}, and {who.name} is {who.role.word}")


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """The address pattern of each entry that is a route, as the host's router compiles it."""
    routes = (entry for entry in LEAST if entry != OTHERS_LABEL)
    return {entry: compile_path(entry.partition(" ")[2])[0] for entry in routes}
