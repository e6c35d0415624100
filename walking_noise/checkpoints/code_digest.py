"""Digest of the code that determines a trained network: checkpoints and cached networks of other code are not used."""

from __future__ import annotations

import ast
import hashlib
import itertools
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

from walking_noise.config.run_config import RunConfig
from walking_noise.data import sets
from walking_noise.models import architectures
from walking_noise.noise import kinds
from walking_noise.registry import find_modules, is_own

NAME = "walking_noise"
PACKAGE = Path(__file__).parents[1]
"""The folder of the package walking_noise."""
CHOSEN = ("noise/kinds", "models/architectures", "data/sets", "data/images", "data/speech")
"""Folders of which a run uses a part: the modules that its settings select, and what other modules import."""
INSTALLED = {"site-packages", "dist-packages"}
"""Names of folders with installed packages, whose code is not part of a project."""
ORGANISING = ("runtime", "probes")
"""Folders without effect on a training: the numbers of a run depend neither on its pack nor on its process."""


def code_digest(config: RunConfig) -> str:
    """Digest of the source that determines the network of a run. It changes with the code, even within one version.

    It covers the modules of the run's model, data set and noise kind, every module outside :data:`CHOSEN` and
    :data:`ORGANISING`, and all modules of this package that one of these imports. For a model or a data set of the
    user's own it covers the named module and what this imports from the same project. Runs of equal network key have
    equal digests: a noise kind counts only for its own distribution or function in training, because its levels are
    part of the key.
    """
    own_distribution = config.noisy_training and not config.noise_kind.is_gaussian
    return _digest(config.data.name, config.model.name, config.noise.kind if own_distribution else None)


@cache
def _digest(data_set: str, model: str, noise_kind: str | None) -> str:
    own = {name.partition(":")[0] for name in (data_set, model) if is_own(name)}
    selected = [] if is_own(data_set) else [find_modules(sets, "DATA_SET")[data_set]]
    selected += [] if is_own(model) else [find_modules(architectures, "MODEL")[model]]
    if noise_kind is not None:
        selected.append(find_modules(kinds, "KIND")[noise_kind])
    projects = {folder for name in own for folder in _project(name)}
    covered: dict[str, Path] = {}
    waiting = {module.__name__ for module in selected} | own | set(_common_modules())
    while waiting:
        name = waiting.pop()
        if not (name.startswith(f"{NAME}.") or name in own or any(_is_in(name, folder) for folder in projects)):
            continue
        file = _file(name)
        if file is not None and name not in covered:
            covered[name] = file
            waiting |= _imports(name, file)
    digest = hashlib.blake2b(digest_size=8)
    for name, file in sorted(covered.items()):
        digest.update(f"{name}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _common_modules() -> Iterator[str]:
    """Names of the modules that every training may use."""
    for file in PACKAGE.rglob("*.py"):
        path = file.relative_to(PACKAGE)
        if not any(path.is_relative_to(folder) for folder in (*CHOSEN, *ORGANISING)):
            yield ".".join((NAME, *path.with_suffix("").parts)).removesuffix(".__init__")


@cache
def _imports(name: str, file: Path) -> frozenset[str]:
    """Names that a module imports when it runs: modules, their packages, and objects in modules."""
    if file.suffix != ".py":
        return frozenset()
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    imported = set[str]()
    statements = ast.parse(file.read_bytes()).body
    run = [one for one in statements if not (isinstance(one, ast.If) and ast.unparse(one.test) == "TYPE_CHECKING")]
    for node in itertools.chain.from_iterable(map(ast.walk, run)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            imported |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return frozenset(path.rsplit(".", depth)[0] for path in imported for depth in range(path.count(".") + 1))


def _project(module: str) -> list[Path]:
    """The folder of a user's own project, from the module that a setting names; none for an installed package."""
    spec = find_spec(module.partition(".")[0])
    places = [] if spec is None else [*(spec.submodule_search_locations or []), *filter(None, [spec.origin])]
    if not places:
        return []
    folder = Path(places[0]).parent  # of the package, or of the file
    return [] if INSTALLED.intersection(folder.parts) else [folder]


def _is_in(module: str, folder: Path) -> bool:
    """Whether the package or the file of a module is in this folder."""
    top = module.partition(".")[0]
    return (folder / f"{top}.py").is_file() or (folder / top).is_dir()


def _file(name: str) -> Path | None:
    """The file of a module; None for other objects, and for the package itself, which only names public objects."""
    if name == NAME:
        return None
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:  # an object in a module
        return None
    return Path(spec.origin) if spec and spec.origin else None
