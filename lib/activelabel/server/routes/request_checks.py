"""Checks of requests, made before any code of the host runs. Each failure is one line."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlencode

from monailabel.interfaces.datastore import DefaultLabelTag

from activelabel.backports import ON_WINDOWS
from activelabel.data.files.names import LONGEST_ID, is_tag, spellings
from activelabel.errors import ForbiddenError, InvalidInputError, NotFoundError
from activelabel.server.datastores.folder import LedgerDatastore
from activelabel.store.columns import NAME_LENGTH

_NOT_IN_AN_ID = frozenset("/\\~" + ('<>:"|?*' if ON_WINDOWS else ""))
"""Signs that separate folders, also in ids of images in sub-folders, and those that a file system does not take."""
_IMAGE_ENDINGS = (".nii", ".gz", ".nrrd", ".mha", ".", " ")
_IMAGE_FIELDS = frozenset({"image", "id", "label"})
"""Fields of a query that hold the id of an image."""
_SESSION = re.compile(r"[0-9a-f-]{36}")

RESERVED_PARAMS = frozenset(
    {
        "image", "images", "image_path", "model", "label", "method", "strategy", "session", "session_id",
        "bundle_path",  # a folder from which the host lets a background task import code
    }
)  # fmt: skip
"""Params by which the host would let a client override the address of the request."""

WHOSE_LABEL = frozenset({"image", "image_id", "images", "image_path", "label", "session", "session_id"})
"""Params that would assign a label to another image. All other params are kept beside the label:
Slicer's module, for example, sends the name of the chosen model since December 2025."""

SERVERS_IMAGE_INFO = frozenset({"name", "path", "file", "ts", "labels_not_used"})
SERVERS_LABEL_INFO = frozenset(
    {"name", "ts", "version", "client_id", "label_info", "params", "annotated_slices", "slice_axis"}
)
"""Keys of an image's or label's information that only the server sets: clients find files and name segments by them.

Another project over the same studies reads from them which slices a label covers."""


def require_image(image_id: str, datastore: LedgerDatastore) -> None:
    """Refuse anything but the id of an image of the studies, in particular a path."""
    if not datastore.lists(image_id):
        datastore.look_for(image_id)  # it may have come a moment ago
    if not datastore.lists(image_id):
        raise NotFoundError(f"there is no image '{image_id[:80]}': use an id that GET /datastore/?output=all lists")


def in_known_spelling(query: bytes, lists: Callable[[str], bool]) -> bytes:
    """The query of a request with each id of an image in the spelling of its accents that `lists` knows.

    Systems differ in how they spell a name: what a person or another program sends may be the same to the eye alone.
    """
    fields = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    if all(value.isascii() for key, value in fields if key in _IMAGE_FIELDS):  # a reader's name may have an accent
        return query
    spelt = [
        (key, next((name for name in spellings(value) if lists(name)), value) if key in _IMAGE_FIELDS else value)
        for key, value in fields
    ]
    return query if spelt == fields else urlencode(spelt).encode()


def require_label(image_id: str, tag: str, datastore: LedgerDatastore) -> None:
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
    """Refuse an id for an uploaded image that could name a file elsewhere or another image.

    3D Slicer uploads a volume under the name of its series, `3: CT Abdomen (1 mm)`, and asks for it by that name.
    """
    starts_well = bool(image_id) and (image_id[0].isalnum() or image_id[0] in "([_#")
    if (
        not starts_well
        or not image_id.isprintable()
        or len(image_id.encode(errors="replace")) > LONGEST_ID
        or not _NOT_IN_AN_ID.isdisjoint(image_id)
        or ".." in image_id
        or image_id.lower().endswith(_IMAGE_ENDINGS)
    ):
        raise InvalidInputError(
            f"image id '{image_id[:80]}': expected a name of {LONGEST_ID} bytes at most without "
            f"{' '.join(sorted(_NOT_IN_AN_ID))}, that begins with a letter or digit and does not end as a file does: "
            "rename the image"
        )


def require_session(session_id: str) -> None:
    """Refuse a text that cannot be a session's id."""
    if not _SESSION.fullmatch(session_id):
        no_session(session_id)


def no_session(session_id: str) -> NoReturn:
    """Raise the error for an unknown session."""
    raise NotFoundError(f"there is no session '{session_id[:80]}': create one, it may have expired")


def parse_params(text: str | None) -> dict[str, Any]:
    """The form field `params` or `info` as a dictionary, checked as `check_params` does.

    Raises:
        InvalidInputError: the text is no JSON object, or holds values that JSON or UTF-8 does not allow.
        ForbiddenError: a key would override the address of the request.
    """
    params = _json_object(text)
    check_params(params)
    return params


def parse_label_params(text: str | None, image_id: str) -> dict[str, Any]:
    """A client's params of a label of this image as a dictionary; they may not name another image.

    Raises:
        InvalidInputError: the text is no valid JSON object, or `client_id` is no name.
        ForbiddenError: a key names another image than the address of the request.
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
        json.dumps(params, ensure_ascii=False).encode()  # the params are kept, and sent to other clients as UTF-8
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
    """Refuse params that would override the address of the request, and an invalid client name or tag.

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
    """Refuse info that changes keys of an image or label that only the server sets."""
    for key in sorted(set(own) & info.keys()):
        raise ForbiddenError(f"info may not hold '{key}': the server sets it")


def check_label_info(info: Mapping[str, Any]) -> None:
    """Refuse, before anything is kept, info that could not be listed beside a label."""
    if not isinstance(info.get("params", {}), Mapping):
        raise InvalidInputError(f"params: expected its 'params' to be a JSON object, got {str(info['params'])[:80]!r}")
