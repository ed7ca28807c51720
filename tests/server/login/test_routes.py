"""The pages of the login, as a browser goes through them, with users and with a login provider."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from fastapi import FastAPI
from fastapi.testclient import TestClient
from monailabel.config import settings as host_settings
from monailabel.endpoints import train
from monailabel.endpoints.user.auth import get_current_user as host_user
from openid_provider import OpenIdProvider

from activelabel.errors import StorageFullError
from activelabel.login.accounts import ENDED, SessionTimes
from activelabel.server.access import AccessGuard
from activelabel.server.login.gate import Login
from activelabel.server.routes.one_line_route import current_user
from activelabel.store.ledger import Ledger

PASSWORD = "correct horse battery"
Make = Callable[..., TestClient]
CALLBACK = "https://ward.example:8443/login/callback"


def send(client: TestClient, name: str = "annotator", password: str = PASSWORD, next: str = "/info/") -> object:
    return client.post("/login", data={"name": name, "password": password, "next": next})


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_page_sets_a_cookie_that_no_script_and_no_other_site_gets(
    with_users: Ledger, make_client: Make, scheme: str
) -> None:
    client = make_client(scheme=scheme)
    page = client.get("/login", params={"next": "/ohif/?a=1&b=2"})
    assert page.status_code == 200
    assert 'name="next" value="/ohif/?a=1&amp;b=2"' in page.text
    answer = send(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "/info/")
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name.startswith("activelabel_session_8443=")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"} <= set(attributes)
    assert ("Secure" in attributes) == (scheme == "https")
    assert client.get("/info/").json() == "annotator"


def test_logging_out_ends_the_session_and_not_only_the_cookie(with_users: Ledger, make_client: Make) -> None:
    client = make_client()
    send(client)
    kept = dict(client.cookies)
    answer = client.post("/logout")
    assert answer.headers["location"] == "/login"
    assert not client.cookies
    assert client.get("/info/", cookies=kept).status_code == 401


@pytest.fixture
def minutes(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The minutes that have passed for the ledger since the test began."""
    passed, began = [0.0], datetime.now(timezone.utc)
    monkeypatch.setattr(ledger, "_clock", lambda: began + timedelta(minutes=passed[0]))
    return passed


def test_a_browser_that_asks_for_nothing_for_half_an_hour_is_logged_out(
    with_users: Ledger, make_client: Make, minutes: list[float]
) -> None:
    client = make_client()
    send(client)
    for minutes[0] in (29, 58, 87):
        assert client.get("/info/").status_code == 200
    minutes[0] = 87 + 30
    refused = client.get("/info/")
    assert (refused.status_code, refused.json()["detail"]) == (401, ENDED)
    assert client.get("/ohif/", headers={"sec-fetch-mode": "navigate"}).headers["location"].startswith("/login?")
    send(client)
    assert client.get("/info/").status_code == 200


def test_a_browser_that_is_always_used_is_logged_out_after_the_hours_of_a_session(
    with_users: Ledger, make_client: Make, minutes: list[float]
) -> None:
    client = make_client()
    send(client)
    for minutes[0] in range(20, 12 * 60, 20):
        assert client.get("/info/").status_code == 200
    minutes[0] = 12 * 60
    assert client.get("/info/").status_code == 401


def test_slicers_token_outlives_hours_of_drawing(with_users: Ledger, make_client: Make, minutes: list[float]) -> None:
    client = make_client()
    token = client.post("/auth/token", data={"username": "annotator", "password": PASSWORD}).json()
    header = {"Authorization": f"Bearer {token['access_token']}"}
    minutes[0] = 12 * 60 - 1
    assert client.get("/info/", headers=header).status_code == 200
    minutes[0] = 12 * 60
    assert client.get("/info/", headers=header).status_code == 401


