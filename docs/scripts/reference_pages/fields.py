"""The fields of pydantic models as rows of a table: name, what is allowed, default, description."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from reference_pages.markdown import code

HEADER = ("key", "allowed", "default", "description")
_TYPES = {"string": "text", "boolean": "`true` or `false`", "integer": "whole number", "number": "number"}


def rows(model: type[BaseModel], required: str = "required") -> Iterator[tuple[str, str, str, str]]:
    """A row for each field of `model`; `required` stands for the default of those that have none."""
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        default = required if field.is_required() else default_of(field)
        yield code(name), allowed(properties[name]), default, field.description or ""


def answer_rows(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, str, str]]:
    """A row for each key of an answer, those of objects in it below them: `.` leads into one, `[]` into a list."""
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        below, many = _object_in(field.annotation)
        kind = ("list of objects" if many else "object") if below is not None else allowed(properties[name])
        yield code(f"{above}{name}"), kind, field.description or ""
        if below is not None:
            yield from answer_rows(below, f"{above}{name}{'[]' if many else ''}.")


def _object_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The kind of object that a field holds, itself or in a list; None for plain values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for inner in get_args(annotation):
        kind, _ = _object_in(inner)
        if kind is not None:
            return kind, get_origin(annotation) is list
    return None, False


def default_of(field: FieldInfo) -> str:
    """The default of a field as it is written; nothing for none."""
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", (), {}):
        return ""
    if isinstance(value, tuple):
        return code(list(value))
    return code(str(value).lower() if isinstance(value, bool) else value)


def allowed(schema: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in a few words."""
    if "anyOf" in schema:
        return " or ".join(text for text in map(allowed, schema["anyOf"]) if text)
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    if "const" in schema:
        return code(str(schema["const"]).lower())
    if "$ref" in schema:
        return "a word"
    kind = schema.get("type")
    if kind == "object":
        return "object"
    if kind == "array":
        return _allowed_list(schema)
    return "" if kind in (None, "null") else _TYPES[kind] + _range(schema)


def _allowed_list(schema: Mapping[str, Any]) -> str:
    entries = schema.get("prefixItems")
    if entries:
        kinds = [allowed(entry) for entry in entries]
        return f"{len(kinds)} × {kinds[0]}" if len(set(kinds)) == 1 else f"[{', '.join(kinds)}]"
    return f"list of {allowed(schema['items'])}"


def _range(schema: Mapping[str, Any]) -> str:
    bounds = [
        f"{sign} {schema[key]}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if key in schema
    ]
    return f" {', '.join(bounds)}" if bounds else ""
