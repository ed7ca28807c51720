"""The images, tags, params and names that a request may hold."""

import json
from urllib.parse import parse_qsl, urlencode

import pytest

from activelabel.errors import ActiveLabelError, ForbiddenError, InvalidInputError, NotFoundError
from activelabel.server.known import require_known
from activelabel.server.routes.request_checks import (
    SERVERS_LABEL_INFO,
    check_label_info,
    check_params,
    in_known_spelling,
    parse_label_params,
    parse_params,
    refuse_servers_own,
    require_image,
    require_new_image_id,
    require_session,
    require_tag,
)


class FakeStudies:
    """Studies of one image that came after the last look."""

    def __init__(self, listed: bool = True) -> None:
        self._images = ["case7"] if listed else []

    def lists(self, image_id: str) -> bool:
        return image_id in self._images

    def look_for(self, image_id: str) -> None:
        self._images = ["case7"]


def test_only_images_of_the_studies_pass() -> None:
    require_image("case7", FakeStudies())
    for image_id in ("case8", "/etc/passwd", "../case7", "case7/..", ""):
        with pytest.raises(NotFoundError, match="there is no image"):
            require_image(image_id, FakeStudies())


def test_an_image_that_came_a_moment_ago_passes() -> None:
    require_image("case7", FakeStudies(listed=False))


@pytest.mark.parametrize("tag", ["../../../x", "a/b", "..", "", ".hidden", "x" * 65, "a\nb", "final "])
def test_tags_that_could_leave_their_folder_are_refused(tag: str) -> None:
    with pytest.raises(InvalidInputError, match="tag"):
        require_tag(tag)


@pytest.mark.parametrize("tag", ["final", "original", "reader-2", "v_1"])
def test_plain_tags_pass(tag: str) -> None:
    require_tag(tag)


@pytest.mark.parametrize(
    "image_id", ["../x", "/tmp/x", "a/b", "a\\b", "", ".x", "a..b", "a\nb", "x" * 201, "a~b", "-a", "ü" * 101]
)
def test_new_images_cannot_leave_the_studies(image_id: str) -> None:
    with pytest.raises(InvalidInputError, match="image id"):
        require_new_image_id(image_id)


@pytest.mark.parametrize("image_id", ["a.nii.gz", "a.nii", "a.NII", "a.gz", "a.nrrd", "a.mha", "a.", "a "])
def test_an_id_with_an_ending_would_be_read_as_another_image(image_id: str) -> None:
    with pytest.raises(InvalidInputError, match="does not end as a file does: rename the image"):
        require_new_image_id(image_id)


@pytest.mark.parametrize(
    "image_id", ["case7", "1.2.840.113619.2", "CT Chest 3-1", "a.b_c-d", "3: CT Abdomen (1 mm)", "Müller, Übung #2"]
)
def test_plain_ids_of_new_images_pass(image_id: str) -> None:
    require_new_image_id(image_id)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match="there is no strategy 'best': use one of random, variance"):
        require_known("best", {"variance", "random"}, "strategy")


@pytest.mark.parametrize("key", ["image", "images", "model", "label", "session", "session_id", "bundle_path"])
def test_params_cannot_override_what_the_address_names(key: str) -> None:
    with pytest.raises(ForbiddenError, match=key):
        parse_params(json.dumps({key: "/etc/passwd"}))


@pytest.mark.parametrize(
    "params", [{"model": "segmentation"}, {"model": ""}, {"strategy": "variance"}, {"note": "pale"}]
)
def test_a_client_may_send_any_keys_with_a_label(params: dict[str, str]) -> None:
    assert parse_label_params(json.dumps(params), "case7") == params


@pytest.mark.parametrize("key", ["image", "image_id", "images", "image_path", "label", "session", "session_id"])
def test_a_client_cannot_say_that_a_label_is_another_images(key: str) -> None:
    assert parse_label_params(json.dumps({key: "case7"}), "case7") == {key: "case7"}
    for other in ("case8", "/etc/passwd", ["case7"], None):
        with pytest.raises(ForbiddenError, match=f"'{key}': the address of the request says whose label it is"):
            parse_label_params(json.dumps({key: other}), "case7")


