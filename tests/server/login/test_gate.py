"""Access to a server with users: by a browser, Slicer and a script, and the refusals of all other requests."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import requests
from fastapi.testclient import TestClient

from activelabel.login import accounts, attempts
from activelabel.login.accounts import SessionTimes
from activelabel.login.worker_passes import WorkerPass
from activelabel.server.login import gate
from activelabel.server.login.gate import Login
from activelabel.store.ledger import Ledger

PASSWORD = "correct horse battery"
Make = Callable[..., TestClient]
NAVIGATES = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "none"}


def token_of(client: TestClient, name: str) -> dict[str, str]:
    """Return the header that Slicer sends once it has a token."""
    answer = client.post("/auth/token", data={"username": name, "password": PASSWORD, "grant_type": "password"})
    token = answer.json()
    return {"Authorization": f"{token['token_type']} {token['access_token']}"}


def test_without_users_every_request_of_this_machine_passes(make_client: Make) -> None:
    here = make_client("127.0.0.1", "http")
    here.base_url = "http://localhost:8000"
    assert here.get("/info/").json() == "admin"
    assert here.get("/auth/").json()["enabled"] is False
    assert here.post("/activelearning/x", json={"client_id": "ann"}).json() == "ann"
    assert here.get("/login").headers["location"] == "/"
    elsewhere = make_client().get("/info/")
    assert elsewhere.status_code == 403
    assert "answers its own machine only" in elsewhere.json()["detail"]


def test_a_first_user_shuts_the_door_of_a_running_server_for_good(
    make_client: Make, ledger: Ledger, password_hash: str, clock: Callable[[], float]
) -> None:
    here = make_client("127.0.0.1", "http")
    here.base_url = "http://localhost:8000"
    assert here.get("/info/").status_code == 200
    ledger.add_user("ann", "annotator", password_hash)
    clock.now += gate._LOOK_SECONDS + 0.1  # type: ignore[attr-defined]
    assert here.get("/info/").status_code == 401
    ledger.remove_user("ann")
    clock.now += 60  # type: ignore[attr-defined]
    assert here.get("/info/").status_code == 401, "nobody is left who could, and it stays shut"


def test_an_address_with_name_and_password_logs_in_a_client_that_knows_of_none(
    with_users: Ledger, make_client: Make
) -> None:
    """Slicer's module MONAI Label Reviewer sends each of its requests as `requests` makes it of the address."""
    address = "http://annotator:correct%20horse%20battery@clinic.example:8000/info/"
    sent = requests.Request("GET", address).prepare()
    answer = make_client().get("/info/", headers={"Authorization": sent.headers["Authorization"]})
    assert (answer.status_code, answer.json()) == (200, "annotator")


def test_a_request_without_a_login_is_told_how_to_log_in(with_users: Ledger, make_client: Make) -> None:
    client = make_client()
    script = client.get("/info/")
    assert (script.status_code, script.json()["detail"]) == (401, "log in first")
    assert script.headers["www-authenticate"].startswith("Basic ")
    viewer = client.get("/info/", headers={"sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"})
    assert viewer.status_code == 401
    assert viewer.headers["www-authenticate"] == "Bearer", "or the browser asks by itself"
    person = client.get("/ohif/monai-label?StudyInstanceUIDs=1.2&x=y", headers=NAVIGATES)
    assert person.status_code == 303
    assert person.headers["location"] == "/login?next=%2Fohif%2Fmonai-label%3FStudyInstanceUIDs%3D1.2%26x%3Dy"
    assert "default-src 'self'" in person.headers["content-security-policy"]


