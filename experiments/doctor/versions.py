"""Checks of the versions of Python and of the dependencies."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from experiments.doctor.examined_site import CHECKOUT, Site
from experiments.doctor.finding import Finding, error, ok, warning

PROJECT = "walking_noise"
REQUIRED_EXTRAS = ("", "worker")
"""Extras whose dependencies must be installed; the empty name stands for the dependencies of the project itself."""
OPTIONAL_EXTRAS = ("analysis", "embedded")
"""Extras whose dependencies may be missing; those that are installed must have an allowed version."""
LOCK = CHECKOUT / "requirements" / "lock.txt"
"""The pinned versions; an installed copy of the project has none."""


def python(site: Site) -> Iterator[Finding]:
    """The project supports this version of Python."""
    supported = SpecifierSet(metadata.metadata(PROJECT)["Requires-Python"])
    version = platform.python_version()
    if supported.contains(version, prereleases=True):
        yield ok(version)
    else:
        yield error(
            f"version {version} is not supported ({supported})", "run `make install PYTHON=/path/to/python3.11`"
        )


def dependencies(site: Site) -> Iterator[Finding]:
    """Every dependency has an allowed version, preferably the pinned one."""
    pins = dict(re.findall(r"^(\S+)==(\S+)", LOCK.read_text(), re.MULTILINE)) if LOCK.exists() else {}
    invalid, unpinned = [], []
    for requirement, required in _requirements():
        name = requirement.name
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            if required:
                invalid.append(f"{name} is not installed")
            continue
        pinned = pins.get(canonicalize_name(name))
        if not requirement.specifier.contains(version, prereleases=True):
            invalid.append(f"{name} {version} does not satisfy {requirement.specifier}")
        elif pinned not in (None, version.partition("+")[0]):
            unpinned.append(f"{name} {version} (pinned {pinned})")
    if invalid:
        yield error("; ".join(invalid), "run `make install`, or use pip to install versions that pyproject.toml allows")
    elif unpinned:
        yield warning(f"not the tested versions: {', '.join(unpinned)}", "run `make install`")
    else:
        versions = f"walking_noise {metadata.version(PROJECT)}, torch {metadata.version('torch')}"
        yield ok(f"{versions}, all versions {'as pinned' if pins else 'allowed'}")


def _requirements() -> Iterator[tuple[Requirement, bool]]:
    """The requirements of the project on this platform, each with whether it must be installed."""
    for requirement in map(Requirement, metadata.requires(PROJECT) or []):
        for extra in (*REQUIRED_EXTRAS, *OPTIONAL_EXTRAS):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                yield requirement, extra in REQUIRED_EXTRAS
                break
