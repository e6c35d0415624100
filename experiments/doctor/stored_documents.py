"""What the documents of runs hold: secrets, and the code that they will be trained by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import gridfs
from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.source_files import ROOT
from experiments.doctor.examined_site import UNFINISHED, NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.submit.scrub_secrets import holding_more


def collections(site: Site) -> Iterator[Finding]:
    """Those that were named are there."""
    sizes = {runs.name: runs.estimated_document_count() for runs in site.collections}
    for name in site.names:
        if name not in sizes:
            yield error(f"there is no {name}", f"walking-noise add {name} FILE, or see `seml list`")
    if sizes or not site.names:
        yield ok(", ".join(f"{name} ({size:,} runs)" for name, size in sizes.items()) or "none yet")


def secrets(site: Site) -> Iterator[Finding]:
    """No variable stands there that might be a secret."""
    if not site.collections:
        raise NotChecked("there are no runs")
    for runs in site.collections:
        count, names = holding_more(runs)
        if count:
            yield error(
                f"{count:,} runs of {runs.name} hold {', '.join(names[:5])}{', …' if len(names) > 5 else ''} of the "
                "shell in which they were added",
                f"walking-noise scrub {runs.name}; then change what of it was secret",
            )
        else:
            yield ok(f"none in {runs.name}")


def sources(site: Site) -> Iterator[Finding]:
    """Runs to come are trained by the code of this checkout, not by that of the day when they were added."""
    waiting = False
    for runs in site.collections:
        unfinished = {"status": {"$in": UNFINISHED}, "seml.source_files": {"$exists": True}}
        for batch in sorted(runs.distinct("batch_id", unfinished)):
            waiting = True
            fields = {"seml.source_files": 1, "seml.working_dir": 1}
            run = runs.find_one({**unfinished, "batch_id": batch}, fields)
            if run is not None:
                yield _compared(site.database, runs.name, batch, run["seml"])
    if not waiting:
        raise NotChecked("no run is unfinished")


def _compared(database: Database[Document], name: str, batch: int, seml: Document) -> Finding:
    checkout = Path(seml.get("working_dir", ROOT))
    if not checkout.is_dir():
        checkout = ROOT
    changed = _changed(database, seml["source_files"], checkout)
    if not changed:
        return ok(f"batch {batch} of {name} has those of {checkout}")
    return warning(
        f"batch {batch} of {name} has others than {checkout}: {', '.join(changed[:3])}"
        f"{f' and {len(changed) - 3} more' if len(changed) > 3 else ''}",
        f"seml {name} reload-sources -b {batch}, if its runs shall be trained by the present code",
    )


def _changed(database: Database[Document], sources: Sequence[tuple[str, object]], checkout: Path) -> list[str]:
    """The files that differ from the checkout's, or are not there any more."""
    kept = gridfs.GridFS(database)
    changed = []
    for path, file_id in sources:
        file = checkout / path
        if not file.is_file() or kept.get(file_id).read() != file.read_bytes():
            changed.append(path)
    return changed
