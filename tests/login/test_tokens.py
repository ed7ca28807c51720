"""The accepted tokens of a login provider, and the refusal of each other one."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from openid_provider import CLIENT, OpenIdProvider, SigningKey

from activelabel.errors import NotLoggedInError, UnavailableError
from activelabel.login import signing_keys
from activelabel.login.identity import Identity, Role
from activelabel.login.provider import Provider
from activelabel.login.signing_keys import SigningKeys
from activelabel.login.tokens import TokenRules


@pytest.fixture
def verify(rules: TokenRules) -> Callable[[str], Identity]:
    return Provider(CLIENT, rules, 5).verify


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_token_gives_the_persons_name_and_role(
    openid: OpenIdProvider, verify: Callable[[str], Identity], algorithm: str
) -> None:
    openid.rotate(algorithm)
    assert verify(openid.token("ann")) == Identity("ann", Role.ANNOTATOR)
    assert verify(openid.token("ann", aud=["x", CLIENT], azp="x")) == Identity("ann", Role.ANNOTATOR)
    both = {"roles": ["monailabel-annotator", "monailabel-admin", "else", 5]}
    assert verify(openid.token("ann", realm_access=both)).role == Role.ADMIN


NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": NOW - 120}, "has expired"),
        ({"nbf": NOW + 100_000}, "not valid"),
        ({"iss": "http://127.0.0.1:1/realms/clinic"}, "not valid"),
        ({"exp": None}, "not valid"),
        ({"exp": "soon"}, "not valid"),
        ({"aud": "other"}, "is for somebody else"),
        ({"aud": ["other", "account"]}, "is for somebody else"),  # though we asked for it
        ({"azp": "other"}, "is for somebody else"),
        ({"aud": {"x": 1}}, "is for somebody else"),
        ({"aud": 5}, "is for somebody else"),
        ({"typ": "ID"}, "none for access"),
        ({"preferred_username": None}, "no name of a user in 'preferred_username'"),
        ({"preferred_username": ""}, "no name"),
        ({"preferred_username": "a\nb"}, "no name"),
        ({"preferred_username": ["ann"]}, "no name"),
        ({"realm_access": None}, "no role of this server in 'realm_access#roles'"),
        ({"realm_access": []}, "no role"),
        ({"realm_access": {"roles": "monailabel-admin"}}, "no role"),
        ({"realm_access": {"roles": ["monailabel-user"]}}, "no role"),
        ({"realm_access": {"roles": [{}]}}, "no role"),
    ],
)
def test_a_token_that_is_not_what_it_must_be_is_refused(
    openid: OpenIdProvider, verify: Callable[[str], Identity], claims: dict[str, Any], expected: str
) -> None:
    all_claims = {key: value for key, value in {**openid.claims("ann"), **claims}.items() if value is not None}
    with pytest.raises(NotLoggedInError, match=expected):
        verify(openid.key.sign(all_claims))


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_a_token_that_anybody_could_have_made_is_refused(
    openid: OpenIdProvider, verify: Callable[[str], Identity]
) -> None:
    claims = openid.claims("ann")
    own = SigningKey("RS256")
    own.id = openid.key.id
    # A signature with the public key as its secret, which everybody who sees the key can make.
    signed = f"{encoded({'alg': 'HS256', 'kid': openid.key.id})}.{encoded(claims)}"
    public = json.dumps(openid.key.public()).encode()
    digest = base64.urlsafe_b64encode(hmac.new(public, signed.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    head, body, signature = openid.token("ann").split(".")
    forged = [
        own.sign(claims),
        own.sign(claims, jwk=own.public(), jku="http://127.0.0.1:1/keys"),
        f"{signed}.{digest}",
        f"{encoded({'alg': 'none'})}.{encoded(claims)}.",
        jwt.encode(claims, openid.key.private, "PS256", {"kid": openid.key.id}),
        f"{head}.{encoded({**claims, 'preferred_username': 'mel'})}.{signature}",
        f"{head}.{body}.{signature[:-8]}AAAAAAAA",
        f"{encoded({'alg': ['RS256'], 'kid': {}})}.{body}.{signature}",
        "a.b.c", "..", "é.é.é", f"{encoded(5)}.{body}.{signature}", f"{head}.{encoded([1])}.{signature}",
    ]  # fmt: skip
    for token in forged:
        with pytest.raises(NotLoggedInError):
            verify(token)
    assert verify(f"{head}.{body}.{signature}").name == "ann"


def test_a_key_too_small_is_no_key(openid: OpenIdProvider, verify: Callable[[str], Identity]) -> None:
    openid.key = SigningKey("RS256", bits=1024)
    with pytest.raises(NotLoggedInError, match="does not have"):
        verify(openid.token("ann"))


def test_an_unknown_key_id_fetches_the_keys_once_and_not_for_every_token(
    openid: OpenIdProvider, clock: Callable[[], float]
) -> None:
    keys = SigningKeys(lambda: fetch(openid), clock)
    first = openid.key
    for _ in range(3):
        keys.key(first.id, "RS256")
    assert openid.asked == 1
    openid.rotate()
    clock.now += 11  # type: ignore[attr-defined]
    keys.key(openid.key.id, "RS256")
    assert openid.asked == 2
    for number in [*range(20), *range(20)]:
        with pytest.raises(NotLoggedInError):
            keys.key(f"none {number}", "RS256")
    assert openid.asked == 2 + signing_keys.MOST_AT_ONCE
    assert len(keys._missing) == signing_keys.MOST_AT_ONCE, "anybody can send any number of key ids"
    with pytest.raises(NotLoggedInError):
        keys.key(first.id, "RS256")
    with pytest.raises(NotLoggedInError):
        keys.key(openid.key.id, "ES256")


def test_a_provider_may_change_its_keys_right_after_they_were_fetched(
    openid: OpenIdProvider, clock: Callable[[], float]
) -> None:
    keys = SigningKeys(lambda: fetch(openid), clock)
    retired = openid.key
    keys.key(retired.id, "RS256")
    for asked in (2, 4):  # the second time a client goes on sending a token of a key that is gone
        openid.rotate()
        keys.key(openid.key.id, "RS256")
        assert openid.asked == asked
        for _ in range(3):
            with pytest.raises(NotLoggedInError):
                keys.key(retired.id, "RS256")


def test_unknown_keys_are_not_asked_for_at_once_while_the_provider_is_away(
    openid: OpenIdProvider, clock: Callable[[], float]
) -> None:
    tried = []

    def try_to_fetch() -> dict[str, Any]:
        tried.append(openid.down)
        return fetch(openid)

    keys = SigningKeys(try_to_fetch, clock)
    keys.key(openid.key.id, "RS256")
    openid.down = True
    for number in range(20):
        with pytest.raises(NotLoggedInError):
            keys.key(f"none {number}", "RS256")
    assert tried == [False, True]


def test_known_keys_go_on_while_the_provider_is_away(openid: OpenIdProvider, clock: Callable[[], float]) -> None:
    keys = SigningKeys(lambda: fetch(openid), clock)
    openid.down = True
    with pytest.raises(UnavailableError):
        keys.key(openid.key.id, "RS256")
    openid.down = False
    keys.key(openid.key.id, "RS256")
    openid.down = True
    clock.now += signing_keys.KEPT_SECONDS + 1  # type: ignore[attr-defined]
    keys.key(openid.key.id, "RS256")
    with pytest.raises(NotLoggedInError):
        keys.key("another", "RS256")


def fetch(openid: OpenIdProvider) -> dict[str, Any]:
    if openid.down:
        raise UnavailableError("away")
    openid.asked += 1
    return {"keys": [5, {"kty": "oct", "k": "eA"}, {"kty": "RSA", "kid": "broken", "n": "?"}, openid.key.public()]}
