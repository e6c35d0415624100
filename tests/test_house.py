"""The laws of the code base that can be read off its files."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import walking_noise
from tests.conftest import LONGEST_FILES

ROOT = Path(__file__).parents[1]
PACKAGES = ("walking_noise", "experiments", "analysis")
LONGEST_MODULE = 300

EMBEDDED_SERVER = {"secantus", "wiredtiger"}  # GPL: a process of its own, never imported
FORBIDDEN = {
    "walking_noise": {"sacred", "seml", "pymongo", "bson", "gridfs", "experiments", "analysis"},
    "experiments": set[str](),
    "analysis": {"experiments"},
}
KERNELS = {
    "walking_noise/noise/rng/triton_image_layers.py",
    "walking_noise/noise/rng/triton_kernels.py",
    "walking_noise/pack/gpu/triton_convolution.py",
    "walking_noise/training/adam/triton_update.py",
}
"""Written in Triton's language; imported where a GPU is."""


def modules(package: str) -> dict[str, str]:
    """Path from the root -> source of every module of a package."""
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / package).rglob("*.py"))}
    assert sources, f"{package} has no modules"
    return sources


def imported_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Top-level packages named by the import statements among these nodes."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            yield node.module.partition(".")[0]


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes below this one that run when the module is imported: all but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from run_on_import(child)


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows_point_one_way(package: str):
    forbidden = FORBIDDEN[package] | EMBEDDED_SERVER
    imported = {path: set(imported_names(ast.walk(ast.parse(code)))) for path, code in modules(package).items()}
    assert not {path: names & forbidden for path, names in imported.items() if names & forbidden}


def test_importing_the_library_needs_torch_numpy_and_pydantic_only():
    allowed = sys.stdlib_module_names | {"torch", "numpy", "pydantic", "walking_noise"}
    imported = {
        path: set(imported_names(run_on_import(ast.parse(code)))) for path, code in modules("walking_noise").items()
    }
    beyond = {path: names - allowed for path, names in imported.items() if names - allowed}
    assert beyond == {path: {"triton"} for path in KERNELS}


def test_library_imports_where_nothing_else_is_installed():
    absent = FORBIDDEN["walking_noise"] | {"torchvision", "torchaudio", "mlxtend", "pandas", "scipy", "rich"}
    script = f"""
import importlib, pkgutil, sys
sys.modules |= dict.fromkeys({sorted(absent)})  # importing them raises ModuleNotFoundError
import walking_noise
for module in pkgutil.walk_packages(walking_noise.__path__, "walking_noise."):
    importlib.import_module(module.name)
"""
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_are_short(package: str):
    lengths = {path: len(code.splitlines()) for path, code in modules(package).items()}
    assert not {path: length for path, length in lengths.items() if length > LONGEST_MODULE}


@pytest.fixture(scope="module")
def pyproject() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def project(pyproject: Any) -> Any:
    return pyproject["project"]


def requirements(project: Any, *extras: str) -> dict[str, Requirement]:
    """Distribution -> requirement, of the core and of the extras, which may name others of this project."""
    lines = [*project["dependencies"]]
    lines += [line for extra in extras for line in project["optional-dependencies"][extra]]
    found: dict[str, Requirement] = {}
    for requirement in map(Requirement, lines):
        if requirement.name == project["name"]:
            found |= requirements(project, *requirement.extras)
        else:
            found[canonicalize_name(requirement.name)] = requirement
    return found


def test_versions_agree(pyproject: Any):
    module, _, name = pyproject["tool"]["setuptools"]["dynamic"]["version"]["attr"].rpartition(".")
    packaged = getattr(importlib.import_module(module), name)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == walking_noise.__version__ == packaged


@pytest.mark.parametrize(
    ("package", "extras"), [("walking_noise", []), ("experiments", ["worker"]), ("analysis", ["analysis"])]
)
def test_what_is_imported_is_declared(project: Any, package: str, extras: list[str]):
    declared = requirements(project, *extras)
    distributions = importlib.metadata.packages_distributions()
    imported = {name for code in modules(package).values() for name in imported_names(ast.walk(ast.parse(code)))}
    third_party = imported - sys.stdlib_module_names - set(PACKAGES)
    undeclared = {
        name
        for name in third_party
        if not any(canonicalize_name(owner) in declared for owner in distributions.get(name, []))
    }
    assert not undeclared


