"""JSON schema of SEML's grid files, with which editors complete and check settings (YAML language server)."""

from __future__ import annotations

import re
from typing import Any

from walking_noise import RunConfig
from walking_noise.config.setting_schemas import Schema, schemas

ANY = {"anyOf": [{"$ref": "#"}, {"type": "array"}]}
"""A sub-configuration, or a list, which SEML ignores."""


def grid_schema() -> Schema:
    """The schema: settings by dotted or nested names in ``fixed`` and ``grid``, at every level of sub-configurations.

    A section may also be part of a name, as in ``mlp.grid.seed``.
    """
    settings = schemas(RunConfig)
    sections = {
        "fixed": _section(settings),
        "grid": _section({name: _parameter(schema) for name, schema in settings.items()}),
    }
    patterns: dict[str, Any] = {}
    for section, schema in sections.items():
        names = schema["properties"]
        patterns[rf"^.+\.{section}$"] = {"$ref": f"#/$defs/{section}"}
        for name in names:
            patterns[rf"^.+\.{section}\.{re.escape(name)}$"] = {"$ref": f"#/$defs/{section}/properties/{name}"}
        others = "|".join(map(re.escape, names))
        patterns[rf"^.+\.{section}\.(?!({others})$)"] = False
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Grid of walking_noise",
        "$defs": sections,
        "type": "object",
        "properties": {
            "seml": {"type": "object", "required": ["executable"]},
            "slurm": {"type": "array", "items": {"type": "object"}},
            "random": {"type": "object", "required": ["samples"]},
            **{section: {"$ref": f"#/$defs/{section}"} for section in sections},
        },
        "patternProperties": patterns,
        "additionalProperties": ANY,
    }


def _section(settings: dict[str, Schema]) -> Schema:
    """The settings by their dotted names, or nested in their groups."""
    groups: dict[str, Schema] = {}
    for name, schema in settings.items():
        group, _, last = name.rpartition(".")
        if group:
            groups.setdefault(group, {})[last] = schema
    nested = {group: _object(members) for group, members in groups.items()}
    return _object(settings | nested)


def _object(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _parameter(setting: Schema) -> Schema:
    """The values of a setting in a grid: a list of options, or a range of numbers."""
    value = {key: part for key, part in setting.items() if key not in ("default", "description")}
    number, count = {"type": "number"}, {"type": "integer", "minimum": 1}
    properties: dict[str, Schema] = {
        "type": {"enum": ["choice", "range", "uniform", "loguniform"]},
        "options": {"type": "array", "items": value, "minItems": 1},
        **{"min": value, "max": number, "step": number, "num": count, "zip_id": {"type": "string"}},
    }
    return _object(properties) | {"required": ["type"], "description": setting["description"]}
