"""The source files that ``seml add`` keeps with the runs, and from which commit they are."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import subprocess
from pathlib import Path

import torch

import walking_noise
from experiments.database.connection import Document

ROOT = Path(__file__).parents[2]
"""The folder of the code that runs: the checkout, or a copy of the sources that SEML keeps."""
CODE = ("walking_noise", "experiments")
"""The packages that a worker runs."""


def import_all_sources() -> None:
    """Import every module of :mod:`walking_noise`, so that ``seml add`` keeps all of them.

    SEML imports the executable and keeps the source of what is then imported from the project's folder; workers run
    from these copies. Modules that are only imported when they are needed, such as a data set's, would be missing.

    ``torch.ops`` and ``torch.classes`` are objects that stand in for modules. Their ``__file__`` is a bare name, which
    SEML would take for a file of the project; they get the path of a file of torch's.
    """
    for module in pkgutil.walk_packages(walking_noise.__path__, "walking_noise."):
        importlib.import_module(module.name)
    for stand_in in (torch.ops, torch.classes):
        stand_in.__file__ = str(Path(torch.__file__).with_name(stand_in.__file__))


def commit_of(run: Document, root: Path = ROOT) -> str | None:
    """The commit that SEML noted when the run was added, with ``+`` if the code below ``root`` is not that of it.

    SEML itself overlooks files that git does not know, such as a new noise kind. They are seen where the checkout can
    be.
    """
    git = run.get("git")
    if not git:
        return None
    committed = _committed(Path(run["seml"].get("working_dir", root)), git["commit"])
    changed = git.get("dirty") or (committed is not None and not _code(root).items() <= committed.items())
    return f"{git['commit']}+" if changed else str(git["commit"])


def _committed(checkout: Path, commit: str) -> dict[str, str] | None:
    """Path -> git's name for the content, of the code in a commit; None where the checkout or git is not there."""
    command = ["git", "-C", str(checkout), "ls-tree", "-r", commit, *CODE]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    entries = (line.split("\t") for line in listed.splitlines())
    return {path: what.split()[2] for what, path in entries}


def _code(root: Path) -> dict[str, str]:
    """Path -> git's name for the content, of the modules below ``root``."""
    modules = sorted(path for package in CODE for path in (root / package).rglob("*.py"))
    return {str(path.relative_to(root)): _name_in_git(path.read_bytes()) for path in modules}


def _name_in_git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
