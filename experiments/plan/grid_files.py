"""Which files are meant, and the runs that SEML makes of one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from seml.experiment.config import generate_configs, read_config, standardize_config, unpack_config
from seml.experiment.parameters import generate_grid
from seml.utils.errors import InputError

from experiments.errors import UserError

Settings = dict[str, Any]


class GridError(UserError):
    """What a file asks for cannot be run."""


def find(patterns: Sequence[str]) -> list[Path]:
    """The files that are meant by paths, by folders (all YAML files below) and by patterns such as ``**/*.yaml``.

    Raises
    ------
    UserError
        Nothing is there, or two files have the same content and so would add the same runs twice.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        path = Path(pattern)
        paths = sorted(path.rglob("*.yaml")) if path.is_dir() else [path] if path.exists() else _matching(path)
        if not paths:
            raise UserError(f"{pattern}: there is no {'YAML file in it' if path.is_dir() else 'such file'}")
        for one in paths:
            found.setdefault(one.resolve(), one)
    first_with: dict[bytes, Path] = {}
    for path in found.values():
        try:
            content = hashlib.sha256(path.read_bytes()).digest()
        except OSError as error:
            raise UserError(f"{path}: it cannot be read: {error.strerror}") from None
        if content in first_with:
            raise UserError(f"{path}: its content is that of {first_with[content]}; give one of them")
        first_with[content] = path
    return list(found.values())


def _matching(pattern: Path) -> list[Path]:
    """The files that match; a pattern that cannot match anything, such as ``a**``, has none."""
    below = Path(pattern.anchor or ".")
    try:
        return sorted(path for path in below.glob(str(pattern.relative_to(pattern.anchor))) if path.is_file())
    except ValueError:
        return []


def expand(path: Path, overwrite: Settings | None = None) -> list[Settings]:
    """The settings of every run that ``seml add`` makes of a file, as SEML's own functions give them.

    ``overwrite`` replaces settings of all runs, as ``seml add --overwrite-params`` does.

    Raises
    ------
    GridError
        SEML cannot read it, or some part of it gives no run at all.
    """
    try:
        if yaml.compose(path.read_text(), yaml.SafeLoader) is None:
            raise GridError(f"{path}: it is empty")
        _, _, experiment = read_config(path)
        for place, name in _empty(experiment):
            raise GridError(f"{path}: {place}{name}: the grid has no values, so it gives no run")
        runs: list[Settings] = generate_configs(experiment, overwrite_params=overwrite)
    except InputError as refusal:
        raise GridError(f"{path}: {_one_line(str(refusal).removeprefix('CONFIG ERROR: '))}") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise GridError(f"{path}: {line}{error.problem}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise GridError(f"{path}: it cannot be read: {_one_line(str(error))}") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise GridError(f"{path}: SEML cannot read it: {type(error).__name__}: {_one_line(str(error))}") from None
    return runs


def _empty(part: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    """Parameters of a grid without values, as (sub-configuration, name): SEML passes over them in silence."""
    reserved, children = unpack_config(part)
    for name, parameter in standardize_config(reserved)["grid"].items():
        for dotted, (values, _) in generate_grid(parameter, parent_key=name):
            if not len(values):
                yield place, dotted
    for name, child in children.items():
        yield from _empty(child, f"{place}{name}.")


def _one_line(text: str) -> str:
    return " ".join(text.split())
