"""Chromium, the host's client and Python's own download at the guard and its pages, over real sockets."""

import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from monailabel.client import MONAILabelClient
from ohif_page import CHROMIUM, PATIENCE_MS
from openid_provider import OpenIdProvider
from playwright.sync_api import Browser, sync_playwright
from ports import free_port
from self_signed import certificate_for, outside_address

from activelabel.server.login.gate import Login
from activelabel.store.ledger import Ledger

PASSWORD = "correct horse battery"
Serve = Callable[..., int]
WHO = "fetch('/info/').then(answer => answer.json())"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a web server for an application as the host does, and return its port."""
    servers: list[uvicorn.Server] = []

    def start(app: Any, certificate: Path | None = None, key: Path | None = None) -> int:
        port, log = free_port(), "warning"
        config = uvicorn.Config(
            app, host="0.0.0.0", port=port, ssl_certfile=certificate, ssl_keyfile=key, log_level=log
        )
        servers.append(uvicorn.Server(config))
        threading.Thread(target=servers[-1].run, daemon=True).start()
        deadline = time.monotonic() + 120
        while not servers[-1].started:
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.05)
        return port

    yield start
    for server in servers:
        server.should_exit = True


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--headless=new", "--no-sandbox"], timeout=PATIENCE_MS
        )
        yield browser
        browser.close()


def test_users_over_tls_from_another_machine(
    with_users: Ledger, make_client: Callable[..., Any], serve: Serve, chromium: Browser, tmp_path: Path
) -> None:
    certificate, key = certificate_for(outside_address(), tmp_path)
    address = f"https://{outside_address()}:{serve(make_client().app, certificate, key)}"
    client = MONAILabelClient(address, client_id="eve")
    assert client.auth_enabled()
    assert not client.auth_valid_token()
    client.update_auth(client.auth_token("annotator", PASSWORD))
    assert client.auth_valid_token()
    assert client.next_sample("x", {}) == client.info() == "annotator"
    trusted = ssl.create_default_context(cafile=certificate)
    with urllib.request.urlopen(f"{address}/datastore/image?image=case_7", context=trusted) as answer:
        assert answer.status == 200, "as Slicer downloads it"

    page = chromium.new_page(ignore_https_errors=True)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{address}/ohif/monai-label?StudyInstanceUIDs=1.2")
    for password in ("wrong", PASSWORD):
        page.get_by_label("Name").fill("annotator")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()
        if password == "wrong":
            assert page.get_by_role("alert").inner_text() == "name or password is wrong"
    page.wait_for_url(f"{address}/ohif/monai-label?StudyInstanceUIDs=1.2")
    assert page.evaluate(WHO) == "annotator"
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("fetch('/logout', {method: 'POST'}).then(answer => answer.url)") == f"{address}/login"
    assert page.evaluate(WHO) == {"detail": "log in first"}


def test_a_browser_goes_to_the_login_provider_and_comes_back_to_where_it_was_going(
    by_provider: Login, openid: OpenIdProvider, make_client: Callable[..., Any], serve: Serve, chromium: Browser
) -> None:
    address = f"http://127.0.0.1:{serve(make_client(server=by_provider).app)}"
    openid.redirects = {f"{address}/login/callback"}
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{address}/ohif/monai-label?x=1")
    page.get_by_role("link", name="Log in at 127.0.0.1").click()
    page.wait_for_url(f"{address}/ohif/monai-label?x=1")
    assert page.evaluate(WHO) == "ann"
