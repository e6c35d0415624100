"""Compiled CPU kernels: built by the C compiler of the machine on first use, and kept in the user's cache directory.

Without a C compiler, plain torch operations compute the same numbers, bit for bit, in more time.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from walking_noise.atomic_file import atomic_write
from walking_noise.cpu_kernels.source import SOURCE
from walking_noise.user_cache import user_cache

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O3", "-march=native", "-std=c11", "-fPIC", "-shared")
ROUNDING = ("-fno-fast-math", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
"""No product is fused with a sum, and no sum is reordered, so that results are those of plain torch operations.

The last two change no result; without them, selections are not vectorised. The first would reset them if it came later.
"""
SECONDS = 120
"""Time limit of the compiler."""

log = logging.getLogger(__name__)


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None without a C compiler, which the doctor reports, or if it fails, which is logged."""
    try:
        compiler = find_compiler()
        return None if compiler is None else _load([*compiler, *FLAGS, *ROUNDING])
    except (OSError, subprocess.SubprocessError, RuntimeError, ValueError) as error:
        last = (str(getattr(error, "stderr", None) or error).strip().splitlines() or [""])[-1]
        log.warning("the CPU kernels could not be compiled or loaded, so trainings take longer: %s", last)
        return None


def find_compiler() -> list[str] | None:
    """The command of the C compiler: ``$CC``, else the first of :data:`COMPILERS` on the path; None without one."""
    if command := os.environ.get("CC", "").split():
        return command if shutil.which(command[0]) else None
    return next(([path] for name in COMPILERS if (path := shutil.which(name))), None)


def _load(command: list[str]) -> ctypes.CDLL:
    """The kernels for this compiler and processor, from the user's cache directory, compiled there if necessary.

    They are compiled again if the file cannot be loaded, and in a temporary directory if the cache cannot be used.
    """
    version = _run([*command, "--version"])
    described = "\n".join([SOURCE, *command, version, platform.machine(), _processor()])
    name = f"cpu-{hashlib.blake2b(described.encode(), digest_size=12).hexdigest()}.so"
    try:
        file = user_cache() / "kernels" / name
        with contextlib.suppress(OSError):
            return ctypes.CDLL(str(file))
        file.parent.mkdir(parents=True, exist_ok=True)
        _compile(command, file)
        return ctypes.CDLL(str(file))
    except (OSError, RuntimeError):  # no home, no rights, or no programs allowed there
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / name
            _compile(command, file)
            return ctypes.CDLL(str(file))


def _compile(command: list[str], file: Path) -> None:
    with tempfile.TemporaryDirectory() as build, atomic_write(file) as target:
        source, binary = Path(build) / "kernels.c", Path(build) / "kernels.so"
        source.write_text(SOURCE)
        _run([*command, str(source), "-o", str(binary)])
        target.write(binary.read_bytes())


def _run(command: list[str]) -> str:
    """The output of a command; CalledProcessError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True, timeout=SECONDS)
    return done.stdout


def _processor() -> str:
    """Model and instruction sets of the processor, for which the kernels are compiled."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(line for line in lines if line.startswith(("model name", "flags", "Features")))
