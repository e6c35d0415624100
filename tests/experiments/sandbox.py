"""Sandbox without faults, in which ``walking-noise doctor`` reports a problem only after a fault is planted."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from seml.settings import SETTINGS

from experiments.database.connection import Runs
from experiments.database.indexes import ensure_indexes
from experiments.doctor import examined_site, gpu_device, worker_folders
from experiments.doctor.examination import examine
from experiments.doctor.examined_site import Site
from experiments.doctor.finding import OK, UNCHECKED, Finding

HERE = os.uname().nodename.split(".")[0]
STATES = ",".join(SETTINGS.SLURM_STATES.ACTIVE)


def configured(cluster: str) -> str:
    """The script of a ``scontrol`` that prints the configuration of a cluster."""
    settings = {"ClusterName": cluster, "MaxArraySize": 1001, "PrivateData": "none"}
    return "\n".join(f'echo "{name} = {value}"' for name, value in settings.items())


SLURM = {
    "scontrol": configured("cluster"),
    "squeue": f'case "$*" in *=\\?) echo "Valid job states include: {STATES}" >&2; exit 1;; esac',
    "sinfo": f"echo {HERE}",
    "sbatch": "exit 1",
}
GIB = 2**30


@dataclass
class Sandbox:
    """Site with a collection of one run, a SEML configuration, a Slurm of one node, and folders below ``folder``."""

    folder: Path
    runs: Runs
    patch: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        self.configuration.parent.mkdir(mode=0o700)
        ensure_indexes(self.runs.database, self.runs.name)
        (self.folder / "bin").mkdir()
        self.patch.setenv("PATH", f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        for program, script in SLURM.items():
            self.slurm(program, script)
        self.patch.setenv("WALKING_NOISE_STATE", str(self.folder / "state"))
        self.patch.setattr(worker_folders, "NODE_LOCAL_FOLDERS", ())
        self.disk(free=200 * GIB)
        self.patch.setattr(gpu_device, "DEVICES", ())
        self.patch.setattr(examined_site, "SERVER_TIMEOUT_MS", 30_000)
        self.patch.setattr(torch.cuda, "is_available", lambda: False)

    @property
    def configuration(self) -> Path:
        return self.folder / "seml" / "mongodb.config"

    def configure(self, content: Mapping[str, Any], **changes: Any) -> None:
        """Write SEML's configuration."""
        self.configuration.write_text(yaml.safe_dump({**content, **changes}))
        self.configuration.chmod(0o600)

    def reconfigure(self, **changes: Any) -> None:
        self.configure(yaml.safe_load(self.configuration.read_text()), **changes)

    def slurm(self, program: str, script: str) -> None:
        """Replace a Slurm command by a script."""
        self.write(f"bin/{program}", f"#!/bin/sh\n{script}\n").chmod(0o755)

    def disk(self, free: int) -> None:
        usage = shutil.disk_usage("/")._replace(free=free)
        self.patch.setattr(shutil, "disk_usage", lambda path: usage)

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.write_text(text)
        return file

    def examine(self, *names: str, fix: bool = False, node: bool = False) -> list[tuple[str, Finding]]:
        with contextlib.closing(Site(names or (self.runs.name,), fix, self.configuration)) as site:
            return [(name, finding) for _, name, finding in examine(site, node=node)]

    def faults(self, *names: str) -> list[tuple[str, Finding]]:
        """The warnings and errors."""
        return [(name, finding) for name, finding in self.examine(*names) if finding.level not in (OK, UNCHECKED)]
