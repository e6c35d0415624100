"""Python, and the versions of all that this suite is built on."""

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
NEEDED = ("", "worker")
"""The parts of the project that must be complete; what is installed of the others must be of the right version."""
IF_INSTALLED = ("analysis", "embedded")
LOCK = ROOT / "requirements" / "lock.txt"


def python(site: Site) -> Iterator[Finding]:
    """The interpreter is one that the project supports."""
    wanted = SpecifierSet(metadata.metadata(PROJECT)["Requires-Python"])
    here = platform.python_version()
    if wanted.contains(here, prereleases=True):
        yield ok(here)
    else:
        yield error(f"{here} is not supported ({wanted})", "make install PYTHON=/path/to/python3.11")


def dependencies(site: Site) -> Iterator[Finding]:
    """Every dependency has a version that is allowed, and best the one that is pinned."""
    wrong = [fault for requirement, needed in _requirements() if (fault := _fault(requirement, needed))]
    other = [f"{name} {here} (pinned {pinned})" for name, here, pinned in _not_as_pinned(LOCK)]
    if wrong:
        yield error("; ".join(wrong), "make install, or pip install the versions that pyproject.toml allows")
    elif other:
        yield warning(f"others than the tested ones: {', '.join(other)}", "make install")
    else:
        yield ok(f"walking_noise {metadata.version(PROJECT)}, torch {metadata.version('torch')}, all as pinned")


def _requirements() -> Iterator[tuple[Requirement, bool]]:
    """What the project asks for here, and whether it must be installed."""
    for line in metadata.requires(PROJECT) or []:
        requirement = Requirement(line)
        for extra in (*NEEDED, *IF_INSTALLED):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                yield requirement, extra in NEEDED
                break


def _fault(requirement: Requirement, needed: bool) -> str | None:
    here = _installed(requirement.name)
    if here is None:
        return f"{requirement.name} is not installed" if needed else None
    if requirement.specifier.contains(here, prereleases=True):
        return None
    return f"{requirement.name} {here} is not {requirement.specifier}"


def _not_as_pinned(lock: Path) -> Iterator[tuple[str, str, str]]:
    """Name, version here, pinned version of what differs; nothing where there is no lock, as in an installed copy."""
    pins = dict(re.findall(r"^(\S+)==(\S+)", lock.read_text(), re.MULTILINE)) if lock.exists() else {}
    for requirement, _ in _requirements():
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        here = _installed(name)
        if here is not None and name in pins and here.partition("+")[0] != pins[name]:
            yield name, here, pins[name]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
