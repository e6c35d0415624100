"""Source files that ``seml add`` stores with the runs, and the commit that they come from."""

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
"""Root folder of the running code: the checkout, or the copy that SEML made from its stored sources."""
CODE = ("walking_noise", "experiments")
"""The packages that a worker runs."""


def import_all_sources() -> None:
    """Import every module of :mod:`walking_noise`, so that ``seml add`` stores all of them.

    SEML imports the executable and then stores the sources of all imported modules in the project's folder. Workers run
    from copies of these sources. Modules with a late import, for example those of data sets, would be missing.

    ``torch.ops`` and ``torch.classes`` are objects in place of modules. Their ``__file__`` is a bare file name, and
    SEML would take it for a file of the project. It is replaced by a path in torch's folder.
    """
    for module in pkgutil.walk_packages(walking_noise.__path__, "walking_noise."):
        importlib.import_module(module.name)
    for pseudo_module in (torch.ops, torch.classes):
        pseudo_module.__file__ = str(Path(torch.__file__).with_name(pseudo_module.__file__))


def commit_of(run: Document, root: Path = ROOT) -> str | None:
    """The commit that SEML recorded when it added the run; a ``+`` is appended if the code in ``root`` differs from it.

    SEML's own check ignores files that git does not track, for example a new noise kind. This function finds them if
    the checkout is accessible; otherwise it relies on SEML's check. None if SEML recorded no commit.
    """
    git = run.get("git")
    if not git:
        return None
    committed = _committed_code(Path(run["seml"].get("working_dir", root)), git["commit"])
    changed = git.get("dirty") or (committed is not None and not _current_code(root).items() <= committed.items())
    return f"{git['commit']}+" if changed else str(git["commit"])


def _committed_code(checkout: Path, commit: str) -> dict[str, str] | None:
    """Path -> git's blob hash of each code file in a commit; None if the checkout or git is missing."""
    command = ["git", "-C", str(checkout), "ls-tree", "-r", commit, *CODE]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    entries = (line.split("\t") for line in listed.splitlines())
    return {path: attributes.split()[2] for attributes, path in entries}


def _current_code(root: Path) -> dict[str, str]:
    """Path -> git's blob hash of each module below ``root``."""
    modules = sorted(path for package in CODE for path in (root / package).rglob("*.py"))
    return {str(path.relative_to(root)): _blob_hash(path.read_bytes()) for path in modules}


def _blob_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