def test_without_an_idle_time_a_browser_stays_in(with_users: Ledger, make_client: Make, minutes: list[float]) -> None:
    client = make_client(server=Login(with_users, SessionTimes(timedelta(hours=12))))
    send(client)
    minutes[0] = 12 * 60 - 1
    assert client.get("/info/").status_code == 200


def test_a_disk_without_room_keeps_nobody_out(
    with_users: Ledger, make_client: Make, minutes: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageFullError("the disk is full")

    client = make_client()
    send(client)
    monkeypatch.setattr(with_users, "prolong_session", full)
    minutes[0] = 29
    assert client.get("/info/").status_code == 200
    minutes[0] = 30
    assert client.get("/info/").status_code == 401, "it was not prolonged, and nobody is let in by mistake"


def test_a_removed_user_is_out_at_once(with_users: Ledger, make_client: Make) -> None:
    client = make_client()
    send(client)
    assert client.get("/info/").status_code == 200
    with_users.remove_user("annotator")
    assert client.get("/info/").status_code == 401


def test_two_servers_of_one_machine_leave_each_other_their_cookies(with_users: Ledger, make_client: Make) -> None:
    client = make_client()
    send(client)
    for other in ("activelabel_session_1", "activelabel_session_9999"):
        client.cookies.set(other, "of another server")
        assert client.get("/info/").json() == "annotator"


def test_the_page_reports_a_wrong_password_without_showing_it(with_users: Ledger, make_client: Make) -> None:
    answer = send(make_client(), password="<b>wrong</b>")
    assert answer.status_code == 401
    assert "name or password is wrong" in answer.text
    assert "wrong</b>" not in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "next", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "", "/a\r\nX: y"]
)
def test_the_page_leads_nowhere_else(with_users: Ledger, make_client: Make, next: str) -> None:
    assert send(make_client(), next=next).headers["location"] == "/"


