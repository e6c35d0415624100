"""Checks of the folders of workers: write access, visibility to all nodes, free space."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from experiments.doctor.examined_site import NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.worker.delivery.state_folder import DEFAULT_NAME, StateFolder

TEST_BYTES = 2**20
"""Size of the test file; writing it fails if the quota of the user is exhausted."""
GIB = 2**30
ERROR_BELOW, WARNING_BELOW = 1 * GIB, 10 * GIB
"""Free bytes on the disk of the checkpoints below which the finding is an error, or a warning."""
NODE_LOCAL_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/scratch/local")
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs", "devtmpfs")
MOUNTS = Path("/proc/self/mounts")


def networks(site: Site) -> Iterator[Finding]:
    """The folder of trained networks, if one is set, is writable and visible to all nodes."""
    if site.options.networks is None:
        yield ok("not set: workers do not share networks, and runs with training.keep_network fail")
        return
    yield from _folder(site, Path(site.options.networks).expanduser().absolute(), "WALKING_NOISE_NETWORKS")


def state(site: Site) -> Iterator[Finding]:
    """The state folder, for checkpoints and undelivered results, is writable and visible to all nodes."""
    yield from _folder(site, _state_folder(site).folder, "WALKING_NOISE_STATE")


def space(site: Site) -> Iterator[Finding]:
    """There is free space for checkpoints on the disk and in ``WALKING_NOISE_STATE_QUOTA``."""
    folder = _state_folder(site)
    free = shutil.disk_usage(_existing(folder.folder)).free
    if free < WARNING_BELOW:
        finding = error if free < ERROR_BELOW else warning
        yield finding(
            f"{free / GIB:.1f} GiB free for {folder.folder}",
            "make space (`walking-noise checkpoints clean` removes unneeded checkpoints), or set WALKING_NOISE_STATE",
        )
    else:
        yield ok(f"{free / GIB:,.0f} GiB free for {folder.folder}")
    quota = site.options.state_quota
    if quota is not None:
        used = sum(file.stat().st_size for file in folder.checkpoints.glob("*") if file.is_file())
        found = f"checkpoints use {used / GIB:.1f} of {quota / GIB:.1f} GiB of WALKING_NOISE_STATE_QUOTA"
        yield (
            ok(found)
            if used < 0.9 * quota
            else warning(found, "run `walking-noise checkpoints clean` to remove unneeded checkpoints")
        )


def _state_folder(site: Site) -> StateFolder:
    """The state folder of the options, or else the one next to the logs of the newest run."""
    if site.options.state is not None:
        return StateFolder(site.options.state)
    for runs in site.collections:
        run = runs.find_one({}, {"seml.output_file": 1, "seml.output_dir": 1}, sort=[("_id", -1)])
        if run is not None:
            logs = Path(run["seml"].get("output_dir", ".")).expanduser().absolute()
            return StateFolder.for_run(site.options, run) or StateFolder(logs / DEFAULT_NAME)
    raise NotChecked("WALKING_NOISE_STATE is not set, and there are no runs yet; the folder will be next to their logs")


def _folder(site: Site, folder: Path, variable: str) -> Iterator[Finding]:
    fault = _write_fault(_existing(folder))
    if fault:
        yield error(f"cannot write to {folder}: {fault}", f"set {variable} to another folder")
    elif site.other_hosts and (kind := _node_local(folder)):
        yield warning(
            f"{folder} is {kind}, which other nodes cannot access",
            f"set {variable} to a folder that all nodes can access, before runs are added",
        )
    else:
        yield ok(str(folder))


def _existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))


def _write_fault(folder: Path) -> str | None:
    """The reason why a file cannot be written to the folder; None if it can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(TEST_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        return fault.strerror
    return None


def _node_local(folder: Path) -> str | None:
    """A description of the location if it is known to be local to one node; None otherwise."""
    path = _existing(folder).resolve()
    kind = _file_system(path)
    if kind in MEMORY_FILE_SYSTEMS:
        return f"in memory ({kind})"
    local = next((name for name in NODE_LOCAL_FOLDERS if path.is_relative_to(name)), None)
    return f"below {local}" if local else None


def _file_system(path: Path) -> str:
    """The type of the file system on which a path lies."""
    mounts = (line.split() for line in MOUNTS.read_text().splitlines())
    containing = [(len(point), kind) for _, point, kind, *_ in mounts if path.is_relative_to(point)]
    return max(containing, default=(0, ""))[1]
