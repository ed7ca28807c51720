"""Every route: who may ask, what it takes, what it answers."""

from collections.abc import Iterator
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel

from activelabel.loop.training.options import TrainOptions
from activelabel.server.login.roles import LEAST, OTHERS_LABEL, PUBLIC
from activelabel.server.routes.app_routes import ROUTES
from activelabel.server.routes.case_routes import (
    AdjudicateRequest,
    ApproveRequest,
    CaseRequest,
    HeartbeatRequest,
    PersonRequest,
    ReturnRequest,
    ReviewRequest,
    SkipCaseRequest,
)
from activelabel.server.routes.route_words import ANSWERS, HOST_ROUTES, PARAMETERS
from activelabel.server.routes.task_options import BatchInferOptions, InferOptions, ScoringOptions
from activelabel.server.status import STATUS
from reference_pages import fields
from reference_pages.markdown import code, page, section, table
from reference_pages.measures_page import first_line

INTRODUCTION = """
Where nobody has to log in, everybody on the server's machine may do everything. Elsewhere a route takes the role that
stands beside it, or a higher one: annotator, reviewer, manager, admin ([roles](../security.md#roles)). A route that
is not in this list takes an admin.
""".strip()
BODIES_INTRODUCTION = """
The JSON that a request brings, as its body or in its form field `params`. Where the default is *offered*, it is what
`GET /info/` shows under `trainers`. A next sample and a label are in [answers](answers.md).
""".strip()
BODIES: dict[str, type[BaseModel]] = {
    "POST /activelabel/skip": SkipCaseRequest,
    "POST /activelabel/bring-back": CaseRequest,
    "POST /activelabel/finish": CaseRequest,
    "POST /activelabel/release": PersonRequest,
    "POST /activelabel/heartbeat": HeartbeatRequest,
    "POST /activelabel/review": ReviewRequest,
    "POST /activelabel/approve": ApproveRequest,
    "POST /activelabel/return": ReturnRequest,
    "POST /activelabel/adjudicate": AdjudicateRequest,
    "POST /train/{model}": TrainOptions,
    "POST /scoring/{method}": ScoringOptions,
    "POST /infer/{model}": InferOptions,
    "POST /batch/infer/{model}": BatchInferOptions,
}
"""What is read of the JSON that a request brings, as its body or in its form field `params`."""
ANSWERS_INTRODUCTION = """
In a key, `.` leads into an object and `[]` into each entry of a list. Times are in ISO 8601. The words of a state are
those of [the picture](../clients.md#states-of-a-case).
""".strip()
_PLACES = {"path": "path", "query": "query", "body": "body"}


def routes_page() -> str:
    """The page."""
    header = ("route", "role", "takes", "what it does", "answers")
    parameters = table(("parameter", "description"), ((code(name), said) for name, said in PARAMETERS.items()))
    return page(
        "Routes",
        INTRODUCTION,
        section("All routes", table(header, rows())),
        section("Parameters", "A parameter means the same in all routes.", parameters),
        section("Bodies", BODIES_INTRODUCTION, *map(_body, BODIES)),
        section("Answers of `/activelabel/`", ANSWERS_INTRODUCTION, *_answers()),
        section("Errors", table(("status", "when"), _errors())),
    )


def rows() -> Iterator[tuple[str, ...]]:
    """A row for each route, those for everybody first."""
    for entry, role in [*((entry, "none") for entry in sorted(PUBLIC)), *_by_role()]:
        yield code(entry), role, ", ".join(takes(entry)), summary(entry), ANSWERS[entry]
        head = entry.replace("GET ", "HEAD ", 1)
        if head in ANSWERS and head != entry:
            yield code(head), role, ", ".join(takes(head)), summary(head), ANSWERS[head]


def route_of(entry: str) -> APIRoute | None:
    """The route of ours that an entry of the table of roles names; None for one of the host's."""
    method, _, path = entry.partition(" ")
    fitting = (route for route in ROUTES if isinstance(route, APIRoute) and route.path == path)
    return next((route for route in fitting if method in (route.methods or ())), None)


def takes(entry: str) -> list[str]:
    """What a route takes: `name (where)`, with a `?` where it may be left out."""
    route = route_of(entry)
    return [] if route is None else [_shown(field, place) for field, place in parameters_of(route)]


def parameters_of(route: APIRoute) -> Iterator[tuple[Any, str]]:
    """The parameters of a route, each with the place where it stands: `path`, `query` or `body`."""
    for place, name in _PLACES.items():
        for field in getattr(route.dependant, f"{place}_params"):
            yield field, name


def summary(entry: str) -> str:
    """What a route does, in a sentence.

    Raises:
        ValueError: nobody says it.
    """
    if entry == OTHERS_LABEL:
        return "Take back a label that somebody else has drawn."
    route = route_of(entry)
    said = HOST_ROUTES.get(entry, "") if route is None else first_line(route.endpoint)
    if not said:
        raise ValueError(f"{entry}: neither its function nor HOST_ROUTES says what it does")
    return said


def _body(entry: str) -> str:
    required = "offered" if BODIES[entry] is TrainOptions else "required"
    return f"### {code(entry)}\n\n{table(fields.HEADER, fields.rows(BODIES[entry], required))}"


def answer_models() -> Iterator[tuple[str, type[BaseModel]]]:
    """Each route of our own with a typed answer, and the kind of that answer."""
    for entry in sorted(LEAST):
        route = route_of(entry)
        model = None if route is None or not route.path.startswith("/activelabel/") else route.response_model
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield entry, model


def _answers() -> Iterator[str]:
    """A table for each typed answer of our own routes."""
    for entry, model in answer_models():
        yield f"### Answer to {code(entry)}\n\n{table(('key', 'kind', 'what it is'), fields.answer_rows(model))}"


def _by_role() -> Iterator[tuple[str, str]]:
    return ((entry, role.word) for entry, role in sorted(LEAST.items(), key=lambda item: (item[1], item[0])))


def _shown(field: Any, place: str) -> str:
    optional = "" if field.field_info.is_required() else "?"
    return f"{code(field.name + optional)} ({place})"


def _errors() -> Iterator[tuple[str, str]]:
    for kind, status in sorted(STATUS.items(), key=lambda item: item[1]):
        yield str(status), first_line(kind)
