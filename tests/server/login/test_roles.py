"""The table of roles has each route of the server, and the documentation has the table."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from monailabel.app import app as host
from starlette.routing import Mount

from activelabel.errors import ForbiddenError
from activelabel.login.identity import ROLES, Identity, Role, asking
from activelabel.server.login.roles import LEAST, OF_WORKERS, OTHERS_LABEL, PUBLIC, least_role, permits, require
from activelabel.server.routes.app_routes import ROUTES

SECURITY = Path(__file__).parents[3] / "docs" / "security.md"
OF_THE_PACS = ("wado", "qido", "stow")


def entries(routes: Iterable[Any]) -> set[str]:
    """Return the entries of these routes as the table writes them."""
    found = set()
    for route in routes:
        if isinstance(route, Mount):
            found.add(f"GET {route.path}/{{path:path}}")
        elif hasattr(route, "original_router"):  # a route of a mounted part of the host
            found |= entries(route.original_router.routes)
        else:
            found |= {f"{'GET' if method == 'HEAD' else method} {route.path}" for method in route.methods}
    return found


def test_every_route_that_can_be_asked_is_in_the_table_or_public() -> None:
    asked = entries([*ROUTES, *host.router.routes])
    assert len(asked) > 55
    unnamed = {entry for entry in asked if entry not in LEAST and entry not in PUBLIC}
    # Routes of the host that one of this package with an entry replaces.
    assert unnamed == {
        f"{method} /proxy/dicom/{part}/{{path:path}}" for method in ("GET", "POST") for part in OF_THE_PACS
    }
    assert (set(LEAST) | PUBLIC) - {OTHERS_LABEL} <= asked, "an entry without a route"


@pytest.mark.parametrize("entry", [entry for entry in LEAST if entry != OTHERS_LABEL])
def test_a_request_takes_what_the_table_says(entry: str) -> None:
    method, _, path = entry.partition(" ")
    assert least_role(method, re.sub(r"{[^}]*}", "x", path)) == LEAST[entry]


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("HEAD", "/logs/", Role.ADMIN),
        ("HEAD", "/datastore/image", Role.ANNOTATOR),
        ("GET", "/activelabel/nothing", Role.ADMIN),
        ("PATCH", "/info/", Role.ADMIN),
        ("GET", "/login/", Role.ADMIN),
        ("GET", "//logs/", Role.ADMIN),
        (
            "GET",
            "/ohif/../logs/",
            Role.ANNOTATOR,
        ),  # a file of the viewer, existing or not: the router treats it the same
        ("OPTIONS", "/logs/", None),
        ("GET", "/login", None),
    ],
)
def test_a_route_that_is_not_in_the_table_takes_an_admin(method: str, path: str, role: Role | None) -> None:
    assert least_role(method, path) == role


def test_a_label_of_another_annotator_takes_a_reviewer_to_take_back() -> None:
    require(OTHERS_LABEL)  # no login is needed
    before = asking.set(Identity("ann", Role.ANNOTATOR))
    try:
        with pytest.raises(ForbiddenError, match="takes the role reviewer, and ann is annotator"):
            require(OTHERS_LABEL)
        asking.set(Identity("rev", Role.REVIEWER))
        require(OTHERS_LABEL)
    finally:
        asking.reset(before)


@pytest.mark.parametrize("role", Role)
def test_each_role_may_send_what_is_its_own_and_nothing_else(role: Role) -> None:
    for entry, least in LEAST.items():
        if entry != OTHERS_LABEL:
            method, _, path = entry.partition(" ")
            allowed = entry in OF_WORKERS if role is Role.WORKER else role >= least
            assert permits(role, method, re.sub(r"{[^}]*}", "x", path)) is allowed, entry


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/model/segmentation", True),
        ("HEAD", "/datastore/image", True),
        ("GET", "/model/info/segmentation", False),
        ("GET", "/model/../logs/", False),
        ("GET", "/datastore/image/", False),
        ("PUT", "/datastore/image", False),
        ("GET", "/unheard-of", False),
    ],
)
def test_a_worker_may_fetch_images_and_the_model_only(method: str, path: str, allowed: bool) -> None:
    assert permits(Role.WORKER, method, path) is allowed


def test_a_worker_may_do_nothing_that_a_role_is_asked_for_later() -> None:
    before = asking.set(Identity("worker", Role.WORKER))
    try:
        for entry in LEAST:
            with pytest.raises(ForbiddenError, match="and worker is worker"):
                require(entry)
    finally:
        asking.reset(before)


def test_the_page_for_people_has_the_table() -> None:
    text = SECURITY.read_text(encoding="utf-8").partition("### Roles")[2].partition("\n#")[0]
    documented = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in ROLES:
            documented |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[-1]), ROLES[cells[0]])
        if cells[0] == "worker":
            assert frozenset(re.findall(r"`([^`]+)`", cells[-1])) == OF_WORKERS
    assert documented == LEAST
    assert "| worker |" in text
