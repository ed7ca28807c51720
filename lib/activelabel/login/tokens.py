"""Verifies a login provider's access token (issuer, audience, expiry) and reads user and role from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from activelabel.errors import InvalidInputError, NotLoggedInError
from activelabel.login.identity import Identity, Role
from activelabel.login.signing_keys import ALGORITHMS, SigningKeys
from activelabel.store.users import checked_user_name

LEEWAY_SECONDS = 30
"""Allowed difference between two clocks."""
_NOT_FOR_ACCESS = ("ID", "Refresh", "Offline", "Logout")  # Keycloak's types of its other tokens
_EVERY_TOKEN = "account"  # the audience that Keycloak gives to every token


@dataclass(frozen=True)
class TokenRules:
    """Which tokens are accepted, and which claims hold name and roles.

    Attributes:
        issuer: required issuer.
        audience: required audience; a token that has only Keycloak's general audience must have this one as `azp`.
        name_claim: claim with the name.
        roles_claim: claim with the roles; `a#b` is `b` in `a`.
        roles: our role for each role of the provider.
    """

    issuer: str
    audience: str
    name_claim: str
    roles_claim: str
    roles: Mapping[str, Role]


def verify_token(token: str, keys: SigningKeys, rules: TokenRules) -> Identity:
    """The user of a token.

    Raises:
        NotLoggedInError: the token is not accepted; the line says why.
        UnavailableError: the provider's keys cannot be fetched.
    """
    claims = _verified(token, keys, rules.issuer)
    _check_audience(claims, rules.audience)
    if claims.get("typ") in _NOT_FOR_ACCESS:
        raise NotLoggedInError("the token is none for access: send the access token")
    return Identity(_name(claims, rules.name_claim), _role(claims, rules))


def _verified(token: str, keys: SigningKeys, issuer: str) -> dict[str, Any]:
    try:
        header = jwt.get_unverified_header(token)
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise NotLoggedInError(f"the token is not signed by {' or '.join(ALGORITHMS)}")
        key = keys.key(None if key_id is None else str(key_id), algorithm)
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss"], "verify_aud": False},  # `_check_audience` checks it
        )
    except ExpiredSignatureError as error:
        raise NotLoggedInError("the token has expired: log in again") from error
    except (PyJWTError, ValueError, TypeError) as error:
        raise NotLoggedInError(f"the token is not valid: {error}") from error


def _check_audience(claims: Mapping[str, Any], audience: str) -> None:
    """Check the audience; by default Keycloak names only the client that asked for the token, as `azp`."""
    audiences = claims.get("aud", [])
    named = [audiences] if isinstance(audiences, str) else audiences
    if not isinstance(named, list):
        named = [None]
    for_every = all(name == _EVERY_TOKEN for name in named)
    if audience not in named and not (for_every and claims.get("azp") == audience):
        raise NotLoggedInError(f"the token is for somebody else: its audience must be {audience}")


def _name(claims: Mapping[str, Any], claim: str) -> str:
    name = claims.get(claim)
    try:
        return checked_user_name(name if isinstance(name, str) else "")
    except InvalidInputError as error:
        raise NotLoggedInError(f"the token has no name of a user in '{claim}'") from error


def _role(claims: Mapping[str, Any], rules: TokenRules) -> Role:
    """The highest known role in the claims."""
    found: Any = claims
    for step in rules.roles_claim.split("#"):
        found = found.get(step) if isinstance(found, Mapping) else None
    names = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
    given = [rules.roles[name] for name in names if name in rules.roles]
    if not given:
        known = ", ".join(rules.roles)
        raise NotLoggedInError(f"the token has no role of this server in '{rules.roles_claim}'; these are {known}")
    return max(given)
