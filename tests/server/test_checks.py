"""What a request may name, and what it may not."""

import json

import pytest

from activelabel.errors import ActiveLabelError, ForbiddenError, InvalidInputError, NotFoundError
from activelabel.server.checks import (
    parse_params,
    require_image,
    require_known,
    require_new_image_id,
    require_session,
    require_tag,
)


class FakeStudies:
    """Studies of one image, which were last looked at before it came."""

    def __init__(self, listed: bool = True) -> None:
        self._images = ["case7"] if listed else []

    def list_images(self) -> list[str]:
        return self._images

    def refresh(self) -> None:
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


@pytest.mark.parametrize("image_id", ["../x", "/tmp/x", "a/b", "a\\b", "", ".x", "a..b", "a\nb"])
def test_new_images_cannot_leave_the_studies(image_id: str) -> None:
    with pytest.raises(InvalidInputError, match="image id"):
        require_new_image_id(image_id)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match="there is no strategy 'best': use one of random, variance"):
        require_known("best", {"variance", "random"}, "strategy")


@pytest.mark.parametrize("key", ["image", "model", "label", "session"])
def test_params_cannot_override_what_the_address_names(key: str) -> None:
    with pytest.raises(ForbiddenError, match=key):
        parse_params(json.dumps({key: "/etc/passwd"}))


@pytest.mark.parametrize("text", ["[1]", "3", '"x"', "{", "nul"])
def test_params_are_a_json_object(text: str) -> None:
    with pytest.raises(InvalidInputError, match="params"):
        parse_params(text)


def test_params_with_a_tag_that_leaves_its_folder_are_refused() -> None:
    with pytest.raises(ActiveLabelError, match="tag"):
        parse_params('{"label_tag": "../x"}')


def test_missing_params_are_none() -> None:
    assert parse_params("") == parse_params("null") == parse_params(None) == {}


def test_sessions_are_uuids() -> None:
    require_session("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")
    for session_id in ("", "..", "../x", "0f1e", "0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0/../../..", "x" * 36):
        with pytest.raises(NotFoundError):
            require_session(session_id)