def test_what_is_no_module_is_package_data(pyproject: Any):
    declared = pyproject["tool"]["setuptools"]["package-data"]
    for package in PACKAGES:
        files = {path for path in (ROOT / package).rglob("*") if path.is_file()}
        packaged = {
            path for pattern in ["**/*.py", *declared.get(package, [])] for path in (ROOT / package).glob(pattern)
        }
        runs_of_studies = ROOT / "analysis" / "reproduction"  # read from a checkout, not installed
        left_out = {path for path in files - packaged if path.parent != runs_of_studies}
        assert not {path for path in left_out if path.parent.name != "__pycache__"}


def test_lock_pins_what_is_declared(project: Any):
    lock = (ROOT / "requirements" / "lock.txt").read_text()
    pins: dict[str, str] = dict(re.findall(r"^(\S+)==(\S+) ", lock, re.MULTILINE))
    stale = {
        name: str(requirement)
        for name, requirement in requirements(project, *project["optional-dependencies"]).items()
        if name not in pins or not requirement.specifier.contains(pins[name], prereleases=True)
    }
    assert not stale, "run `make lock`"
    assert "://" not in lock, "a lock names versions and hashes, no registry"


def test_no_module_beside_the_executable_hides_one_of_pythons():
    """``python experiments/train.py`` looks for modules in ``experiments/`` first."""
    beside = {path.stem for path in (ROOT / "experiments").iterdir()}
    assert beside.isdisjoint(sys.stdlib_module_names)


def test_test_files_have_names_of_their_own():
    """Without packages, pytest knows a test file by its name alone."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_the_longest_test_files_exist():
    assert [name for name in LONGEST_FILES if not (ROOT / name).is_file()] == []


MOST_MODULES = 12
FLAT = {
    "walking_noise": {
        "__init__",
        "errors",
        "version",
        "registry",
        "reproducibility",
        "atomic_file",
        "process_setup",
        "user_cache",
    },
    "analysis": {
        "__init__",
        "errors",
        "information",
        "intervals",
        "labels",
        "processes",
        "progress_bar",
        "published_results",
    },
    "experiments": {"__init__", "errors", "train", "slurm", "binarize_runs"},
}
HIDES_THE_NOUN = re.compile(r"(What|How|Which|Whether|Who|Whoever|Whose|Where|When|Why)\b")


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """Modules imported when this one is imported; imports for type checkers only are left out."""
    for node in run_on_import(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_between_packages(package: str):
    arrows: dict[str, set[str]] = {}
    for path, code in modules(package).items():
        parts = Path(path).with_suffix("").parts
        if len(parts) < 3:
            continue
        for name in imported_modules(without_type_checking(ast.parse(code))):
            target = name.split(".")
            if target[0] == package and len(target) > 1 and target[1] != parts[1]:
                arrows.setdefault(parts[1], set()).add(target[1])
    graph = {origin: targets & arrows.keys() for origin, targets in arrows.items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"{package}: {' -> '.join(error.args[1])}")


def without_type_checking(tree: ast.Module) -> ast.Module:
    """The module without what stands below ``if TYPE_CHECKING:``."""
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
    ]
    return tree


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_are_small(package: str):
    count = Counter(str(Path(path).parent) for path in modules(package))
    assert not {folder: number for folder, number in count.items() if number > MOST_MODULES}


@pytest.mark.parametrize("package", PACKAGES)
def test_only_common_modules_are_flat(package: str):
    flat = {path.stem for path in (ROOT / package).glob("*.py")}
    assert flat == FLAT[package]


@pytest.mark.parametrize("package", PACKAGES)
def test_module_docstrings_begin_with_the_noun(package: str):
    first = {
        path: (ast.get_docstring(ast.parse(code)) or "").splitlines()[:1] for path, code in modules(package).items()
    }
    assert not {path for path, lines in first.items() if not lines or HIDES_THE_NOUN.match(lines[0])}
