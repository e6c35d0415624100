"""Shell in which ``seml`` finds the embedded database, and writer of the grids that it reads."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.forked import Forked

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
FORKED = ("python", "seml", "walking-noise")


FIRST_CORE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""The number of this process among those that run the tests, so that not all of them use the first core."""


@contextlib.contextmanager
def on_cores(number: int) -> Iterator[None]:
    """Restrict processes started in the block to ``number`` cores; on one core a worker starts no worker processes."""
    all_cores = os.sched_getaffinity(0)
    in_turn = itertools.cycle(sorted(all_cores))
    os.sched_setaffinity(0, set(itertools.islice(in_turn, FIRST_CORE, FIRST_CORE + number)))
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)


@dataclass
class Shell:
    """Shell with ``XDG_CONFIG_HOME`` set, as by ``walking-noise db env``."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def having(self, variables: Mapping[str, str]) -> Shell:
        """A copy of the shell in which these variables are also set."""
        return Shell(self.folder, {**self.variables, **variables})

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "XDG_CONFIG_HOME": str(self.folder),
            **self.variables,
        }

    def start(self, *command: str, cores: int = 1, executed: bool = False, **environment: str) -> subprocess.Popen[str]:
        """Start a command, forked where that is possible (see :mod:`tests.forked`), unless it must be ``executed``."""
        popen = subprocess.Popen if executed or command[0] not in FORKED else Forked
        with on_cores(cores):
            return popen(
                command,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def run(self, *command: str, cores: int = 1, executed: bool = False, **environment: str) -> str:
        """Run a command and return its output; a failed command fails the test."""
        with self.start(*command, cores=cores, executed=executed, **environment) as process:
            output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return output

    def capture(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program, forked, and return its exit code and both of its outputs."""
        variables = self.environment | environment
        with Forked(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            output, errors = process.communicate(timeout=120)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


def write_grid(folder: Path, **sections: Any) -> Path:
    """Write a SEML file with a grid of short runs, whose logs go to ``folder/logs``; return its path."""
    content: dict[str, Any] = {
        "seml": {
            "executable": "experiments/train.py",
            "project_root_dir": str(ROOT),
            "output_dir": str(folder / "logs"),
        },
        "slurm": [{"sbatch_options": {"gres": "gpu:1"}}],
        "fixed": {"training.epochs": 1},
    }
    for name, section in sections.items():
        content[name] = section if isinstance(section, list) else content.get(name, {}) | section
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def choice(*options: Any) -> dict[str, Any]:
    return {"type": "choice", "options": list(options)}
