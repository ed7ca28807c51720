"""The links of the pages stay on the page's own address, also behind a proxy that adds a path before all addresses."""

import re
from types import SimpleNamespace

import pytest
from hostile_names import HOSTILE, RTL

from activelabel.server.routes.pages import render_page

PROGRESS = SimpleNamespace(images=3, annotated=1, partly_annotated=1, leased=1)


def start_page(root: str, address: str) -> str:
    page = render_page(
        "start.html",
        title="activelabel",
        description="Active learning",
        labels=["liver"],
        address=address,
        has_pacs=True,
        progress=PROGRESS,
        model=None,
        strategy="variance",
        root=root,
        who=None,
    )
    return bytes(page.body).decode()


@pytest.mark.parametrize("root", ["", "/label"])
def test_the_first_page_leads_below_what_a_proxy_puts_before_it(root: str) -> None:
    links = re.findall(r'href="([^"]*)"', start_page(root, "https://ward.example/label"))
    assert links == [f"{root}/ohif/", f"{root}/docs", f"{root}/info/", f"{root}/logs/"]


def test_the_first_page_names_the_address_at_which_it_was_opened() -> None:
    page = start_page("", "https://ward.example:8443")
    assert "Server <code>https://ward.example:8443</code>" in page
    assert "http://" not in page


def test_the_list_of_routes_finds_its_description_beside_it() -> None:
    page = bytes(render_page("routes.html", title="What can be asked", routes=[]).body).decode()
    assert re.findall(r'href="([^"]*)"', page) == ["openapi.json"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_page_of_the_server_shows_a_hostile_name_and_does_nothing_else(name: str) -> None:
    text = bytes(render_page("log.html", title=name, log=name, refresh=0).body).decode()
    plain = bytes(render_page("log.html", title="liver", log="liver", refresh=0).body).decode()
    for tag in ("<script", "<img", "<b>", "<title", "</pre", "</style"):
        assert text.count(tag) == plain.count(tag), tag
    assert RTL not in text
