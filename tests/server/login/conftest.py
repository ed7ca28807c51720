"""A server in this process with the guard, the login pages and a few routes behind them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from fastapi import APIRouter, FastAPI, Request
from fastapi.testclient import TestClient
from openid_provider import CLIENT, OpenIdProvider, Person
from ports import free_port

from activelabel.login import passwords
from activelabel.login.accounts import SessionTimes
from activelabel.login.identity import Role
from activelabel.login.passwords import hash_password
from activelabel.login.provider import Provider
from activelabel.login.tokens import TokenRules
from activelabel.server.access import AccessGuard
from activelabel.server.client_info import annotator_of
from activelabel.server.login.gate import Login, let_fetch
from activelabel.server.routes.login_routes import router as login_routes
from activelabel.server.routes.one_line_route import AnyUser, OneLineRoute, login
from activelabel.store.ledger import Ledger
from activelabel.store.location import sqlite_url

TIMES = SessionTimes(timedelta(hours=12), timedelta(minutes=30))
PASSWORD = "correct horse battery"
ROLES = {
    "monailabel-annotator": Role.ANNOTATOR,
    "monailabel-reviewer": Role.REVIEWER,
    "monailabel-manager": Role.MANAGER,
    "monailabel-admin": Role.ADMIN,
}
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


class Clock:
    """A clock in seconds that tests advance."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session", autouse=True)
def quick_hashes() -> Iterator[None]:
    """Hash with the same algorithm and less work, as these tests log in often; `test_passwords` checks the real one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        yield


@pytest.fixture(scope="session")
def password_hash(quick_hashes: None) -> str:
    return hash_password(PASSWORD)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(sqlite_url(tmp_path / "ledger.sqlite"))
    yield ledger
    ledger.close()


@pytest.fixture
def with_users(ledger: Ledger, password_hash: str) -> Ledger:
    """A ledger with one user of each role, who has the role's name."""
    for role in ("annotator", "reviewer", "manager", "admin"):
        ledger.add_user(role, role, password_hash)
    return ledger


@pytest.fixture
def make_client(ledger: Ledger, clock: Clock) -> Callable[..., TestClient]:
    """Make a client at another machine, of a server that would answer only its own machine."""

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
def openid() -> Iterator[OpenIdProvider]:
    people = {
        "ann": Person("ann's own", ["monailabel-annotator", "monailabel-user"]),
        "mel": Person("mel's own", ["monailabel-manager"]),
        "guest": Person("guest's own"),
    }
    provider = OpenIdProvider(free_port(), people)
    yield provider
    provider.stop()


@pytest.fixture
def rules(openid: OpenIdProvider) -> TokenRules:
    return TokenRules(openid.realm, CLIENT, "preferred_username", "realm_access#roles", ROLES)


@pytest.fixture
def by_provider(ledger: Ledger, rules: TokenRules) -> Login:
    return Login(ledger, TIMES, Provider(CLIENT, rules, 5))