def test_a_script_sends_name_and_password_each_time_and_the_slow_hash_is_made_once(
    with_users: Ledger, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    verify = accounts.verify_password
    monkeypatch.setattr(accounts, "verify_password", lambda word, kept: made.append(word) or verify(word, kept))
    client = make_client()
    for _ in range(3):
        assert client.get("/info/", auth=("annotator", PASSWORD)).json() == "annotator"
    assert len(made) == 1
    assert client.get("/info/", auth=("annotator", "another password")).status_code == 401
    assert len(made) == 2


def test_a_password_that_was_changed_is_not_remembered(
    with_users: Ledger, make_client: Make, password_hash: str
) -> None:
    client = make_client()
    assert client.get("/info/", auth=("annotator", PASSWORD)).status_code == 200
    with_users.set_password_hash("annotator", "$argon2id$of$another")
    assert client.get("/info/", auth=("annotator", PASSWORD)).status_code == 401
    with_users.remove_user("annotator")
    with_users.add_user("annotator", "annotator", password_hash)
    assert client.get("/info/", auth=("annotator", PASSWORD)).status_code == 200


def test_slicer_asks_for_a_token_and_shows_it(with_users: Ledger, make_client: Make) -> None:
    client = make_client()
    assert client.get("/auth/").json()["enabled"] is True
    assert client.get("/auth/token/valid").status_code == 401
    header = token_of(client, "annotator")
    assert client.get("/auth/token/valid", headers=header).json()["roles"] == ["annotator"]
    assert client.get("/info/", headers=header).json() == "annotator"
    wrong = client.post("/auth/token", data={"username": "annotator", "password": "x", "grant_type": "password"})
    assert (wrong.status_code, wrong.json()["detail"]) == (401, "name or password is wrong")
    client.post("/logout", headers=header)
    assert client.get("/info/", headers=header).status_code == 401


def test_slicer_fetches_once_the_image_it_was_asked_for_without_saying_who_it_is(
    with_users: Ledger, make_client: Make, clock: Callable[[], float]
) -> None:
    client = make_client()
    header = token_of(client, "annotator")

    def fetch(image: str = "case_7") -> int:
        return client.get("/datastore/image", params={"image": image}).status_code

    assert fetch() == 401
    client.post("/activelearning/x", json={}, headers=header)
    assert fetch("case_8") == 401
    assert client.get("/datastore/image?image=case_7&image=case_8").status_code == 401
    assert fetch() == 200
    assert fetch() == 401, "a second time"
    client.post("/activelearning/x", json={}, headers=header)
    clock.now += 61  # type: ignore[attr-defined]
    assert fetch() == 401, "too late"
    client.post("/activelearning/x", json={}, auth=("annotator", PASSWORD))
    assert fetch() == 401, "a script says each time who it is"


def test_slicers_download_without_a_token_can_be_forbidden(
    with_users: Ledger, make_client: Make, clock: Callable[[], float]
) -> None:
    shut = gate.Login(with_users, SessionTimes(timedelta(hours=12)), None, clock, slicer_downloads=False)
    client = make_client(server=shut)
    header = token_of(client, "annotator")
    client.post("/activelearning/x", json={}, headers=header)
    assert client.get("/datastore/image", params={"image": "case_7"}).status_code == 401
    assert client.get("/datastore/image", params={"image": "case_7"}, headers=header).status_code == 200


def test_a_download_without_a_token_is_logged_with_its_user(
    with_users: Ledger, make_client: Make, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client()
    client.post("/activelearning/x", json={}, headers=token_of(client, "annotator"))
    with caplog.at_level("INFO"):
        client.get("/datastore/image?image=case_7")
    assert "annotator was asked for case_7, which goes to 10.0.0.7 without a token" in caplog.text


def test_slicers_download_without_a_token_is_refused_to_another_machine(with_users: Ledger, make_client: Make) -> None:
    client = make_client()
    client.post("/activelearning/x", json={}, headers=token_of(client, "annotator"))
    other = TestClient(client.app, base_url=str(client.base_url), client=("10.0.0.8", 1))
    assert other.get("/datastore/image?image=case_7").status_code == 401
    assert client.get("/datastore/image?image=case_7").status_code == 200


@pytest.mark.parametrize("claimed", [{"client_id": "reviewer"}, {"user": "reviewer"}, {"client_id": None}, {}])
def test_the_annotator_of_a_request_is_the_logged_in_user(
    with_users: Ledger, make_client: Make, claimed: dict[str, object]
) -> None:
    answer = make_client().post("/activelearning/x", json=claimed, auth=("annotator", PASSWORD))
    assert answer.json() == "annotator"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/info/", "annotator reviewer manager admin"),
        ("POST", "/train/", "manager admin"),
        ("GET", "/logs/", "admin"),
        ("GET", "/unheard-of", "admin"),
    ],
)
def test_each_role_may_send_the_requests_of_its_row(
    with_users: Ledger, make_client: Make, method: str, path: str, allowed: str
) -> None:
    client = make_client()
    for name in ("annotator", "reviewer", "manager", "admin"):
        answer = client.request(method, path, auth=(name, PASSWORD))
        assert answer.status_code == (200 if name in allowed.split() else 403), name
        if answer.status_code == 403:
            assert answer.json()["detail"] == f"{method} {path} takes a higher role than that of {name}, {name}"


