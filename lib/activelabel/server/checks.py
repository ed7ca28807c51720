"""Checks of what a request names, made before anything of the host's runs. Each failure is one line."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore

from activelabel.errors import ForbiddenError, InvalidInputError, NotFoundError

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,199}")
_SESSION = re.compile(r"[0-9a-f-]{36}")

RESERVED_PARAMS = frozenset({"image", "model", "label", "session", "image_path", "method", "strategy"})
"""Params that the host would let a client put in place of what the address of the request says."""


def require_known(name: str, known: Collection[str], kind: str) -> None:
    """Refuse a `name` that is not one of `known`; the line lists those that are."""
    if name not in known:
        raise NotFoundError(f"there is no {kind} '{name}': use one of {', '.join(sorted(known)) or '(none)'}")


def require_image(image_id: str, datastore: Datastore) -> None:
    """Refuse whatever is not the id of an image of the studies, paths above all."""
    if image_id not in datastore.list_images():
        raise NotFoundError(f"there is no image '{image_id}': use an id that GET /datastore/?output=all lists")


def require_label(image_id: str, tag: str, datastore: Datastore) -> None:
    """Refuse a label that does not exist."""
    require_image(image_id, datastore)
    require_tag(tag)
    if not datastore.get_label_by_image_id(image_id, tag):
        raise NotFoundError(f"image '{image_id}' has no label tagged '{tag}'")


def require_tag(tag: str) -> None:
    """Refuse a label tag that could name a folder elsewhere."""
    if not _TAG.fullmatch(tag):
        raise InvalidInputError(
            f"tag '{tag}': expected letters, digits, '-' and '_' (64 at most), like final or original"
        )


def require_new_image_id(image_id: str) -> None:
    """Refuse an id for an uploaded image that could name a file elsewhere."""
    if not _IMAGE_ID.fullmatch(image_id) or ".." in image_id:
        raise InvalidInputError(
            f"image id '{image_id}': expected letters, digits, '.', '-', '_' and blanks, after a letter or digit"
        )


def require_session(session_id: str) -> None:
    """Refuse what cannot be a session's id."""
    if session_id and not _SESSION.fullmatch(session_id):
        raise NotFoundError(f"there is no session '{session_id}'")


def parse_params(text: str | None) -> dict[str, Any]:
    """The form field `params` as a dictionary.

    Raises:
        InvalidInputError: it is no JSON object.
        ForbiddenError: it would override what the address of the request names.
    """
    try:
        params = json.loads(text or "{}")
    except ValueError as error:
        raise InvalidInputError(f"params: expected a JSON object, got {text!r}: {error}") from error
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise InvalidInputError(f"params: expected a JSON object, got {text!r}")
    refuse_reserved(params)
    return params


def refuse_reserved(params: Mapping[str, Any]) -> None:
    """Refuse params that would override what the address of the request names."""
    for key in sorted(RESERVED_PARAMS & params.keys()):
        raise ForbiddenError(f"params may not hold '{key}': it is named by the address of the request")
    tag = params.get("label_tag")
    if tag is not None:
        require_tag(str(tag))