def test_the_params_of_a_label_are_a_json_object_with_a_valid_name() -> None:
    with pytest.raises(InvalidInputError, match="params: expected a JSON object"):
        parse_label_params("[1]", "case7")
    with pytest.raises(InvalidInputError, match="client_id: expected a name"):
        parse_label_params('{"client_id": 5}', "case7")
    assert parse_label_params(None, "case7") == {}


@pytest.mark.parametrize(
    "text",
    [
        "[1]", "3", '"x"', "{", "nul",
        '{"x": NaN}', '{"x": [-Infinity]}',  # numbers that the answer to another client could not hold
        '{"x": "\\ud800"}', '{"\\udfff": 1}',  # nor half a character
        "[" * 100_000, '{"x":' * 100_000,
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_params_are_a_json_object(text: str) -> None:
    with pytest.raises(InvalidInputError, match="params"):
        parse_params(text)


def test_params_with_a_tag_that_leaves_its_folder_are_refused() -> None:
    with pytest.raises(ActiveLabelError, match="tag"):
        parse_params('{"label_tag": "../x"}')


@pytest.mark.parametrize("client", [5, 0, True, ["ann"], {"a": 1}, "x" * 256, "ann\nroot", "a\0b", "\x1b[2J"])
def test_a_client_that_has_no_name_is_refused(client: object) -> None:
    with pytest.raises(InvalidInputError, match="client_id: expected a name of at most 255 characters"):
        check_params({"client_id": client})


@pytest.mark.parametrize("client", [None, "", "ann", "Größe 7", "x" * 255])
def test_a_client_may_have_any_name_or_none(client: str | None) -> None:
    check_params({"client_id": client})


def test_a_prediction_is_nobodys_final_label() -> None:
    check_params({"label_tag": "original"})
    with pytest.raises(ForbiddenError, match="keep a prediction as original"):
        check_params({"label_tag": "final"})


def test_keys_of_a_label_that_the_server_sets_are_refused() -> None:
    refuse_servers_own({"note": "motion artefact"}, SERVERS_LABEL_INFO)
    for key in ("label_info", "params", "name", "version", "annotated_slices", "slice_axis"):
        with pytest.raises(ForbiddenError, match=f"'{key}': the server sets it"):
            refuse_servers_own({"note": "", key: 1}, SERVERS_LABEL_INFO)


def test_params_of_a_label_that_could_not_be_listed_are_refused() -> None:
    check_label_info({"params": {"label_names": {}}, "label_info": []})
    check_label_info({})
    for odd in ([1], "x", 5, None):
        with pytest.raises(InvalidInputError, match="'params' to be a JSON object"):
            check_label_info({"params": odd})


def test_missing_params_are_none() -> None:
    assert parse_params("") == parse_params("null") == parse_params(None) == {}


def test_sessions_are_uuids() -> None:
    require_session("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")
    for session_id in ("", "..", "../x", "0f1e", "0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0/../../..", "x" * 36):
        with pytest.raises(NotFoundError):
            require_session(session_id)


NFC, NFD = "M\u00fcller 1+1", "Mu\u0308ller 1+1"


@pytest.mark.parametrize(("known", "sent"), [(NFC, NFD), (NFD, NFC), (NFC, NFC), (NFD, NFD)])
@pytest.mark.parametrize("field", ["image", "id", "label"])
def test_an_image_is_found_in_another_spelling_of_its_accents(known: str, sent: str, field: str) -> None:
    query = urlencode([("tag", "\u00e9"), (field, sent), ("blank", "")]).encode()
    found = dict(parse_qsl(in_known_spelling(query, {"other", known}.__contains__).decode(), keep_blank_values=True))
    assert found == {"tag": "\u00e9", field: known, "blank": ""}


@pytest.mark.parametrize(
    "query", [b"image=a%20b&image=c", b"", b"%", b"image=%ff", b"image=M%C3%BCller", b"tag=%C3%A9"]
)
def test_any_other_query_stays_as_it_was_sent(query: bytes) -> None:
    assert in_known_spelling(query, {"a"}.__contains__) == query
