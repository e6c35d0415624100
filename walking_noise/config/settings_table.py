"""Table of settings: name, default, allowed values and meaning of each, from its definition."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel

from walking_noise.config.setting_schemas import allowed, schemas


class Row(NamedTuple):
    """A setting in words; ``default`` is empty if it is none of the allowed values."""

    name: str
    default: str
    allowed: str
    meaning: str


def rows(kind: type[BaseModel]) -> list[Row]:
    """A row for each setting of a class of settings, which may be nested."""
    table = []
    for name, schema in schemas(kind).items():
        values = allowed(schema)
        table.append(Row(name, _default(schema["default"], values), values, " ".join(schema["description"].split())))
    return table


def markdown(table: Sequence[Row]) -> str:
    """The table in Markdown."""
    lines = ["| name | default | allowed | meaning |", "|---|---|---|---|"]
    for name, default, values, meaning in table:
        lines.append(f"| `{name}` | {f'`{default}`' if default else ''} | {values} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(value: object, values: str) -> str:
    if value is None and not values.endswith("null"):
        return ""
    return value if isinstance(value, str) else json.dumps(value)
