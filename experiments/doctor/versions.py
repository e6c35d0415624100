"""Check of the versions of Python and of the dependencies."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from experiments.doctor.examined_site import CHECKOUT, Site
from experiments.doctor.finding import Finding, error, ok, warning

PROJECT = "walking_noise"
LOCK = CHECKOUT / "requirements" / "lock.txt"
"""The pinned versions; an installed copy of the project has none."""


def dependencies(site: Site) -> Iterator[Finding]:
    """Every dependency of a worker has an allowed version, preferably the pinned one."""
    pins = dict(re.findall(r"^(\S+)==(\S+)", LOCK.read_text(), re.MULTILINE)) if LOCK.exists() else {}
    invalid, unpinned = [], []
    for requirement in map(Requirement, metadata.requires(PROJECT) or []):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": "worker"}):
            continue
        name = requirement.name
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
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
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in (PROJECT, "torch"))
        yield ok(f"Python {platform.python_version()}, {versions}, all versions {'as pinned' if pins else 'allowed'}")
