"""Check of the device that a worker uses."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.doctor.examined_site import PREFIX, Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.terminal.text_table import in_words
from walking_noise.cpu_kernels.library import find_compiler

if TYPE_CHECKING:  # at run time imported when there may be a GPU
    import torch

DEVICES = tuple(map(Path, ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")))
"""Files of which one exists on every machine with a GPU that torch can use; the last is that of WSL."""
GIB = 2**30
FREE_SHARE = 0.5
"""A GPU with a smaller share of free memory counts as used by another process."""


def usable(site: Site) -> Iterator[Finding]:
    """Torch can use the GPUs of this machine, and one of them is free for a worker."""
    assigned = site.environment.get("CUDA_VISIBLE_DEVICES") or site.environment.get("SLURM_JOB_GPUS")
    if not (assigned or any(file.exists() for file in DEVICES)):
        yield _cores()
        return
    import torch

    from walking_noise.runtime.sizing.capacity import default_device

    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = site.options.device or default_device()
    if device.type != "cuda" and count:
        yield warning(f"this machine has {in_words(count, 'GPU')}, but workers use {device}", f"unset {PREFIX}DEVICE")
    elif site.options.device is not None and device.type == "cpu":
        yield ok(f"workers use the CPU, as set by {PREFIX}DEVICE")
    elif not count and torch.version.cuda is None:
        yield error(
            f"torch {torch.__version__} is built for CPUs only", "install the version of torch in requirements/lock.txt"
        )
    elif not count:
        why = f": {' '.join(str(messages[-1].message).split())}" if messages else ""
        yield error(
            f"torch, built for CUDA {torch.version.cuda}, finds no GPU{why}",
            "run `nvidia-smi`: the driver must support this CUDA version, and a Slurm job must request a GPU by gres",
        )
    else:
        used = torch.device("cuda", device.index or 0)
        yield _describe(used)
        if count > 1 and "SLURM_JOB_ID" in site.environment:
            yield warning(
                f"this task has {count} GPUs, but a worker uses one", 'request one by `gres: "gpu:1"` in the grid'
            )
        elif count > 1:
            yield ok(f"this machine has {count} GPUs, and a worker uses one; {PREFIX}DEVICE chooses another")


def _cores() -> Finding:
    """The finding on a machine without a GPU."""
    trained_on = "this machine has none; workers train on its cores"
    if find_compiler() is None:
        longer = f"{trained_on}, which takes longer for convolutions, since there is no C compiler for the CPU kernels"
        return warning(longer, "install gcc, or set CC")
    return ok(trained_on)


def _describe(device: torch.device) -> Finding:
    """The finding on the GPU that a worker uses; for a MIG slice, name and memory are those of the slice."""
    import torch

    try:
        torch.zeros(1, device=device)
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError as fault:
        why = str(fault).splitlines()[0]
        return error(
            f"{device} cannot be used: {why}", f"choose another device by {PREFIX}DEVICE, or check `nvidia-smi`"
        )
    name = torch.cuda.get_device_name(device)
    found = f"a worker uses {device}, {name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free, CUDA {torch.version.cuda}"
    if free < FREE_SHARE * total:
        return warning(
            found, f"another process uses this GPU; choose another by {PREFIX}DEVICE, or let Slurm assign GPUs"
        )
    return ok(found)
