"""Checks of what a request names, made before anything of the host's runs. Each failure is one line."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from monailabel.interfaces.datastore import Datastore, DefaultLabelTag

from activelabel.data.files.names import is_tag
from activelabel.errors import ForbiddenError, InvalidInputError, NotFoundError
from activelabel.store.schema import NAME_LENGTH

_IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,199}")
_IMAGE_ENDINGS = (".nii", ".gz", ".nrrd", ".mha", ".", " ")
_SESSION = re.compile(r"[0-9a-f-]{36}")

RESERVED_PARAMS = frozenset(
    {
        "image", "images", "image_path", "model", "label", "method", "strategy", "session", "session_id",
        "bundle_path",  # a folder from which the host lets a background task import code
    }
)  # fmt: skip
"""Params that the host would let a client put in place of what the address of the request says."""

WHOSE_LABEL = frozenset({"image", "image_id", "images", "image_path", "label", "session", "session_id"})
"""Params that would say of a label that it is another image's. Whatever else a client says of it is kept beside it:
Slicer's module, for one, names since December 2025 the model that it has chosen."""

SERVERS_IMAGE_INFO = frozenset({"name", "path", "file", "ts", "labels_not_used"})
SERVERS_LABEL_INFO = frozenset(
    {"name", "ts", "version", "client_id", "label_info", "params", "annotated_slices", "slice_axis"}
)
"""What the server alone says of an image or a label: clients find files, and name segments, by it.

Another project over the same studies learns from it which slices a label covers, used or not."""


def require_image(image_id: str, datastore: Datastore) -> None:
    """Refuse whatever is not the id of an image of the studies, paths above all."""
    if image_id not in datastore.list_images():
        datastore.refresh()  # it may have come a moment ago
    if image_id not in datastore.list_images():
        raise NotFoundError(f"there is no image '{image_id[:80]}': use an id that GET /datastore/?output=all lists")


def require_label(image_id: str, tag: str, datastore: Datastore) -> None:
    """Refuse a label that does not exist."""
    require_image(image_id, datastore)
    require_tag(tag)
    if not datastore.get_label_by_image_id(image_id, tag):
        raise NotFoundError(f"image '{image_id}' has no label tagged '{tag}'")


def require_tag(tag: str) -> None:
    """Refuse a label tag that could name a folder elsewhere."""
    if not is_tag(tag):
        raise InvalidInputError(
            f"tag '{tag[:80]}': expected letters, digits, '-' and '_' (64 at most), like final or original"
        )


def require_new_image_id(image_id: str) -> None:
    """Refuse an id for an uploaded image that could name a file elsewhere, or another image than it says."""
    if not _IMAGE_ID.fullmatch(image_id) or ".." in image_id or image_id.lower().endswith(_IMAGE_ENDINGS):
        raise InvalidInputError(
            f"image id '{image_id[:80]}': expected letters, digits, '.', '-', '_' and blanks (200 at most), after a "
            "letter or digit, without the file's ending"
        )


def require_session(session_id: str) -> None:
    """Refuse what cannot be a session's id."""
    if not _SESSION.fullmatch(session_id):
        no_session(session_id)


def no_session(session_id: str) -> NoReturn:
    """Say that there is no such session."""
    raise NotFoundError(f"there is no session '{session_id[:80]}': create one, it may have expired")


def parse_params(text: str | None) -> dict[str, Any]:
    """The form field `params` or `info` as a dictionary, checked as `check_params` does.

    Raises:
        InvalidInputError: it is no JSON object, or holds what JSON or UTF-8 does not know.
        ForbiddenError: it would override what the address of the request names.
    """
    params = _json_object(text)
    check_params(params)
    return params


def parse_label_params(text: str | None, image_id: str) -> dict[str, Any]:
    """What a client says of a label of this image, as a dictionary: anything but whose it is.

    Raises:
        InvalidInputError: it is no JSON object, or holds what JSON or UTF-8 does not know; or `client_id` is no name.
        ForbiddenError: it names another image than the address of the request.
    """
    params = _json_object(text)
    for key in sorted(WHOSE_LABEL & params.keys()):
        if params[key] != image_id:
            raise ForbiddenError(f"params may not hold '{key}': the address of the request says whose label it is")
    _check_client(params.get("client_id"))
    return params


def _json_object(text: str | None) -> dict[str, Any]:
    try:
        params = json.loads(text or "{}", parse_constant=_no_number)
        json.dumps(params, ensure_ascii=False).encode()  # it is kept, and sent to other clients as UTF-8
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"params: expected a JSON object, got {str(text)[:100]!r}: {error}") from error
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise InvalidInputError(f"params: expected a JSON object, got {str(text)[:100]!r}")
    return params


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def check_params(params: Mapping[str, Any]) -> None:
    """Refuse params that would override what the address of the request names, and a client that has no usable name.

    Raises:
        ForbiddenError: a key is reserved, or a prediction would be kept as an annotator's label.
        InvalidInputError: `client_id` is no name, or `label_tag` no tag.
    """
    for key in sorted(RESERVED_PARAMS & params.keys()):
        raise ForbiddenError(f"params may not hold '{key}': it is named by the address of the request")
    _check_client(params.get("client_id"))
    tag = params.get("label_tag")
    if tag is not None:
        require_tag(str(tag))
        if tag == DefaultLabelTag.FINAL.value:
            raise ForbiddenError("label_tag 'final' is for annotators' labels: keep a prediction as original")


def _check_client(client: object) -> None:
    if client is None or client == "":
        return
    if not isinstance(client, str) or not client.isprintable() or len(client) > NAME_LENGTH:
        raise InvalidInputError(
            f"client_id: expected a name of at most {NAME_LENGTH} characters on one line, got {str(client)[:80]!r}"
        )


def refuse_servers_own(info: Mapping[str, Any], own: Collection[str]) -> None:
    """Refuse to let a client change what the server alone says of an image or label."""
    for key in sorted(set(own) & info.keys()):
        raise ForbiddenError(f"info may not hold '{key}': the server sets it")


def check_label_info(info: Mapping[str, Any]) -> None:
    """Refuse, before anything is kept, what could not be shown beside a label."""
    if not isinstance(info.get("params", {}), Mapping):
        raise InvalidInputError(f"params: expected its 'params' to be a JSON object, got {str(info['params'])[:80]!r}")
