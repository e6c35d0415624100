"""The device that a worker takes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from experiments.doctor.examined_site import Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.errors import UserError
from experiments.worker.worker_options import PREFIX, WorkerOptions
from walking_noise.runtime.sizing.capacity import default_device, worker_processes

DRIVER = Path("/proc/driver/nvidia/version")
GIB = 2**30
FREE_SHARE = 0.5
"""With less of its memory free, a GPU is somebody else's, too."""


def options(site: Site) -> Iterator[Finding]:
    """The worker's options can be used."""
    try:
        WorkerOptions.from_environment(site.environment)
    except UserError as refusal:
        yield error(str(refusal), "correct or unset it, and add the runs again: they carry it")
        return
    given = sorted(name for name in site.environment if name.startswith(PREFIX))
    yield ok(", ".join(f"{name}={site.environment[name]}" for name in given) or "none set")


def usable(site: Site) -> Iterator[Finding]:
    """Torch sees the GPUs that are here, and one of them is free for a worker."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not seen:
        yield _no_gpu(site, str(told[-1].message) if told else "")
        return
    device = site.options.device or default_device()
    if device.type != "cuda":
        yield warning(f"{seen} GPUs are here, and workers take {device}", f"unset {PREFIX}DEVICE")
        return
    taken = torch.device("cuda", device.index or 0)
    yield _described(taken)
    if seen > 1 and "SLURM_JOB_ID" in site.environment:
        yield warning(f"this task has {seen} GPUs, and a worker uses one", 'ask for `gres: "gpu:1"` in the grid')
    elif seen > 1:
        names = ", ".join(f"cuda:{index}" for index in range(seen) if index != taken.index)
        yield ok(f"{seen} GPUs are here; for another worker set {PREFIX}DEVICE to {names}")


def _no_gpu(site: Site, said: str) -> Finding:
    if site.options.device is not None and site.options.device.type == "cpu":
        return ok(f"workers take the CPU, as {PREFIX}DEVICE says: {worker_processes(site.options.device)} cores")
    promised = site.environment.get("CUDA_VISIBLE_DEVICES") or site.environment.get("SLURM_JOB_GPUS")
    if not (DRIVER.exists() or promised):
        return ok(f"none on this machine: workers train on {worker_processes(torch.device('cpu'))} cores")
    why = f": {' '.join(said.split())}" if said else ""
    if torch.version.cuda is None:
        return error(f"torch {torch.__version__} is built for CPUs", "install the torch of requirements/lock.txt")
    return error(
        f"torch, built for CUDA {torch.version.cuda}, sees no GPU{_with_driver()}{why}",
        "see what `nvidia-smi` says: the driver must serve that CUDA, and a Slurm job ask for a GPU by gres",
    )


def _described(device: torch.device) -> Finding:
    """The GPU that a worker takes: of a MIG slice, name and memory are the slice's."""
    try:
        torch.zeros(1, device=device)
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError as fault:
        why = str(fault).splitlines()[0]
        return error(f"{device} cannot be used: {why}", f"choose another by {PREFIX}DEVICE, or see `nvidia-smi`")
    name = torch.cuda.get_device_name(device)
    found = (
        f"a worker takes {device}, {name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free, "
        f"CUDA {torch.version.cuda}{_with_driver()}"
    )
    if free < FREE_SHARE * total:
        return warning(found, f"another process uses it: choose another by {PREFIX}DEVICE, or let Slurm share them out")
    return ok(found)


def _with_driver() -> str:
    found = re.search(r"Kernel Module\D*(\d[\d.]*)", DRIVER.read_text()) if DRIVER.exists() else None
    return f", driver {found[1]}" if found else ""
