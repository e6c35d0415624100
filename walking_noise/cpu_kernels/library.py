"""Compiled CPU kernels: built by the C compiler of the machine on first use, and kept in the user's cache directory.

Without a C compiler, plain torch operations compute the same numbers, bit for bit, in more time.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from walking_noise.atomic_file import atomic_write
from walking_noise.cpu_kernels.source import SOURCE
from walking_noise.data.data_files import user_cache

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
    """The compiled kernels; None if there is no C compiler or it fails, which is logged once per process."""
    compiler = find_compiler()
    if compiler is None:
        log.info("no C compiler found (cc, gcc or clang): CPU trainings take longer, with the same results")
        return None
    command = [*compiler, *FLAGS, *ROUNDING]
    try:
        return ctypes.CDLL(str(_cached(command)))
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        log.warning("the CPU kernels could not be compiled, so trainings take longer: %s", *reason or [repr(error)])
        return None


def find_compiler() -> list[str] | None:
    """The command of the C compiler: ``$CC``, else the first of :data:`COMPILERS` on the path; None without one."""
    if command := shlex.split(os.environ.get("CC", "")):
        return command if shutil.which(command[0]) else None
    return next(([path] for name in COMPILERS if (path := shutil.which(name))), None)


def _cached(command: list[str]) -> Path:
    """The compiled file for this compiler and processor, compiled if it is missing.

    It is in the user's cache directory, or in a temporary one if that cannot be written.
    """
    version = subprocess.run([command[0], "--version"], capture_output=True, text=True, check=True, timeout=SECONDS)
    described = "\n".join([SOURCE, *command, version.stdout, platform.machine(), _processor()])
    name = f"cpu-{hashlib.blake2b(described.encode(), digest_size=12).hexdigest()}.so"
    folder = user_cache() / "kernels"
    if (folder / name).is_file():
        return folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _compiled(command, folder / name)
    except OSError:
        return _compiled(command, Path(tempfile.mkdtemp(prefix="walking_noise-")) / name)


def _compiled(command: list[str], file: Path) -> Path:
    with tempfile.TemporaryDirectory() as build, atomic_write(file) as target:
        source, binary = Path(build) / "kernels.c", Path(build) / "kernels.so"
        source.write_text(SOURCE)
        subprocess.run(
            [*command, str(source), "-o", str(binary)], capture_output=True, text=True, check=True, timeout=SECONDS
        )
        target.write(binary.read_bytes())
    return file


def _processor() -> str:
    """Model and instruction sets of the processor, for which the kernels are compiled."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(line for line in lines if line.startswith(("model name", "flags", "Features")))
