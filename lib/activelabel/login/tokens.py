"""What a login provider's access token says, once it is known to be the provider's, for us, and of now."""

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
"""By how much two clocks may differ."""
_NOT_FOR_ACCESS = ("ID", "Refresh", "Offline", "Logout")  # what Keycloak calls its other tokens
_EVERY_TOKEN = "account"  # the audience that Keycloak gives to every token, whatever it is for


@dataclass(frozen=True)
class TokenRules:
    """Whose tokens are believed, and where in them name and roles are.

    Attributes:
        issuer: who must have issued them.
        audience: for whom they must be, or to whom, as the client that asked for them, they must have been given.
        name_claim: what holds the name.
        roles_claim: what holds the roles; `a#b` is `b` in `a`.
        roles: our role for each of the provider's.
    """

    issuer: str
    audience: str
    name_claim: str
    roles_claim: str
    roles: Mapping[str, Role]


def verify_token(token: str, keys: SigningKeys, rules: TokenRules) -> Identity:
    """Who shows this token.

    Raises:
        NotLoggedInError: it is not what it must be; the line says in which way.
        UnavailableError: the provider's keys are not known.
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
            options={"require": ["exp", "iss"], "verify_aud": False},  # ours is by `_check_audience`
        )
    except ExpiredSignatureError as error:
        raise NotLoggedInError("the token has expired: log in again") from error
    except (PyJWTError, ValueError, TypeError) as error:
        raise NotLoggedInError(f"the token is not valid: {error}") from error


def _check_audience(claims: Mapping[str, Any], audience: str) -> None:
    """Keycloak, unless told otherwise, names the client that asked for a token as `azp`, and no audience of ours."""
    said = claims.get("aud", [])
    named = [said] if isinstance(said, str) else said
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
    """The highest of all roles that we know."""
    found: Any = claims
    for step in rules.roles_claim.split("#"):
        found = found.get(step) if isinstance(found, Mapping) else None
    names = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
    given = [rules.roles[name] for name in names if name in rules.roles]
    if not given:
        known = ", ".join(rules.roles)
        raise NotLoggedInError(f"the token has no role of this server in '{rules.roles_claim}'; these are {known}")
    return max(given)
