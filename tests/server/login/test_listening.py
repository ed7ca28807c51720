"""A server that other machines can reach does not start without a login."""

from pathlib import Path

import pytest

from activelabel.errors import NotReadyError
from activelabel.project.opening import open_project
from activelabel.project.project import Project
from activelabel.server.login.listening import Place, place_asked_for, require_login


@pytest.mark.parametrize(
    ("arguments", "host"),
    [
        ("start_server --app a --studies s", None),
        ("start_server --host 0.0.0.0 --port 80", "0.0.0.0"),
        ("start_server --host=10.1.2.3", "10.1.2.3"),
        ("start_server -i ::", "::"),
        ("start_server --conf recipe quick --ho 127.0.0.1 --ssl_certfile c", "127.0.0.1"),
        ("start_server --host 127.0.0.1 --host 0.0.0.0", "0.0.0.0"),
    ],
)
def test_the_host_of_a_command_line(arguments: str, host: str | None) -> None:
    assert place_asked_for(arguments.split()) == Place(host, "--ssl_certfile" in arguments)


@pytest.mark.parametrize(
    ("host", "closed", "address"),
    [
        (None, False, "http://127.0.0.1:8443"),
        ("0.0.0.0", False, "http://127.0.0.1:8443"),
        ("127.0.0.1", True, "https://127.0.0.1:8443"),
        ("10.1.2.3", False, "http://10.1.2.3:8443"),
        ("ward.example", True, "https://ward.example:8443"),
        ("0.0.0.0", True, "https://127.0.0.1:8443"),
        ("::", True, "https://127.0.0.1:8443"),
        ("::1", True, "https://[::1]:8443"),
    ],
)
def test_the_address_that_people_open(host: str | None, closed: bool, address: str) -> None:
    assert Place(host, closed).address(8443) == address


def project(tmp_path: Path, **conf: str) -> Project:
    return open_project("app", str(tmp_path), {"labels": "liver", **conf})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "ward.example"])
def test_a_server_beyond_this_machine_needs_users_a_provider_or_an_explicit_setting(tmp_path: Path, host: str) -> None:
    without, place = project(tmp_path), Place(host, True)
    with pytest.raises(NotReadyError, match="activelabel user add NAME --role admin --studies"):
        require_login(without, place, has_provider=False)
    require_login(without, place, has_provider=True)
    require_login(project(tmp_path, allow_remote="true"), place, has_provider=False)
    without.ledger.add_user("ann", "admin", "hash")
    require_login(without, place, has_provider=False)


@pytest.mark.parametrize("host", [None, "127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_a_server_for_this_machine_only_needs_no_users(tmp_path: Path, host: str | None) -> None:
    require_login(project(tmp_path), Place(host, False), has_provider=False)


def test_an_open_line_is_warned_of_where_others_can_read_along(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for place in (Place("0.0.0.0", True), Place("127.0.0.1", False), Place("0.0.0.0", False)):
        assert "open line" not in caplog.text
        require_login(project(tmp_path), place, has_provider=True)
    assert "give --ssl_certfile" in caplog.text


@pytest.mark.parametrize(
    ("place", "address"),
    [
        (Place(None, False), "http://127.0.0.1:8000"),
        (Place("0.0.0.0", True), "https://127.0.0.1:8000"),
        (Place("::", False), "http://127.0.0.1:8000"),
        (Place("10.1.2.3", True), "https://10.1.2.3:8000"),
        (Place("::1", False), "http://[::1]:8000"),
    ],
)
def test_the_address_that_is_told_is_one_that_answers_at_this_machine(place: Place, address: str) -> None:
    assert place.address(8000) == address