def test_a_page_of_another_site_cannot_log_anybody_in_or_out(with_users: Ledger, make_client: Make) -> None:
    client = make_client()
    send(client)
    for path in ("/login", "/logout"):
        assert client.post(path, headers={"origin": "https://evil.example"}).status_code == 403
        assert client.post(path, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.get("/info/").status_code == 200


def go(client: TestClient, openid: OpenIdProvider, next: str = "/") -> dict[str, str]:
    """Follow the redirect to the provider, and return the query with which it sends the browser back."""
    openid.redirects = {CALLBACK}
    leaves = client.get("/login/start", params={"next": next})
    assert leaves.status_code == 303
    back = requests.get(leaves.headers["location"], allow_redirects=False, timeout=60).headers["Location"]
    assert back.startswith(f"{CALLBACK}?")
    return {key: values[0] for key, values in parse_qs(urlsplit(back).query).items()}


def test_a_browser_logs_in_at_the_provider(make_client: Make, by_provider: Login, openid: OpenIdProvider) -> None:
    client = make_client(server=by_provider)
    assert "Log in at 127.0.0.1" in client.get("/login").text
    query = go(client, openid, "/ohif/?x=1")
    answer = client.get("/login/callback", params=query)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ohif/?x=1")
    assert client.get("/info/").json() == "ann"
    assert client.post("/train/").status_code == 403
    assert client.get("/login/callback", params=query).status_code == 401, "a code is good once"


def test_only_the_browser_that_left_comes_back(make_client: Make, by_provider: Login, openid: OpenIdProvider) -> None:
    client, other = make_client(server=by_provider), make_client(server=by_provider)
    query = go(client, openid)
    assert other.get("/login/callback", params=query).status_code == 401
    go(other, openid)
    assert other.get("/login/callback", params=query).status_code == 401, "its own state is another"
    other.cookies.set("activelabel_journey", "????", path="/login")
    assert other.get("/login/callback", params=query).status_code == 401
    assert client.get("/login/callback", params=query).status_code == 303


def test_a_browser_that_another_provider_sends_is_refused(
    make_client: Make, by_provider: Login, openid: OpenIdProvider
) -> None:
    client = make_client(server=by_provider)
    refused = client.get("/login/callback", params={**go(client, openid), "iss": "https://evil.example"})
    assert refused.status_code == 401
    assert "comes from another login provider" in refused.text
    answer = client.get("/login/callback", params={**go(client, openid), "iss": openid.realm})
    assert answer.status_code == 303


def test_a_person_without_a_role_gets_a_page_that_says_so(
    make_client: Make, by_provider: Login, openid: OpenIdProvider
) -> None:
    openid.at_browser = "guest"
    client = make_client(server=by_provider)
    answer = client.get("/login/callback", params=go(client, openid))
    assert answer.status_code == 401
    assert "no role of this server" in answer.text
    assert client.get("/login/callback", params={"error": "access_denied", "state": "x"}).status_code == 401


def test_slicer_logs_in_through_the_server(make_client: Make, by_provider: Login, openid: OpenIdProvider) -> None:
    client = make_client(server=by_provider)
    form = {"username": "mel", "password": "mel's own", "grant_type": "password"}
    token = client.post("/auth/token", data=form).json()["access_token"]
    assert client.post("/train/", headers={"Authorization": f"Bearer {token}"}).json() == "mel"
    refused = client.post("/auth/token", data={**form, "password": "x"})
    assert refused.status_code == 401
    assert "Invalid user credentials" in refused.json()["detail"]
    assert client.get("/info/", auth=("mel", "mel's own")).status_code == 401, "no password with each request"


def test_a_script_shows_the_providers_own_token(make_client: Make, by_provider: Login, openid: OpenIdProvider) -> None:
    client = make_client(server=by_provider)
    header = {"Authorization": f"Bearer {openid.token('ann')}"}
    assert client.post("/activelearning/x", json={"client_id": "mel"}, headers=header).json() == "ann"
    assert client.get("/info/", headers={"Authorization": f"Bearer {openid.token('guest')}"}).status_code == 401


def test_a_provider_that_is_away_is_503(make_client: Make, by_provider: Login, openid: OpenIdProvider) -> None:
    openid.down = True
    client = make_client(server=by_provider)
    assert client.get("/login/start").status_code == 503
    assert client.post("/auth/token", data={"username": "a", "password": "b"}).status_code == 503
    answer = client.get("/info/", headers={"Authorization": f"Bearer {openid.token('ann')}"})
    assert answer.status_code == 503
    assert str(openid.realm) not in answer.text
    openid.down = False
    assert client.get("/info/", headers={"Authorization": f"Bearer {openid.token('ann')}"}).status_code == 200


def test_the_hosts_own_routes_believe_the_guard(
    by_provider: Login, openid: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's own check refuses all tokens, and its check of roles knows no manager."""
    monkeypatch.setattr(host_settings, "MONAI_LABEL_AUTH_ENABLE", True)
    app = FastAPI()
    app.include_router(train.router)
    client = TestClient(AccessGuard(app, local_only=True, allowed_origins=(), login=by_provider))
    mel = {"Authorization": f"Bearer {openid.token('mel')}"}
    app.dependency_overrides[host_user] = current_user
    assert client.delete("/train/", headers=mel).status_code == 200
    assert client.delete("/train/", headers={"Authorization": f"Bearer {openid.token('ann')}"}).status_code == 403
    assert client.delete("/train/").status_code == 401


def test_what_a_page_holds_of_one_reader_is_refused_once_another_has_logged_in_in_the_same_browser(
    with_users: Ledger, make_client: Make
) -> None:
    browser, page = make_client(), {"X-ActiveLabel-Reader": "annotator"}
    send(browser)
    assert browser.get("/info/", headers=page).json() == "annotator"
    send(browser, "reviewer")
    refused = browser.get("/info/", headers=page)
    assert refused.status_code == 412
    assert refused.json()["detail"].startswith("this is the work of annotator, and reviewer is logged in")
