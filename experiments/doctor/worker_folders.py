"""Checks of the options of workers and of their folders: write access, visibility to all nodes, free space."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from experiments.doctor.examined_site import NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.errors import UserError

TEST_BYTES = 2**20
"""Size of the test file; writing it fails if the quota of the user is exhausted."""
GIB = 2**30
ERROR_BELOW, WARNING_BELOW = 1 * GIB, 10 * GIB
"""Free bytes on the disk of the checkpoints below which the finding is an error, or a warning."""
NODE_LOCAL_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/scratch/local")


def options(site: Site) -> Iterator[Finding]:
    """The options of the worker are valid, and no variable has a name that is not read."""
    if not site.variables:
        yield ok("no option is set")
        return
    from experiments.worker.worker_options import WorkerOptions, check_variables

    try:
        WorkerOptions.from_environment(site.environment)
        check_variables(site.environment)
    except UserError as fault:
        yield error(str(fault), "correct or unset it")
    else:
        yield ok(", ".join(f"{name}={value}" for name, value in site.variables.items()))


def networks(site: Site) -> Iterator[Finding]:
    """The folder of trained networks, if one is set, is writable and visible to all nodes."""
    folder = site.variables.get("WALKING_NOISE_NETWORKS")
    if folder is None:
        yield ok("not set: workers do not share networks, and runs with training.keep_network fail")
    else:
        yield from _folder(site, Path(folder).expanduser().absolute(), "WALKING_NOISE_NETWORKS")


def state(site: Site) -> Iterator[Finding]:
    """The state folder, for checkpoints and undelivered results, is writable and visible to all nodes."""
    yield from _folder(site, _state_folder(site), "WALKING_NOISE_STATE")


def space(site: Site) -> Iterator[Finding]:
    """There is free space for checkpoints on the disk."""
    folder = _state_folder(site)
    free = shutil.disk_usage(_existing(folder)).free
    if free < WARNING_BELOW:
        fault = error if free < ERROR_BELOW else warning
        yield fault(
            f"{free / GIB:.1f} GiB free for {folder}",
            "make space (`walking-noise checkpoints clean` removes unneeded checkpoints), or set WALKING_NOISE_STATE",
        )
    else:
        yield ok(f"{free / GIB:,.0f} GiB free for {folder}")


def _state_folder(site: Site) -> Path:
    """The state folder of the options, or else the one next to the logs of the newest run."""
    collections = [] if "WALKING_NOISE_STATE" in site.variables else site.collections
    from experiments.worker.worker_options import DEFAULT_STATE

    if site.options.state is not None:
        return site.options.state
    for runs in collections:
        run = runs.find_one({}, {"seml.output_file": 1, "seml.output_dir": 1}, sort=[("_id", -1)])
        if run is not None:
            logs = Path(run["seml"].get("output_dir", ".")).expanduser().absolute()
            return site.options.state_folder(run) or logs / DEFAULT_STATE
    raise NotChecked("WALKING_NOISE_STATE is not set, and there are no runs yet; the folder will be next to their logs")


def _folder(site: Site, folder: Path, variable: str) -> Iterator[Finding]:
    existing = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(bytes(TEST_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        yield error(f"cannot write to {folder}: {fault.strerror}", f"set {variable} to another folder")
        return
    local = next((name for name in NODE_LOCAL_FOLDERS if existing.resolve().is_relative_to(name)), None)
    if local and site.other_hosts:
        yield warning(
            f"{folder} is below {local}, which other nodes cannot access",
            f"set {variable} to a folder that all nodes can access, before runs are added",
        )
    else:
        yield ok(str(folder))


def _existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