@pytest.mark.parametrize("provider", [False, True])
def test_a_worker_fetches_an_image_and_is_refused_all_else(
    with_users: Ledger, make_client: Make, by_provider: Login, provider: bool
) -> None:
    server = by_provider if provider else None
    client, header = make_client(server=server), {"Authorization": f"Bearer {WorkerPass(with_users)()}"}
    assert client.get("/datastore/image?image=case_7", headers=header).status_code == 200
    for method, path in [("GET", "/info/"), ("POST", "/train/"), ("GET", "/logs/"), ("GET", "/unheard-of")]:
        answer = client.request(method, path, headers=header)
        assert (answer.status_code, answer.json()["detail"]) == (
            403, f"{method} {path}: a worker may fetch images and the model, and nothing else"
        )  # fmt: skip


def test_a_changed_role_takes_effect_at_once(with_users: Ledger, make_client: Make) -> None:
    client = make_client()
    header = token_of(client, "annotator")
    assert client.post("/train/", headers=header).status_code == 403
    with_users.set_user_role("annotator", "manager")
    assert client.post("/train/", headers=header).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic YW5u",
        "Basic /w==",
        "Bearer",
        "Bearer x",
        "Bearer a.b.c",
        "Digest x",
        "\x00",
        "é",
    ],
)
def test_a_malformed_authorization_header_is_401(with_users: Ledger, make_client: Make, header: str) -> None:
    answer = make_client().get("/info/", headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert len(answer.json()["detail"].splitlines()) == 1


@pytest.mark.parametrize("name", ["nobody", "a\x00b", "x" * 300, "é"])
def test_a_name_nobody_has_is_401_and_not_told_apart(with_users: Ledger, make_client: Make, name: str) -> None:
    answer = make_client().post("/auth/token", data={"username": name, "password": PASSWORD})
    assert (answer.status_code, answer.json()["detail"]) == (401, accounts.WRONG)


def test_failed_logins_are_limited_and_logged_in_users_stay_logged_in(
    with_users: Ledger, make_client: Make, clock: Callable[[], float]
) -> None:
    client = make_client()
    header = token_of(client, "annotator")
    for _ in range(attempts.FOR_NAME_AND_PLACE):
        assert client.get("/info/", auth=("annotator", "guess")).status_code == 401
    refused = client.get("/info/", auth=("annotator", PASSWORD))
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= attempts.WITHIN_SECONDS + 1
    by_slicer = client.post("/auth/token", data={"username": "annotator", "password": PASSWORD})
    assert by_slicer.status_code == 429
    assert int(by_slicer.headers["retry-after"]) == int(refused.headers["retry-after"])
    assert client.get("/info/", headers=header).status_code == 200
    assert client.get("/info/", auth=("reviewer", PASSWORD)).status_code == 200
    clock.now += attempts.WITHIN_SECONDS  # type: ignore[attr-defined]
    assert client.get("/info/", auth=("annotator", PASSWORD)).status_code == 200


def test_a_ledger_that_is_gone_lets_nobody_in(with_users: Ledger, make_client: Make) -> None:
    client = make_client()
    header = token_of(client, "admin")
    assert with_users.file is not None
    with_users.file.unlink()
    assert client.get("/info/", headers=header).status_code == 503
    assert make_client().get("/info/").status_code == 503, "nor does a server that never knew of a user"
