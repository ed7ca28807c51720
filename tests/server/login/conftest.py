"""A server in this process, with the guard, the pages of the login and a few routes behind them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from fastapi import APIRouter, FastAPI, Request
from fastapi.testclient import TestClient
from login_fixtures import Clock
from login_fixtures import clock as clock
from login_fixtures import openid as openid
from login_fixtures import rules as rules
from openid_provider import CLIENT

from activelabel.login import passwords
from activelabel.login.accounts import SessionTimes
from activelabel.login.passwords import hash_password
from activelabel.login.provider import Provider
from activelabel.login.tokens import TokenRules
from activelabel.server.access import AccessGuard
from activelabel.server.client_info import annotator_of
from activelabel.server.login.gate import Login, let_fetch
from activelabel.server.routes.login_routes import router as login_routes
from activelabel.server.routes.one_line_route import AnyUser, OneLineRoute, login
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

TIMES = SessionTimes(timedelta(hours=12), timedelta(minutes=30))
PASSWORD = "correct horse battery"
behind = APIRouter(route_class=OneLineRoute)


@behind.get("/info/")
def info(user: AnyUser) -> str:
    return user.username


@behind.get("/logs/")
@behind.post("/train/")
@behind.get("/unheard-of")
@behind.get("/ohif/{path:path}")
def anything(user: AnyUser) -> str:
    return user.username


@behind.get("/datastore/image")
def image(image: str, user: AnyUser) -> str:
    return user.username


@behind.post("/activelearning/{strategy}")
def next_sample(request: Request, strategy: str, params: dict[str, object]) -> str:
    let_fetch(request, "case_7")
    return annotator_of({**params, **login()})


@pytest.fixture(scope="session", autouse=True)
def quick_hashes() -> Iterator[None]:
    """The same algorithm with less work, as these tests log in often; `test_passwords` looks at the real one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        yield


@pytest.fixture(scope="session")
def password_hash(quick_hashes: None) -> str:
    return hash_password(PASSWORD)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    yield ledger
    ledger.close()


@pytest.fixture
def with_users(ledger: Ledger, password_hash: str) -> Ledger:
    """A user of each role, called as the role is."""
    for role in ("annotator", "reviewer", "manager", "admin"):
        ledger.add_user(role, role, password_hash)
    return ledger


@pytest.fixture
def make_client(ledger: Ledger, clock: Clock) -> Callable[..., TestClient]:
    """A browser or script of a machine on the network, at a server that would answer its own machine only."""

    def make(machine: str = "10.0.0.7", scheme: str = "https", server: Login | None = None) -> TestClient:
        app = FastAPI()
        app.include_router(login_routes)
        app.include_router(behind)
        guard = AccessGuard(app, local_only=True, allowed_origins=(), login=server or Login(ledger, TIMES, None, clock))
        return TestClient(
            guard, base_url=f"{scheme}://ward.example:8443", client=(machine, 50000), follow_redirects=False
        )

    return make


@pytest.fixture
def by_provider(ledger: Ledger, rules: TokenRules) -> Login:
    return Login(ledger, TIMES, Provider(CLIENT, rules, 5))
