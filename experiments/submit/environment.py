"""Environment variables that are passed to SEML, which stores them in the document of every run.

Many people can read a database, its backups are kept for a long time, and most environments contain passwords and
tokens. Therefore only variables that a job needs on the nodes of a cluster are passed. Proxies are not passed: their
addresses often contain a password, and a job downloads nothing. Variables that choose a device are not passed: the node
that trains a run determines the device, not the machine on which the run was added.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from experiments.errors import UserError

ALLOWED = {
    "user and home folder of the job": ("HOME", "LOGNAME", "SHELL", "TMPDIR", "USER"),
    "language and time zone": ("LANG", "LANGUAGE", "TZ"),
    "search paths of programs and libraries": (
        *("LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "VIRTUAL_ENV"),
        *("CONDA_DEFAULT_ENV", "CONDA_EXE", "CONDA_PREFIX", "CONDA_PYTHON_EXE", "CONDA_SHLVL"),
        *("CUDA_HOME", "CUDA_PATH", "TRITON_CACHE_DIR"),
        *("LOADEDMODULES", "MODULEPATH", "MODULESHOME", "_LMFILES_"),
    ),
    "configuration of SEML and Slurm": ("SLURM_CONF", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
    "certificates for a database with TLS": ("SSL_CERT_DIR", "SSL_CERT_FILE"),
    "behaviour of the shells and of Python in a job": ("BASH_ENV", "PYTHONWARNINGS"),
}
"""Purpose -> the variables that are passed."""
OPTION_PREFIX = "WALKING_NOISE_"
ALLOWED_PREFIXES = ("LC_", OPTION_PREFIX)
"""Prefixes of further variables that are passed: language, and the options of workers."""
KEEP_VARIABLE = "WALKING_NOISE_KEEP"
"""Variable with the names of additional variables to pass, separated by spaces."""

SECRET_NAME = re.compile(
    r"(^|_)(API|ACCESS|AUTH|CREDENTIALS?|KEY|PASS|PASSPHRASE|PASSWD|PASSWORD|PAT|PRIVATE|SECRET|TOKEN)S?($|_)"
    r"|PASSWORD|SECRET|TOKEN|APIKEY",
    re.IGNORECASE,
)
"""Names of variables that are never passed, even if the user asks for it."""
SECRET_VALUE = re.compile(r"https?://[^\s/@]+@|://[^\s/@:]*:[^\s/@]+@|-----BEGIN [A-Z ]*PRIVATE KEY-----")
"""Values that contain a password or token in an address, or a private key."""
SACRED_WARNING_FILTER = "ignore:pkg_resources is deprecated:UserWarning"
"""Filter of a deprecation warning that an import of Sacred causes at every start of SEML."""

_NAMES = frozenset(name for names in ALLOWED.values() for name in names)


def is_allowed(name: str, keep: Iterable[str] = ()) -> bool:
    """Whether the documents of runs may contain a variable; ``keep`` names additional variables."""
    return not SECRET_NAME.search(name) and (name in _NAMES or name.startswith(ALLOWED_PREFIXES) or name in keep)


def not_allowed(environment: Mapping[str, str]) -> list[str]:
    """The names of the variables in a document's environment that are not allowed, by their name or by their value."""
    keep = environment.get(KEEP_VARIABLE, "").split()
    return [name for name, value in environment.items() if not is_allowed(name, keep) or SECRET_VALUE.search(value)]


def allowed_environment(keep: Iterable[str] = (), **more: str) -> dict[str, str]:
    """The environment for SEML: allowed variables of this process, and this Python's programs first in PATH.

    ``keep`` names additional variables to pass, like those in ``$WALKING_NOISE_KEEP``. ``more`` has variables to set to
    other values than in this process. Raise :class:`UserError` for a variable to keep that is not set or has the name
    of a secret, for a value that contains a secret, and for an option of workers that is unknown or invalid.
    """
    names = sorted({*keep, *os.environ.get(KEEP_VARIABLE, "").split()})
    for name in names:
        _check_kept(name)
    environment = {name: value for name, value in os.environ.items() if is_allowed(name, names)}
    if environment.get("CONDA_PREFIX") != sys.prefix:
        environment.pop("CONDA_DEFAULT_ENV", None)  # else the jobs of SEML would activate it and use another Python
    environment["PATH"] = _with_programs(environment.get("PATH", os.defpath))
    environment["PYTHONWARNINGS"] = warning_filters(environment)
    if names:
        environment[KEEP_VARIABLE] = " ".join(names)
    environment |= more
    for name, value in environment.items():
        if SECRET_VALUE.search(value):
            raise UserError(
                f"{name} contains a password or a key, which SEML would store in every run; unset it, and let jobs "
                "read the secret from a file"
            )
    if any(name.startswith(OPTION_PREFIX) for name in environment.keys() - more.keys()):
        from experiments.worker.worker_options import check_variables  # imports torch

        check_variables(environment)
    return environment


def warning_filters(environment: Mapping[str, str]) -> str:
    """``PYTHONWARNINGS`` for SEML: that of the environment without filters that turn warnings into errors."""
    own = (one for one in environment.get("PYTHONWARNINGS", "").split(",") if one and not one.startswith("error"))
    return ",".join(dict.fromkeys([*own, SACRED_WARNING_FILTER]))


def _check_kept(name: str) -> None:
    if SECRET_NAME.search(name):
        raise UserError(
            f"cannot keep {name}: its name looks like that of a secret, which SEML would store in every run; let jobs "
            "read the secret from a file"
        )
    if name not in os.environ:
        raise UserError(f"cannot keep {name}: the variable is not set in this shell")


def _with_programs(path: str) -> str:
    """``path`` with the programs of this Python first, so that jobs find ``seml`` without an activated environment."""
    return os.pathsep.join(dict.fromkeys([str(Path(sys.executable).parent), *path.split(os.pathsep)]))
