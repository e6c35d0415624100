"""What of a user's environment SEML may see: it stores all it sees in the document of every run.

Readers of a database are many, and backups last; passwords and tokens stand in most environments. So only what a job
needs on a cluster's nodes is let through. Proxies are not: their addresses often hold a password, and a job downloads
nothing. Variables that choose a device are not: where runs are trained says that, not where they were added.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from experiments.errors import UserError

ALLOWED = {
    "who runs the job, and where its files lie": ("HOME", "LOGNAME", "SHELL", "TMPDIR", "USER"),
    "how text and times are read and written": ("LANG", "LANGUAGE", "TZ"),
    "where programs and libraries are found": (
        *("LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "VIRTUAL_ENV"),
        *("CONDA_DEFAULT_ENV", "CONDA_EXE", "CONDA_PREFIX", "CONDA_PYTHON_EXE", "CONDA_SHLVL"),
        *("CUDA_HOME", "CUDA_PATH", "TRITON_CACHE_DIR"),
        *("LOADEDMODULES", "MODULEPATH", "MODULESHOME", "_LMFILES_"),
    ),
    "where SEML and Slurm find their configuration": ("SLURM_CONF", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
    "whom a database with TLS is trusted by": ("SSL_CERT_DIR", "SSL_CERT_FILE"),
    "how a job's shells and programs behave": ("BASH_ENV", "PYTHONWARNINGS"),
}
"""Why -> the variables that are let through."""
ALLOWED_PREFIXES = ("LC_", "WALKING_NOISE_")
"""All variables of these families are let through, too: language, and the options of workers."""
KEPT = "WALKING_NOISE_KEEP"
"""This variable names more that a user wants to be let through, separated by spaces."""

SECRET_NAME = re.compile(
    r"(^|_)(API|ACCESS|AUTH|CREDENTIALS?|KEY|PASS|PASSPHRASE|PASSWD|PASSWORD|PAT|PRIVATE|SECRET|TOKEN)S?($|_)"
    r"|PASSWORD|SECRET|TOKEN|APIKEY",
    re.IGNORECASE,
)
"""A variable with such a name is not let through, whoever asks."""
SECRET_VALUE = re.compile(r"https?://[^\s/@]+@|://[^\s/@:]*:[^\s/@]+@|-----BEGIN [A-Z ]*PRIVATE KEY-----")
"""A password or a token in an address, or a key."""
QUIET = "ignore:pkg_resources is deprecated:UserWarning"
"""What Sacred imports warns of itself, at every start of SEML."""

_NAMES = frozenset(name for names in ALLOWED.values() for name in names)


def is_allowed(name: str, kept: Iterable[str] = ()) -> bool:
    """Whether a variable may stand in the documents of runs; ``kept``: more that a user wants there."""
    return not SECRET_NAME.search(name) and (name in _NAMES or name.startswith(ALLOWED_PREFIXES) or name in kept)


def not_allowed(environment: Mapping[str, str]) -> list[str]:
    """The names in a document's environment that may not stand there, by their name or by their value."""
    kept = environment.get(KEPT, "").split()
    return [name for name, value in environment.items() if not is_allowed(name, kept) or SECRET_VALUE.search(value)]


def allowed_environment(keep: Iterable[str] = (), **more: str) -> dict[str, str]:
    """The environment for SEML: what of this process's is allowed, with this Python's programs in its PATH.

    Parameters
    ----------
    keep
        More variables to let through, as those that ``$WALKING_NOISE_KEEP`` names.
    more
        Variables with values other than here.

    Raises
    ------
    UserError
        A name to keep is not set, or is that of a secret; a value is one.
    """
    kept = sorted({*keep, *os.environ.get(KEPT, "").split()})
    for name in kept:
        _check_kept(name)
    environment = {name: value for name, value in os.environ.items() if is_allowed(name, kept)}
    if environment.get("CONDA_PREFIX") != sys.prefix:
        environment.pop("CONDA_DEFAULT_ENV", None)  # SEML's jobs would activate it, and lose this Python
    environment["PATH"] = _with_programs(environment.get("PATH", os.defpath))
    environment["PYTHONWARNINGS"] = ",".join(filter(None, [environment.get("PYTHONWARNINGS"), QUIET]))
    if kept:
        environment[KEPT] = " ".join(kept)
    environment |= more
    for name, value in environment.items():
        if SECRET_VALUE.search(value):
            raise UserError(
                f"{name} holds a password or a key, which SEML would store in every run: unset it, and let jobs read "
                "the secret from a file"
            )
    return environment


def _check_kept(name: str) -> None:
    if SECRET_NAME.search(name):
        raise UserError(
            f"{name} cannot be kept: it looks like a secret, which SEML would store in every run; jobs can read it "
            "from a file"
        )
    if name not in os.environ:
        raise UserError(f"{name} cannot be kept: there is no such variable here")


def _with_programs(path: str) -> str:
    """Let ``seml`` be found, in jobs, too, whether or not the virtual environment is activated."""
    return os.pathsep.join(dict.fromkeys([str(Path(sys.executable).parent), *path.split(os.pathsep)]))
