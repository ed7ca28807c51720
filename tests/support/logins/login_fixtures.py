"""What the tests of logins share: a clock that is told the time, a login provider, and the rules for its tokens."""

from collections.abc import Iterator

import pytest
from openid_provider import CLIENT, OpenIdProvider, Person
from ports import free_port

from activelabel.login.identity import Role
from activelabel.login.tokens import TokenRules

ROLES = {
    "monailabel-annotator": Role.ANNOTATOR,
    "monailabel-reviewer": Role.REVIEWER,
    "monailabel-manager": Role.MANAGER,
    "monailabel-admin": Role.ADMIN,
}


class Clock:
    """A clock in seconds that is told how many have passed."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


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
