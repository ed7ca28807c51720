"""Self-contained HTML pages of the server: start page, list of routes, and log.

They replace the host's pages, which load scripts from three other sites.
"""

from collections.abc import Iterator
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from activelabel.analysis.harmless_text import printed
from activelabel.login.identity import asking
from activelabel.project.log_file import last_lines
from activelabel.project.studies import is_pacs
from activelabel.server.routes.one_line_route import AnyUser, OneLineRoute
from activelabel.server.routes.served import application

router = APIRouter(route_class=OneLineRoute)

_METHODS = ("get", "post", "put", "delete", "head")


@router.get("/", include_in_schema=False)
def start_page(request: Request, user: AnyUser) -> HTMLResponse:
    """Show links and the progress of the project."""
    app = application()
    info = app.info.read()
    return render_page(
        "start.html",
        title=str(info["name"]),
        description=str(info["description"]),
        labels=list(app.project.labels),
        address=str(request.base_url).rstrip("/"),
        has_pacs=is_pacs(app.studies),
        progress=info["progress"],
        model=info["model"],
        strategy=app.project.recipe.query.strategy,
        root=request.scope.get("root_path", "").rstrip("/"),
        who=asking.get(),
    )


@router.get("/docs", include_in_schema=False)
def reference_page(request: Request, user: AnyUser) -> HTMLResponse:
    """Show every route with its parameters, from `/openapi.json`."""
    return render_page("routes.html", title="What can be asked", routes=list(_described(request.app.openapi())))


@router.get("/logs/", response_model=None)
def show_log(
    user: AnyUser,
    lines: Annotated[int, Query(ge=0, le=100_000)] = 300,
    html: bool = True,
    text: bool = False,
    refresh: Annotated[int, Query(ge=0, le=86_400)] = 0,
) -> Response:
    """Show the end of this project's log; all of it for 0 lines. `refresh` reloads the page every N seconds."""
    shown = last_lines(application().project.log_file, lines)
    if text or not html or not lines:
        return PlainTextResponse(shown)
    return render_page("log.html", title="Log", log=shown, refresh=max(refresh, 3) if refresh else 0)


def _described(openapi: dict[str, Any]) -> Iterator[dict[str, str]]:
    for path, methods in openapi["paths"].items():
        for method, route in methods.items():
            if method in _METHODS:
                names = [f"{parameter['name']} ({parameter['in']})" for parameter in route.get("parameters", ())]
                names += list(route.get("requestBody", {}).get("content", {}))
                description = " ".join(str(route.get("description") or route.get("summary", "")).split())
                yield {"method": method.upper(), "path": path, "takes": ", ".join(names), "description": description}


def render_page(template: str, **values: Any) -> HTMLResponse:
    """A self-contained page from a template."""
    environment = Environment(
        loader=PackageLoader("activelabel.server.routes", "page_templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=printed,
    )  # fmt: skip
    style = (files("activelabel.server.routes") / "page_templates" / "style.css").read_text(encoding="utf-8")
    return HTMLResponse(environment.get_template(template).render(style=style, **values))
