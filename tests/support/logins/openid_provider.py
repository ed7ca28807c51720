"""A small login provider that speaks OpenID Connect as Keycloak does: discovery, keys, both grants, PKCE.

Its tokens have the claims that Keycloak gives a public client with its default configuration: `aud` is "account", `azp`
is the client, and the roles are in `realm_access`.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

CLIENT = "monailabel-app"


class SigningKey:
    """A key with its id, public half and algorithm."""

    def __init__(self, algorithm: str, bits: int = 2048) -> None:
        self.id = secrets.token_hex(8)
        self.algorithm = algorithm
        self.private = (
            rsa.generate_private_key(65537, bits) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())
        )

    def public(self) -> dict[str, Any]:
        """Return the public key as the provider lists it among its keys."""
        writer = RSAAlgorithm if self.algorithm == "RS256" else ECAlgorithm
        public = json.loads(writer.to_jwk(self.private.public_key()))
        return {**public, "kid": self.id, "alg": self.algorithm, "use": "sig"}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """Sign these claims, and return the token."""
        return jwt.encode(claims, self.private, self.algorithm, {"kid": self.id, **header})


@dataclass
class Person:
    """A person with an account at the provider."""

    password: str
    roles: list[str] = field(default_factory=list)


class OpenIdProvider:
    """The provider at a port of this machine.

    Attributes:
        people: the known persons by name.
        at_browser: the person at the browser that comes for a login; they are already logged in here.
        asked: how often its keys were fetched.
        down: whether it answers 503 to every request.
    """

    def __init__(self, port: int, people: dict[str, Person], algorithm: str = "RS256") -> None:
        self.people = people
        self.at_browser = next(iter(people), "")
        self.redirects: set[str] = set()
        self.asked = 0
        self.down = False
        self.realm = f"http://127.0.0.1:{port}/realms/clinic"
        self.key = SigningKey(algorithm)
        self._codes: dict[str, tuple[str, str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._get(self)

            def do_POST(self) -> None:
                provider._post(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def rotate(self, algorithm: str = "RS256") -> None:
        """Sign with a new key from now on; the old one is gone."""
        self.key = SigningKey(algorithm)

    def claims(self, name: str, **others: Any) -> dict[str, Any]:
        """Return the claims of an access token."""
        now = int(time.time())
        return {
            "exp": now + 3600, "iat": now, "jti": secrets.token_hex(8), "iss": self.realm, "aud": "account",
            "sub": hashlib.sha256(name.encode()).hexdigest()[:36], "typ": "Bearer", "azp": CLIENT,
            "realm_access": {"roles": [*self.people[name].roles, "offline_access"]},
            "scope": "openid profile email", "name": name.title(), "preferred_username": name, **others,
        }  # fmt: skip

    def token(self, name: str, **others: Any) -> str:
        """Return an access token."""
        return self.key.sign(self.claims(name, **others))

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        address = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        if self.down:
            _answer(request, 503, {})
        elif address.path.endswith("/.well-known/openid-configuration"):
            _answer(request, 200, self._configuration())
        elif address.path.endswith("/certs"):
            self.asked += 1
            _answer(request, 200, {"keys": [self.key.public()]})
        elif address.path.endswith("/auth"):
            self._authorize(request, query)
        else:
            _answer(request, 404, {})

    def _configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.realm,
            "authorization_endpoint": f"{self.realm}/auth",
            "token_endpoint": f"{self.realm}/token",
            "jwks_uri": f"{self.realm}/certs",
            "code_challenge_methods_supported": ["plain", "S256"],
        }

    def _authorize(self, request: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        if query.get("client_id") != CLIENT or query.get("redirect_uri") not in self.redirects:
            _answer(request, 400, {"error": "invalid_redirect_uri"})
            return
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            back = {"error": "invalid_request"}
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = (self.at_browser, query["redirect_uri"], query["code_challenge"])
            back = {"code": code}
        request.send_response(302)
        request.send_header("Location", f"{query['redirect_uri']}?{urlencode({'state': query['state'], **back})}")
        request.end_headers()

    def _post(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"])).decode()
        form = {key: values[0] for key, values in parse_qs(body).items()}
        name = None if self.down or form.get("client_id") != CLIENT else self._granted(form)
        if self.down:
            _answer(request, 503, {})
        elif name is None:
            _answer(request, 401, {"error": "invalid_grant", "error_description": "Invalid user credentials"})
        else:
            _answer(request, 200, {"access_token": self.token(name), "token_type": "Bearer", "expires_in": 3600})

    def _granted(self, form: dict[str, str]) -> str | None:
        if form["grant_type"] == "password":
            person = self.people.get(form["username"])
            return form["username"] if person and person.password == form["password"] else None
        name, redirect, challenge = self._codes.pop(form.get("code", ""), ("", "", ""))
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proved = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
        return name if name and proved and form.get("redirect_uri") == redirect else None


def _answer(request: BaseHTTPRequestHandler, status: int, body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)
