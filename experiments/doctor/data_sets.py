"""Check of the data sets that runs need."""

from __future__ import annotations

import os
from collections.abc import Iterator

from experiments.doctor.examined_site import UNFINISHED, NotChecked, Site
from experiments.doctor.finding import Finding, error, ok
from walking_noise import data


def present(site: Site) -> Iterator[Finding]:
    """Data sets of unfinished runs are present and readable; the other data sets are listed as present or missing."""
    needed, known = _needed(site), data.sources().keys()
    for name in sorted(needed - known):
        yield error(
            f"unfinished runs need data set {name}, which this version does not know",
            "use the version with which the runs were added",
        )
    for name in sorted(needed & known):
        yield _readable(data.status(name))
    others = {name: data.status(name).present for name in sorted(known - needed)}
    if others:
        present, missing = (", ".join(name for name in others if others[name] is wanted) for wanted in (True, False))
        listed = f"{present or 'none'} present, {missing or 'none'} missing"
        yield ok(f"not needed by unfinished runs: {listed} (in {data.data_root()})")


def _needed(site: Site) -> set[str]:
    unfinished = {"status": {"$in": UNFINISHED}}
    try:
        return {name for runs in site.collections for name in runs.distinct("config.data.name", unfinished)}
    except NotChecked:
        return set()


def _readable(status: data.Status) -> Finding:
    name, folder = status.name, status.folder
    if not status.present:
        missing = ", ".join(path.name for path in status.missing)
        return error(
            f"unfinished runs need data set {name}, but {missing} is missing in {folder}",
            f"run `walking-noise data get {name}` on a machine with Internet access and with WALKING_NOISE_DATA set "
            "to the same folder, which all nodes must be able to read",
        )
    unreadable = next((file for file in folder.rglob("*") if not os.access(file, os.R_OK)), None)
    if unreadable is not None:
        return error(f"{unreadable} of data set {name} cannot be read", f"run `chmod -R u+rX {folder}`")
    return ok(f"{name} {status.extent or 'present'} in {folder}")
