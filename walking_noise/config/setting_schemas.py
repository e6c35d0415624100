"""JSON schema of each setting, and its allowed values in words; the words are those of messages and of tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from walking_noise.errors import ConfigError, refused
from walking_noise.fields.setting_types import LARGEST_INTEGER

Schema = dict[str, Any]


def schemas(kind: type[BaseModel]) -> dict[str, Schema]:
    """The JSON schema of each setting, with its ``default`` and ``description``, by dotted name."""
    whole = kind.model_json_schema()

    def flat(group: Schema, prefix: str) -> Iterator[tuple[str, Schema]]:
        for name, schema in group["properties"].items():
            if "$ref" in schema:
                yield from flat(whole["$defs"][schema["$ref"].rpartition("/")[2]], f"{prefix}{name}.")
            else:
                yield prefix + name, {key: value for key, value in schema.items() if key != "title"}

    return dict(flat(whole, ""))


def allowed(schema: Schema) -> str:
    """The values that a JSON schema allows, in words."""
    if "$comment" in schema:
        return str(schema["$comment"])
    if "anyOf" in schema:
        return ", or ".join(map(allowed, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(schema.get("enum") or [json.dumps(schema["const"])])
    match schema.get("type"):
        case "boolean":
            return "true, false"
        case "integer":
            return f"a whole number{_range(schema)}"
        case "number":
            return f"a finite number{_range(schema)}"
        case kind:
            return str(kind)


def refusal(kind: type[BaseModel], flat: Mapping[str, Any], error: ValidationError) -> ConfigError:
    """The message of one line for the first setting of ``flat`` that pydantic refused."""
    found = error.errors(include_url=False)
    name = _setting(found[0]["loc"], flat)
    of_setting = [one for one in found if _setting(one["loc"], flat) == name]
    advice = [str(one["ctx"]["error"]) for one in of_setting if one["type"] == "value_error"]
    text = next(filter(None, advice), None) or f"allowed: {_allowed_values(kind)[name]}"
    return refused(name, flat[name], text)


@cache
def _allowed_values(kind: type[BaseModel]) -> dict[str, str]:
    return {name: allowed(schema) for name, schema in schemas(kind).items()}


def _setting(location: tuple[int | str, ...], flat: Mapping[str, Any]) -> str:
    """The setting at a location of an error, which may also name an alternative type and an entry of a list."""
    name = ".".join(map(str, location[:2]))
    return name if name in flat else str(location[0])


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum", LARGEST_INTEGER)
    if schema["type"] == "integer" and low is not None and high < LARGEST_INTEGER:
        return f" {low}..{high}"
    parts = [f">= {low:g}"] if low is not None else []
    parts += [f"> {schema['exclusiveMinimum']:g}"] if "exclusiveMinimum" in schema else []
    parts += [f"<= {high:g}"] if high < LARGEST_INTEGER else []
    return f" {' and '.join(parts)}" if parts else ""
