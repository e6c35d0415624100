"""The folders that workers write to: there, writable, seen by all nodes, with room."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from experiments.doctor.examined_site import NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.worker.delivery.state_folder import DEFAULT_NAME, StateFolder

TRIAL_BYTES = 2**20
"""So much is written for trial: a quota that is used up refuses it."""
GIB = 2**30
LEAST, COMFORTABLE = 1 * GIB, 10 * GIB
"""Below these a disk that checkpoints are written to is an error, and a warning."""
OF_A_NODE = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/scratch/local")
OF_MEMORY = ("tmpfs", "ramfs", "devtmpfs")
MOUNTS = Path("/proc/self/mounts")


def networks(site: Site) -> Iterator[Finding]:
    """Trained networks can be shared, if a folder is named for it."""
    if site.options.networks is None:
        yield ok("none named: workers do not share networks, and runs with training.keep_network fail")
        return
    yield from _folder(site, Path(site.options.networks).expanduser().absolute(), "WALKING_NOISE_NETWORKS")


def state(site: Site) -> Iterator[Finding]:
    """Checkpoints and undelivered results can be written, for all nodes to read."""
    yield from _folder(site, _state_folder(site).folder, "WALKING_NOISE_STATE")


def space(site: Site) -> Iterator[Finding]:
    """Checkpoints find room on the disk, and in the quota."""
    folder = _state_folder(site)
    free = shutil.disk_usage(_existing(folder.folder)).free
    if free < COMFORTABLE:
        grade = error if free < LEAST else warning
        yield grade(
            f"{free / GIB:.1f} GiB are free for {folder.folder}",
            "make room (`walking-noise checkpoints` names what nothing needs), or set WALKING_NOISE_STATE",
        )
    else:
        yield ok(f"{free / GIB:,.0f} GiB are free for {folder.folder}")
    quota = site.options.state_quota
    if quota is not None:
        used = sum(file.stat().st_size for file in folder.checkpoints.glob("*") if file.is_file())
        found = f"checkpoints take {used / GIB:.1f} of {quota / GIB:.1f} GiB of WALKING_NOISE_STATE_QUOTA"
        yield (
            ok(found) if used < 0.9 * quota else warning(found, "`walking-noise checkpoints` names what nothing needs")
        )


def _state_folder(site: Site) -> StateFolder:
    """The folder that is named, or the one beside the logs, where SEML puts these."""
    if site.options.state is not None:
        return StateFolder(site.options.state)
    for runs in site.collections:
        run = runs.find_one({}, {"seml.output_file": 1, "seml.output_dir": 1}, sort=[("_id", -1)])
        if run is not None:
            logs = Path(run["seml"].get("output_dir", ".")).expanduser().absolute()
            return StateFolder.for_run(site.options, run) or StateFolder(logs / DEFAULT_NAME)
    raise NotChecked("WALKING_NOISE_STATE is not set, and there are no runs yet: it will be beside their logs")


def _folder(site: Site, folder: Path, variable: str) -> Iterator[Finding]:
    refusal = _not_writable(_existing(folder))
    if refusal:
        yield error(f"nothing can be written to {folder}: {refusal}", f"name another folder by {variable}")
    elif site.other_hosts and (kind := _node_local(folder)):
        yield warning(
            f"{folder} is {kind}, which other nodes do not see",
            f"name a folder that all nodes see by {variable}, before runs are added",
        )
    else:
        yield ok(str(folder))


def _existing(folder: Path) -> Path:
    """The folder, or where it would be made."""
    return next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))


def _not_writable(folder: Path) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(TRIAL_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        return fault.strerror
    return None


def _node_local(folder: Path) -> str | None:
    """What kind of place it is, if it is known to be of one node alone."""
    place = _existing(folder).resolve()
    kind = _file_system(place)
    if kind in OF_MEMORY:
        return f"in memory ({kind})"
    local = next((name for name in OF_A_NODE if place.is_relative_to(name)), None)
    return f"below {local}" if local else None


def _file_system(place: Path) -> str:
    mounts = (line.split() for line in MOUNTS.read_text().splitlines())
    holding = [(len(point), kind) for _, point, kind, *_ in mounts if place.is_relative_to(point)]
    return max(holding, default=(0, ""))[1]
