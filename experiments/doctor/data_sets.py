"""The data sets that runs need."""

from __future__ import annotations

import os
from collections.abc import Iterator

from experiments.doctor.examined_site import UNFINISHED, NotChecked, Site
from experiments.doctor.finding import Finding, error, ok
from walking_noise import data


def present(site: Site) -> Iterator[Finding]:
    """Those of unfinished runs are here and readable; of the others, which are here."""
    needed, known = _needed(site), data.sources().keys()
    for name in sorted(needed - known):
        yield error(f"runs need {name}, which this version does not know", "take the version that they were added by")
    for name in sorted(needed & known):
        yield _readable(data.status(name))
    others = {name: data.status(name).present for name in sorted(known - needed)}
    if others:
        here, away = (", ".join(name for name in others if others[name] is there) for there in (True, False))
        counted = f"{here or 'none'} present, {away or 'none'} missing"
        yield ok(f"of those that no run waits for: {counted} (in {data.data_root()})")


def _needed(site: Site) -> set[str]:
    unfinished = {"status": {"$in": UNFINISHED}}
    try:
        return {name for runs in site.collections for name in runs.distinct("config.data.name", unfinished)}
    except NotChecked:
        return set()


def _readable(status: data.Status) -> Finding:
    name, folder = status.name, status.folder
    if not status.present:
        lacking = ", ".join(path.name for path in status.missing)
        return error(
            f"runs wait for {name}, and {folder} lacks {lacking}",
            f"walking-noise data get {name}, on a machine with access to the Internet and with the same "
            "WALKING_NOISE_DATA, which all nodes must see",
        )
    closed = next((file for file in folder.rglob("*") if not os.access(file, os.R_OK)), None)
    if closed is not None:
        return error(f"{closed} of {name} cannot be read", f"chmod -R u+rX {folder}")
    return ok(f"{name} {status.extent or 'present'} in {folder}")
