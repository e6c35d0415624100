"""Cache of computed tensors: files that the processes of a machine share."""

from __future__ import annotations

import contextlib
import fcntl
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from walking_noise.atomic_file import atomic_write, check_writable
from walking_noise.data.dataset import checksum

Tensors = dict[str, Tensor]


def cached_tensors(name: str, folders: Sequence[Path], compute: Callable[[], Tensors]) -> tuple[Tensors, str]:
    """The tensors cached as ``name``, and their checksum; computed and stored if they are not in the cache.

    A file is mapped into memory, so that processes share it. It is written atomically; a damaged file is replaced. If
    several processes need the same missing file, one computes it and the others wait, provided that the file system
    supports locks. Otherwise each process computes it.

    Parameters
    ----------
    name
        Name of the file, without its extension.
    folders
        Folders that are searched for the file, in this order. A new file is written to the first writable folder. If no
        folder is writable, the tensors are computed on every call.
    compute
        Returns the tensors.
    """
    files = [folder / f"{name}.pt" for folder in folders]
    cached = _read_first(files)
    if cached is not None:
        return cached
    folder = next(filter(_is_writable, folders), None)
    if folder is None:
        return _compute(compute)
    with _locked(folder):
        return _read_first(files) or _compute_and_store(folder / f"{name}.pt", compute)


def _read_first(files: Sequence[Path]) -> tuple[Tensors, str] | None:
    """The content of the first intact file, or None."""
    return next((content for content in map(_read, files) if content is not None), None)


def _read(file: Path) -> tuple[Tensors, str] | None:
    """The tensors in a file and their checksum; None if the file does not exist or is damaged."""
    if not file.is_file():
        return None
    try:
        content = torch.load(file, mmap=True, weights_only=True)
        tensors, expected = content["tensors"], content["checksum"]
        return (tensors, expected) if checksum(*tensors.values()) == expected else None
    except Exception:  # reading a damaged file can raise any error
        return None


def _compute(compute: Callable[[], Tensors]) -> tuple[Tensors, str]:
    """Compute the tensors and their checksum."""
    tensors = compute()
    return tensors, checksum(*tensors.values())


def _compute_and_store(file: Path, compute: Callable[[], Tensors]) -> tuple[Tensors, str]:
    """Compute the tensors and write them to ``file``; if this fails, print a message and return them nevertheless."""
    tensors, digest = _compute(compute)
    try:
        with atomic_write(file) as stream:
            torch.save({"tensors": tensors, "checksum": digest}, stream)
    except (OSError, RuntimeError) as error:  # torch.save raises RuntimeError if the disk is full
        print(f"cannot write {file}: {error}; the next process has to compute these features again", file=sys.stderr)
    return _read(file) or (tensors, digest)


def _is_writable(folder: Path) -> bool:
    """Whether a file can be created in ``folder``, which is created if necessary."""
    try:
        check_writable(folder)
    except OSError:
        return False
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder within the block; without a lock if the file system does not support it."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a lock file of another user, or a file system without locks
            lock = stack.enter_context((folder / ".lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
