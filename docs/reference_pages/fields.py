"""The fields of pydantic models as rows of a table: name, what is allowed, default, description."""

from collections.abc import Iterator, Mapping
from typing import Any

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


def default_of(field: FieldInfo) -> str:
    """The default of a field as it is written; nothing for none."""
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", ()):
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
    kind = schema.get("type")
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
