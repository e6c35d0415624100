"""Checks of the versions of Python and of the dependencies."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from experiments.database.source_files import ROOT
from experiments.doctor.examined_site import Site
from experiments.doctor.finding import Finding, error, ok, warning

PROJECT = "walking_noise"
REQUIRED_EXTRAS = ("", "worker")
"""Extras whose dependencies must be installed; the empty name stands for the dependencies of the project itself."""
OPTIONAL_EXTRAS = ("analysis", "embedded")
"""Extras whose dependencies may be missing; those that are installed must have an allowed version."""
LOCK = ROOT / "requirements" / "lock.txt"


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
    invalid = [fault for requirement, required in _requirements() if (fault := _fault(requirement, required))]
    unpinned = [f"{name} {version} (pinned {pinned})" for name, version, pinned in _not_as_pinned(LOCK)]
    if invalid:
        yield error("; ".join(invalid), "run `make install`, or use pip to install versions that pyproject.toml allows")
    elif unpinned:
        yield warning(f"not the tested versions: {', '.join(unpinned)}", "run `make install`")
    else:
        yield ok(
            f"walking_noise {metadata.version(PROJECT)}, torch {metadata.version('torch')}, all versions as pinned"
        )


def _requirements() -> Iterator[tuple[Requirement, bool]]:
    """The requirements of the project on this platform, each with whether it must be installed."""
    for line in metadata.requires(PROJECT) or []:
        requirement = Requirement(line)
        for extra in (*REQUIRED_EXTRAS, *OPTIONAL_EXTRAS):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                yield requirement, extra in REQUIRED_EXTRAS
                break


def _fault(requirement: Requirement, required: bool) -> str | None:
    version = _installed(requirement.name)
    if version is None:
        return f"{requirement.name} is not installed" if required else None
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return f"{requirement.name} {version} does not satisfy {requirement.specifier}"


def _not_as_pinned(lock: Path) -> Iterator[tuple[str, str, str]]:
    """Name, installed version and pinned version of each difference; empty without a lock file (an installed copy)."""
    pins = dict(re.findall(r"^(\S+)==(\S+)", lock.read_text(), re.MULTILINE)) if lock.exists() else {}
    for requirement, _ in _requirements():
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        version = _installed(name)
        if version is not None and name in pins and version.partition("+")[0] != pins[name]:
            yield name, version, pins[name]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
