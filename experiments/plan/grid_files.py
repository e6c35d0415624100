"""Grid files of SEML: search by path, folder or pattern, and expansion into the settings of every run."""

from __future__ import annotations

import glob
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
    """Error in a grid file: the file cannot be read, or one of its runs is invalid."""


def find(patterns: Sequence[str]) -> list[Path]:
    """The files given by paths, by folders (all YAML files below them) and by patterns such as ``**/*.yaml``."""
    files: dict[Path, Path] = {}
    for pattern in patterns:
        path = Path(pattern)
        paths = sorted(path.rglob("*.yaml")) if path.is_dir() else [path] if path.exists() else _matching(pattern)
        if not paths:
            raise UserError(f"{pattern}: there is no {'YAML file in it' if path.is_dir() else 'such file'}")
        for one in paths:
            files.setdefault(one.resolve(), one)
    return list(files.values())


def _matching(pattern: str) -> list[Path]:
    matching = glob.glob(pattern, recursive=True)  # noqa: PTH207 - accepts absolute patterns, too
    return sorted(path for path in map(Path, matching) if path.is_file())


def expand(path: Path, overwrite: Settings | None = None) -> list[Settings]:
    """The settings of every run that ``seml add`` would add from a file, expanded by SEML's own functions.

    ``overwrite`` replaces settings of all runs, as ``seml add --overwrite-params`` does. Raise :class:`GridError` if
    SEML cannot read the file, or a grid of it has no values and therefore no runs.
    """
    try:
        if yaml.compose(path.read_text(), yaml.SafeLoader) is None:
            raise GridError(f"{path}: the file is empty")
        _, _, experiment = read_config(path)
        for section, name in _empty(experiment):
            raise GridError(f"{path}: {section}{name}: the grid has no values and would add no run")
        runs: list[Settings] = generate_configs(experiment, overwrite_params=overwrite)
    except InputError as refusal:
        raise GridError(f"{path}: {_one_line(str(refusal).removeprefix('CONFIG ERROR: '))}") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise GridError(f"{path}: {line}{error.problem}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise GridError(f"{path}: cannot be read: {_one_line(str(error))}") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise GridError(f"{path}: SEML cannot read the file: {type(error).__name__}: {_one_line(str(error))}") from None
    return runs


def _empty(config: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, str]]:
    """Grid parameters without values, as (sub-configuration, name); SEML ignores them without a warning."""
    reserved, children = unpack_config(config)
    for name, parameter in standardize_config(reserved)["grid"].items():
        for dotted, (values, _) in generate_grid(parameter, parent_key=name):
            if not len(values):
                yield section, dotted
    for name, child in children.items():
        yield from _empty(child, f"{section}{name}.")


def _one_line(text: str) -> str:
    return " ".join(text.split())
