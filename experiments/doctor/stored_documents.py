"""Checks of the stored documents of runs: collections, secrets and source files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import gridfs
from pymongo.database import Database

from experiments.database.connection import Document
from experiments.database.source_files import ROOT
from experiments.doctor.examined_site import UNFINISHED, NotChecked, Site
from experiments.doctor.finding import Finding, error, ok, warning
from experiments.submit.scrub_secrets import count_excess
from experiments.terminal.text_table import runs_in_words


def collections(site: Site) -> Iterator[Finding]:
    """All named collections exist."""
    sizes = {runs.name: runs.estimated_document_count() for runs in site.collections}
    for name in site.names:
        if name not in sizes:
            yield error(
                f"collection {name} does not exist",
                f"run `walking-noise add {name} FILE`, or `seml list` for existing names",
            )
    if sizes or not site.names:
        yield ok(", ".join(f"{name} ({runs_in_words(size)})" for name, size in sizes.items()) or "there are none yet")


def secrets(site: Site) -> Iterator[Finding]:
    """No document holds an environment variable that may be a secret."""
    if not site.collections:
        raise NotChecked("there are no runs yet")
    for runs in site.collections:
        count, names = count_excess(runs)
        if count:
            yield error(
                f"disallowed variables or addresses in {runs_in_words(count)} of {runs.name}: "
                f"{', '.join(names[:5])}{', …' if len(names) > 5 else ''}",
                f"run `walking-noise scrub {runs.name}`, then change the passwords and tokens among them",
            )
        else:
            yield ok(f"none in {runs.name}")


def sources(site: Site) -> Iterator[Finding]:
    """The source files stored for unfinished runs, which workers will execute, equal those of the checkout."""
    unfinished_runs = False
    for runs in site.collections:
        matching = {"status": {"$in": UNFINISHED}, "seml.source_files": {"$exists": True}}
        for batch in sorted(runs.distinct("batch_id", matching)):
            unfinished_runs = True
            fields = {"seml.source_files": 1, "seml.working_dir": 1}
            run = runs.find_one({**matching, "batch_id": batch}, fields)
            if run is not None:
                yield _compare(site.database, runs.name, batch, run["seml"])
    if not unfinished_runs:
        raise NotChecked("no run is unfinished")


def _compare(database: Database[Document], name: str, batch: int, seml: Document) -> Finding:
    checkout = Path(seml.get("working_dir", ROOT))
    if not checkout.is_dir():
        checkout = ROOT
    changed = _changed(database, seml["source_files"], checkout)
    if not changed:
        return ok(f"batch {batch} of {name} has the source files of {checkout}")
    return warning(
        f"the source files of batch {batch} of {name} differ from those in {checkout}: {', '.join(changed[:3])}"
        f"{f' and {len(changed) - 3} more' if len(changed) > 3 else ''}",
        f"run `seml {name} reload-sources -b {batch}` to train its runs with the current code",
    )


def _changed(database: Database[Document], sources: Sequence[tuple[str, object]], checkout: Path) -> list[str]:
    """The source files that differ from those of the checkout or are missing there."""
    stored = gridfs.GridFS(database)
    changed = []
    for path, file_id in sources:
        file = checkout / path
        if not file.is_file() or stored.get(file_id).read() != file.read_bytes():
            changed.append(path)
    return changed
