"""Provenance of a result: versions of code and libraries, device, checksum of the data."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

from walking_noise.checkpoints.layer_choices import in_words, layer_choices
from walking_noise.config.run_config import RunConfig
from walking_noise.data import DataSet
from walking_noise.version import __version__

PACKAGE = Path(__file__).parents[1]
"""The folder of the package walking_noise."""


@cache
def commit() -> str | None:
    """The Git commit of this code, with ``+`` if files are changed or added; None outside a checkout."""
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def device_name(device: torch.device) -> str:
    """Name of the GPU, or of the processor of this machine."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()


def device_kind(device: torch.device) -> str:
    """Type of a device: ``cpu``, or the model of a GPU. Results are bitwise equal on devices of one type."""
    return device_name(device) if device.type == "cuda" else device.type


def provenance(config: RunConfig, data: DataSet, device: torch.device) -> dict[str, str | None]:
    """Names and versions of everything, except the settings, that determines the result of a run.

    ``layers`` has the layers for which a GPU does not use the default alternative.
    """
    return {
        "version": __version__,
        "commit": commit(),
        "data_checksum": data.checksum,
        "torch": torch.__version__,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "device": device_name(device),
        "layers": in_words(layer_choices(config, device)) if device.type == "cuda" else None,
    }


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@cache
def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
