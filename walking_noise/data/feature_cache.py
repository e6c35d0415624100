"""Tensors that took long to compute, kept in a file and shared by the processes of a machine."""

from __future__ import annotations

import contextlib
import fcntl
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from walking_noise.atomic_file import atomic_write
from walking_noise.data.dataset import checksum

Tensors = dict[str, Tensor]


def kept(name: str, folders: Sequence[Path], compute: Callable[[], Tensors]) -> tuple[Tensors, str]:
    """The tensors kept under ``name``, computed if they are not, and their checksum.

    A file is mapped into memory, so that processes share it, and appears whole or not at all; one that is damaged
    counts as absent and is replaced. Of processes that miss the same file all wait for the first, where the file
    system knows locks; elsewhere each computes it.

    Parameters
    ----------
    folders
        Where the file may be, in the order of search; the first that can be written to keeps it. If none can, it is
        computed every time.
    """
    files = [folder / f"{name}.pt" for folder in folders]
    found = _first(files)
    if found is not None:
        return found
    folder = next(filter(_is_writable, folders), None)
    if folder is None:
        return _computed(compute)
    with _alone(folder):
        return _first(files) or _keep(folder / f"{name}.pt", compute)


def _first(files: Sequence[Path]) -> tuple[Tensors, str] | None:
    return next((found for found in map(_read, files) if found is not None), None)


def _read(file: Path) -> tuple[Tensors, str] | None:
    """The tensors in a file and their checksum; None if there is none or it is damaged."""
    if not file.is_file():
        return None
    try:
        content = torch.load(file, mmap=True, weights_only=True)
        tensors, expected = content["tensors"], content["checksum"]
        return (tensors, expected) if checksum(*tensors.values()) == expected else None
    except Exception:  # whatever reading torn bytes may raise
        return None


def _computed(compute: Callable[[], Tensors]) -> tuple[Tensors, str]:
    tensors = compute()
    return tensors, checksum(*tensors.values())


def _keep(file: Path, compute: Callable[[], Tensors]) -> tuple[Tensors, str]:
    tensors, digest = _computed(compute)
    try:
        with atomic_write(file) as part:
            torch.save({"tensors": tensors, "checksum": digest}, part)
    except (OSError, RuntimeError) as error:  # torch.save raises the latter where a disk is full
        print(f"{file} could not be written, and is computed anew next time: {error}", file=sys.stderr)
    return _read(file) or (tensors, digest)


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder, where that is possible."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # another user's lock, or a file system without locks
            lock = held.enter_context((folder / ".lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
