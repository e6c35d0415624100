"""Checks of the worker options and of the device that a worker uses."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from experiments.doctor.examined_site import Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.errors import UserError
from experiments.terminal.text_table import in_words
from experiments.worker.worker_options import PREFIX, WorkerOptions
from walking_noise.runtime.sizing.capacity import default_device, worker_processes

DRIVER = Path("/proc/driver/nvidia/version")
GIB = 2**30
FREE_SHARE = 0.5
"""A GPU with a smaller share of free memory counts as used by another process."""


def options(site: Site) -> Iterator[Finding]:
    """The options of the worker are valid."""
    try:
        WorkerOptions.from_environment(site.environment)
    except UserError as fault:
        yield error(str(fault), "correct or unset it; runs that were added with this value must be added again")
        return
    variables = sorted(name for name in site.environment if name.startswith(PREFIX))
    yield ok(", ".join(f"{name}={site.environment[name]}" for name in variables) or "no option is set")


def usable(site: Site) -> Iterator[Finding]:
    """Torch can use the GPUs of this machine, and one of them is free for a worker."""
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        yield _no_gpu(site, str(messages[-1].message) if messages else "")
        return
    device = site.options.device or default_device()
    if device.type != "cuda":
        yield warning(f"this machine has {in_words(count, 'GPU')}, but workers use {device}", f"unset {PREFIX}DEVICE")
        return
    used = torch.device("cuda", device.index or 0)
    yield _describe(used)
    if count > 1 and "SLURM_JOB_ID" in site.environment:
        yield warning(
            f"this task has {count} GPUs, but a worker uses one", 'request one by `gres: "gpu:1"` in the grid'
        )
    elif count > 1:
        names = ", ".join(f"cuda:{index}" for index in range(count) if index != used.index)
        yield ok(f"this machine has {count} GPUs, and a worker uses one; to use another, set {PREFIX}DEVICE: {names}")


def _no_gpu(site: Site, message: str) -> Finding:
    if site.options.device is not None and site.options.device.type == "cpu":
        return ok(f"workers use the CPU, as set by {PREFIX}DEVICE: {worker_processes(site.options.device)} cores")
    assigned = site.environment.get("CUDA_VISIBLE_DEVICES") or site.environment.get("SLURM_JOB_GPUS")
    if not (DRIVER.exists() or assigned):
        return ok(f"this machine has none; workers train on {worker_processes(torch.device('cpu'))} cores")
    why = f": {' '.join(message.split())}" if message else ""
    if torch.version.cuda is None:
        return error(
            f"torch {torch.__version__} is built for CPUs only", "install the version of torch in requirements/lock.txt"
        )
    return error(
        f"torch, built for CUDA {torch.version.cuda}, finds no GPU{_with_driver()}{why}",
        "run `nvidia-smi`: the driver must support this version of CUDA, and a Slurm job must request a GPU by gres",
    )


def _describe(device: torch.device) -> Finding:
    """The finding on the GPU that a worker uses; for a MIG slice, name and memory are those of the slice."""
    try:
        torch.zeros(1, device=device)
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError as fault:
        why = str(fault).splitlines()[0]
        return error(
            f"{device} cannot be used: {why}", f"choose another device by {PREFIX}DEVICE, or check `nvidia-smi`"
        )
    name = torch.cuda.get_device_name(device)
    found = (
        f"a worker uses {device}, {name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free, "
        f"CUDA {torch.version.cuda}{_with_driver()}"
    )
    if free < FREE_SHARE * total:
        return warning(
            found, f"another process uses this GPU; choose another by {PREFIX}DEVICE, or let Slurm assign GPUs"
        )
    return ok(found)


def _with_driver() -> str:
    version = re.search(r"Kernel Module\D*(\d[\d.]*)", DRIVER.read_text()) if DRIVER.exists() else None
    return f", driver {version[1]}" if version else ""
